"""What the page of `zoo demo` computes for models that generate from noise: samples, codes, and walks between two samples."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.cli.arguments import check_seeds, check_truncation
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.core import Game
    from zoo.latent import Directions

NUM_DIRECTIONS = 5  # sliders of a model
MAX_STEP = 4.0  # standard deviations along a direction
MAX_CODE = 2.0  # of a continuous code, as the grids of samples show it
MAX_FRAMES = 120  # of a walk
RATE = 20  # frames per second
SHORT_SIDE = 256  # pixels to which small images are enlarged


@dataclasses.dataclass(frozen=True)
class SampleRequest:
    """One sample.

    Attributes:
        seed: Seed of the latent vector.
        label: Number of the class, of a class-conditional model.
        truncation: Truncation threshold in standard deviations; None: not truncated.
        steps: Steps along the first directions, in standard deviations.
        category: Category of the latent code; None: that of the seed.
        codes: Values of the continuous codes; None: those of the seed.
    """

    seed: int = 0
    label: int | None = None
    truncation: float | None = None
    steps: tuple[float, ...] = ()
    category: int | None = None
    codes: tuple[float, ...] | None = None

    @property
    def name(self) -> str:
        """Start of the name of a file with this sample."""
        return f"seed{self.seed}" + ("" if self.label is None else f"-label{self.label}")


@dataclasses.dataclass(frozen=True)
class LatentCode:
    """The coordinates of an interpretable code in the latent vector.

    Attributes:
        category: Coordinates of the one-hot category.
        numbers: Coordinates of the continuous codes.
    """

    category: np.ndarray
    numbers: np.ndarray

    @classmethod
    def find(cls, model: Any) -> LatentCode | None:
        """The code of a model that splits its latent vectors into noise and code; None for other models."""
        if not hasattr(model, "split_code"):
            return None
        category, numbers = model.split_code(np.arange(model.config.latent_dim))
        return cls(np.asarray(category), np.asarray(numbers))


class NoiseTool:
    """Samples of a model.

    Args:
        model: A model that generates images from noise.

    Raises:
        UserError: It does not.
    """

    def __init__(self, model: Game) -> None:
        from zoo.latent import LatentDistribution, Sampler

        self.model, self.sampler = model, Sampler(model)
        self.distribution = LatentDistribution.measure(model)
        self.code = LatentCode.find(model)
        self.directions, self.reason = self._find_directions()

    def _find_directions(self) -> tuple[Directions | None, str]:
        """The directions of the sliders, or why the model has none."""
        from zoo.latent import find_directions

        try:
            return find_directions(self.model, ("sefa",), NUM_DIRECTIONS), ""
        except UserError as error:
            return None, str(error)

    @property
    def direction_names(self) -> tuple[str, ...]:
        """Names of the directions, most important one first."""
        return self.directions.names if self.directions else ()

    @property
    def num_classes(self) -> int:
        """Number of classes of a class-conditional model; 0 for others."""
        return self.model.config.num_classes if "label" in self.model.conditions else 0

    def codes_of(self, seed: int) -> tuple[int, tuple[float, ...]]:
        """Category and continuous codes of the latent vector of a seed."""
        if self.code is None:
            raise UserError("this model has no latent code")
        check_seeds(seed)
        latent = self.model.latents([seed]).numpy()[0]
        return int(latent[self.code.category].argmax()), tuple(float(value) for value in latent[self.code.numbers])

    def latent(self, request: SampleRequest) -> np.ndarray:
        """The latent vector of a sample, float32 [1, latent_dim].

        Raises:
            UserError: For a seed, truncation or category out of range.
        """
        from zoo.latent import move

        check_seeds(request.seed)
        check_truncation(self.model, request.truncation)
        latent = self.model.latents([request.seed], request.truncation).numpy()
        if self.code is not None:
            self._set_code(self.code, latent, request)
        if self.directions is None or not any(request.steps):
            return latent
        count = len(request.steps)
        lengths = np.asarray(request.steps, np.float32) * self.directions.deviations[:count]
        return move(self.model, latent, lengths @ self.directions.vectors[:count], self.distribution)

    @staticmethod
    def _set_code(code: LatentCode, latent: np.ndarray, request: SampleRequest) -> None:
        if request.category is not None:
            if not 0 <= request.category < len(code.category):
                raise UserError(f"category {request.category}: must be from 0 to {len(code.category) - 1}")
            latent[:, code.category] = np.eye(len(code.category))[request.category]
        if request.codes is not None:
            latent[:, code.numbers] = request.codes

    def sample(self, request: SampleRequest) -> np.ndarray:
        """The picture of a sample, uint8 [h, w, channels].

        Raises:
            UserError: For values out of range.
        """
        labels = {} if request.label is None else {"label": np.array([self._check_label(request.label)], np.int64)}
        (image,) = self.sampler(self.latent(request), **labels)
        return self.model.modality.render(image, 1)

    def _check_label(self, label: int) -> int:
        if not 0 <= label < self.num_classes:
            raise UserError(f"class {label}: must be from 0 to {self.num_classes - 1}")
        return label

    def write_walk(self, path: Path, first: SampleRequest, last: SampleRequest, frames: int) -> Path:
        """Writes a film that walks from one sample to another and back.

        Args:
            path: A file that ends in .gif.
            first: The sample at the start.
            last: The sample in the middle.
            frames: Number of frames of each way.

        Returns:
            The path.

        Raises:
            UserError: For values out of range, and a generator that cannot interpolate between two classes.
        """
        from zoo.latent import Sampler, enlarge, interpolate, write_film

        if not 2 <= frames <= MAX_FRAMES:
            raise UserError(f"{frames} frames: must be from 2 to {MAX_FRAMES}")
        progress = np.linspace(0, 1, frames, dtype=np.float32)
        start, end = (np.repeat(self.latent(request), frames, 0) for request in (first, last))
        latent, conditions, sampler = interpolate(self.distribution, start, end, progress), {}, self.sampler
        if first.label is not None and last.label is not None:
            classes = [self._check_label(label) for label in (first.label, last.label)]
            conditions = {"label": np.full(frames, classes[0], np.int64)}
            if classes[0] != classes[1]:
                sampler, one_hot = Sampler(self.model, mixes_labels=True), np.eye(self.num_classes, dtype=np.float32)[classes]
                conditions = {"label": np.outer(1 - progress, one_hot[0]) + np.outer(progress, one_hot[1])}
        pictures = [self.model.modality.render(image[None], 1) for batch in sampler(latent, **conditions) for image in batch]
        factor = enlargement(pictures[0])
        write_film(path, (enlarge(picture, factor) for picture in [*pictures, *pictures[-2:0:-1]]), RATE)
        return path


def enlargement(picture: np.ndarray) -> int:
    """The factor by which a picture [h, w, channels] is enlarged on the page."""
    return max(1, -(-SHORT_SIDE // min(picture.shape[:2])))


def write_settings(path: Path, model: str, request: SampleRequest, directions: tuple[str, ...]) -> Path:
    """Writes a JSON file from which a sample can be made again.

    Args:
        path: The file.
        model: The run or pretrained model, as `zoo generate` takes it.
        request: The sample.
        directions: Names of the directions of its steps.
    """
    steps = {name: step for name, step in zip(directions, request.steps, strict=False) if step}
    values = {"model": model, **dataclasses.asdict(request), "steps": steps}
    path.write_text(json.dumps({key: value for key, value in values.items() if value not in (None, {})}, indent=2), encoding="utf-8")
    return path
