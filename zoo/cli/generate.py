"""`zoo generate`: samples from a run."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.arguments import RunFolder, check_seeds, check_truncation, register_model, require_noise_model, write_picture
from zoo.errors import UserError, printable
from zoo.types import Omittable

if TYPE_CHECKING:
    import numpy as np

    from zoo.core import Game

BATCH = 100  # samples that are generated at once


@dataclasses.dataclass(frozen=True)
class Generate:
    """generate samples from a run, without the dataset"""

    run: RunFolder
    """folder of the run"""
    out: Path = Path("samples.png")
    """PNG file for a grid of all images, or a folder (a name without .png) for one PNG per image"""
    count: int = 64
    """number of images"""
    label: Omittable[tuple[int, ...]] = None
    """classes to cycle through, for class-conditional models; if omitted, all"""
    seed: int = 0
    """seed of the first image; each following image has the next seed"""
    truncation: Omittable[float] = None
    """truncation threshold of the latent vectors in standard deviations, for models that support it; lower: less diverse samples"""
    checkpoint: str = "last"
    """checkpoint to load: `last`, `best`, or a step"""
    columns: Omittable[int] = None
    """number of columns of the grid; if omitted, the grid is as square as possible"""
    model: Omittable[str] = None
    """path/to/file.py:NAME, if the run's model is your own"""

    def __call__(self) -> None:
        import numpy as np

        from zoo.runs import load_model

        for name, value in (("count", self.count), ("columns", self.columns)):
            if value is not None and value < 1:
                raise UserError(f"--{name} {value}: must be at least 1")
        check_seeds(self.seed, self.count)
        register_model(self.model)
        model: Any = load_model(self.run, self.checkpoint)
        require_noise_model(model, "generate")
        check_truncation(model, self.truncation)
        conditions = self._conditions(model)
        seeds = np.arange(self.seed, self.seed + self.count, dtype=np.int64)
        self._write(model, self._sample(model, seeds, conditions), seeds, conditions)

    def _conditions(self, model: Game) -> dict[str, np.ndarray]:
        """The labels of the samples, for a class-conditional model."""
        import numpy as np

        if "label" not in model.conditions:
            if self.label:
                raise UserError("--label: this run's model is not class-conditional; omit it")
            return {}
        classes = model.config.num_classes
        labels = self.label or tuple(range(classes))
        for label in labels:
            if not 0 <= label < classes:
                raise UserError(f"--label {label} is out of range; this run has classes 0 to {classes - 1}")
        return {"label": np.resize(np.array(labels, np.int64), self.count)}

    def _sample(self, model: Game, seeds: np.ndarray, conditions: dict[str, np.ndarray]) -> np.ndarray:
        import numpy as np
        import tensorflow as tf

        sample = tf.function(model.sample, reduce_retracing=True)
        parts = []
        for i in range(0, self.count, BATCH):
            batch = {name: values[i : i + BATCH] for name, values in conditions.items()}
            parts.append(sample(seeds[i : i + BATCH], truncation=self.truncation, **batch).numpy())
        return np.concatenate(parts)

    def _write(self, model: Game, samples: np.ndarray, seeds: np.ndarray, conditions: dict[str, np.ndarray]) -> None:
        from zoo.data.folder import SUFFIXES

        suffix = self.out.suffix.lower()
        if suffix in SUFFIXES - {".png"}:
            raise UserError(f"--out {self.out}: images are written as PNG; give a name that ends in .png, or that of a folder")
        if suffix == ".png":
            write_picture(self.out, model.modality.render(samples, self.columns or math.ceil(math.sqrt(len(samples)))))
        else:
            for i, (seed, sample) in enumerate(zip(seeds, samples, strict=True)):
                name = "".join(f"-{condition}{values[i]}" for condition, values in conditions.items())
                write_picture(self.out / f"seed{seed}{name}.png", model.modality.render(sample[None], 1))
        print(f"{len(samples)} images in {printable(self.out)}")
