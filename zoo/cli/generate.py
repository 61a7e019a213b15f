"""`zoo generate`: samples from a trained model."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.arguments import ModelArgument, check_seeds, check_truncation, register_model, require_noise_model, write_picture
from zoo.cli.conditions import find_classes, load_offsets
from zoo.cli.options import MAX_COUNT
from zoo.errors import UserError, printable
from zoo.types import Omittable

if TYPE_CHECKING:
    import numpy as np

    from zoo.core import Game

MAX_GRID_VALUES = 2**27  # pixels times channels of a grid; 2 GB in memory
BATCH = 100  # samples that are generated at once


@dataclasses.dataclass(frozen=True)
class Generate:
    """generate samples from a run or a pretrained model, without the dataset"""

    run: ModelArgument
    out: Path = Path("samples.png")
    """PNG file for a grid of all images, or a folder (a name without .png) for one PNG per image"""
    count: int = 64
    """number of images"""
    label: Omittable[tuple[str, ...]] = None
    """classes to cycle through, by name or number, for class-conditional models; if omitted, all"""
    seed: int = 0
    """seed of the first image; each following image has the next seed"""
    truncation: Omittable[float] = None
    """truncation threshold of the latent vectors in standard deviations, for models that support it; lower: less diverse samples"""
    directions: Omittable[Path] = None
    """file of directions that `zoo directions` has written (.npz)"""
    edit: Omittable[tuple[str, ...]] = None
    """steps along directions to cycle through, NAME=STEP in standard deviations, as sefa1=2; several at once are joined by commas"""
    checkpoint: str = "last"
    """checkpoint to load: `last`, `best`, or a step"""
    columns: Omittable[int] = None
    """number of columns of the grid; if omitted, the grid is as square as possible"""
    model: Omittable[str] = None
    """path/to/file.py:NAME, if the run's model is your own"""

    def __call__(self) -> None:
        import numpy as np

        from zoo.pretrained import load_model

        for name, value in (("count", self.count), ("columns", self.columns)):
            if value is not None and not 1 <= value <= MAX_COUNT:
                raise UserError(f"--{name} {value}: must be from 1 to {MAX_COUNT:,}")
        self._check_out()
        check_seeds(self.seed, self.count)
        register_model(self.model)
        model: Any = load_model(self.run, self.checkpoint, discriminator=False)
        require_noise_model(model, "generate")
        check_truncation(model, self.truncation)
        self._check_size(model)
        offsets, conditions = load_offsets(model, self.directions, self.edit), self._conditions(model)
        seeds = np.arange(self.seed, self.seed + self.count, dtype=np.int64)
        samples = self._sample(model, seeds, conditions) if offsets is None else self._edit(model, seeds, conditions, offsets)
        self._write(model, samples, seeds, conditions)

    @property
    def _is_grid(self) -> bool:
        return self.out.suffix.lower() == ".png"

    def _check_out(self) -> None:
        from zoo.data.image_files import SUFFIXES

        if self.out.suffix.lower() in SUFFIXES - {".png"}:
            raise UserError(f"--out {self.out}: images are written as PNG; give a name that ends in .png, or that of a folder")

    def _check_size(self, model: Game) -> None:
        """Raises UserError for a grid that would not fit into memory."""
        import numpy as np

        columns = self._grid_columns()
        cells = columns * -(-self.count // columns)
        values = cells * int(np.prod(model.modality.sample_shape(model.config)))
        if self._is_grid and values > MAX_GRID_VALUES:
            raise UserError(
                f"--out {self.out}: a grid of {cells:,} cells is too large for one file; "
                "give the name of a folder, for one file per image, or a smaller --count or --columns"
            )

    def _grid_columns(self) -> int:
        return self.columns or math.ceil(math.sqrt(self.count))

    def _conditions(self, model: Game) -> dict[str, np.ndarray]:
        """The labels of the samples, for a class-conditional model."""
        import numpy as np

        labels = find_classes(self.label, model)
        return {} if labels is None else {"label": np.resize(np.array(labels, np.int64), self.count)}

    def _sample(self, model: Game, seeds: np.ndarray, conditions: dict[str, np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the samples in batches."""
        import tensorflow as tf

        sample = tf.function(model.sample, autograph=False, reduce_retracing=True)
        for i in range(0, self.count, BATCH):
            batch = {name: values[i : i + BATCH] for name, values in conditions.items()}
            yield sample(seeds[i : i + BATCH], truncation=self.truncation, **batch).numpy()

    def _edit(self, model: Game, seeds: np.ndarray, conditions: dict[str, np.ndarray], offsets: np.ndarray) -> Iterator[np.ndarray]:
        """Yields the samples of latent vectors that are moved along directions, in batches."""
        import numpy as np

        from zoo.latent import Sampler, move

        latent = model.latents(seeds, self.truncation)
        return Sampler(model)(move(model, latent, offsets[np.arange(self.count) % len(offsets)]), **conditions)

    def _write(self, model: Game, batches: Iterator[np.ndarray], seeds: np.ndarray, conditions: dict[str, np.ndarray]) -> None:
        import numpy as np

        if self._is_grid:
            write_picture(self.out, model.modality.render(np.concatenate(list(batches)), self._grid_columns()))
        else:
            for i, sample in enumerate(itertools.chain.from_iterable(batches)):
                name = "".join(f"-{condition}{values[i]}" for condition, values in conditions.items())
                write_picture(self.out / f"seed{seeds[i]}{name}.png", model.modality.render(sample[None], 1))
        print(f"{self.count} {'image' if self.count == 1 else 'images'} in {printable(self.out)}")
