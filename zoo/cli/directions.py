"""`zoo directions`: interpretable directions in the latent space of a model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

from zoo.cli.arguments import (
    ModelArgument,
    check_seeds,
    explain_output_errors,
    output_folder,
    register_model,
    require_noise_model,
    write_picture,
)
from zoo.cli.conditions import find_classes
from zoo.cli.measuring import own_if_inside, show_progress
from zoo.errors import UserError, printable
from zoo.types import Omittable

FILE = "directions.npz"
MAX_COUNT, MAX_SAMPLES = 512, 1_000_000


@dataclasses.dataclass(frozen=True)
class Directions:
    """find interpretable directions in the latent space: in closed form (SeFa) and by PCA of activations (GANSpace)"""

    run: ModelArgument
    out: Omittable[Path] = None
    """folder for directions.npz and a labeled sheet per method; if omitted, directions/ in the run's folder"""
    method: tuple[Literal["sefa", "pca"], ...] = ("sefa", "pca")
    """methods: sefa: closed-form factorization of the first layer's weights; pca: principal components of activations"""
    count: int = 10
    """number of directions of each method"""
    samples: int = 2000
    """number of samples whose activations PCA analyzes"""
    layer: Omittable[str] = None
    """name of the layer whose activations PCA analyzes; if omitted, the last one at the lowest resolution"""
    label: Omittable[tuple[str, ...]] = None
    """classes of the samples, by name or number, for class-conditional models; if omitted, all; the sheets show the first"""
    seed: int = 0
    """seed of the sample that the sheets show, and of the samples for PCA"""
    checkpoint: str = "last"
    """checkpoint to load: `last`, `best`, or a step"""
    model: Omittable[str] = None
    """path/to/file.py:NAME, if the run's model is your own"""

    def __call__(self) -> None:
        from zoo.pretrained import load_model, open_model

        for name, value, highest in (("count", self.count, MAX_COUNT), ("samples", self.samples, MAX_SAMPLES)):
            if not 1 <= value <= highest:
                raise UserError(f"--{name} {value}: must be from 1 to {highest:,}")
        check_seeds(self.seed)
        register_model(self.model)
        opened = open_model(self.run)
        model = load_model(opened, self.checkpoint, discriminator=False)
        require_noise_model(model, "directions")
        folder = output_folder(opened, self.out, "directions")
        with own_if_inside(folder, opened), explain_output_errors(folder):
            self._find(model, folder)

    def _find(self, model: Any, folder: Path) -> None:
        """Finds the directions, and writes the vectors and the sheets."""
        from zoo.latent import draw_directions, find_directions

        labels = find_classes(self.label, model)
        methods = tuple(dict.fromkeys(self.method))
        result = find_directions(model, methods, self.count, self.samples, self.seed, labels, self.layer, show_progress)
        folder.mkdir(parents=True, exist_ok=True)
        result.save(folder / FILE)
        for method in methods:
            write_picture(folder / f"{method}.png", draw_directions(model, result, method, self.seed, labels[0] if labels else None))
        print(f"{len(result.names)} directions ({result.layers}), each of length 1 in {result.vectors.shape[1]} dimensions")
        print(printable(f"vectors in {folder / FILE}, sheets in {' and '.join(str(folder / f'{method}.png') for method in methods)}"))
