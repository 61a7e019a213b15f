"""`zoo translate`: an image-to-image model applied to images."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.arguments import check_seeds
from zoo.cli.picture import PictureCommand
from zoo.errors import UserError
from zoo.types import Omittable

if TYPE_CHECKING:
    import numpy as np

    from zoo.core import Signature

MAX_COLUMNS = 12  # columns of the grid of poses


@dataclasses.dataclass(frozen=True)
class Translate(PictureCommand):
    """translate an image, or a folder of them: to the other domain, to other poses, or reconstruct it"""

    signature: Omittable[str] = None
    """signature to use if the model has several, such as to_y and to_x; if omitted, the first"""
    pose: Omittable[tuple[str, ...]] = None
    """target poses by name (or by number if they have no names), for models that take a pose; if omitted, all"""
    seed: Omittable[int] = None
    """random seed for the noise, for models that take a seed; if omitted, 0"""
    size: Omittable[tuple[int, int]] = None
    """height and width that images are resized to, for models that take any size; if omitted, they keep theirs"""

    def open(self) -> Any:
        check_seeds(self.seed or 0)
        if self.size and min(self.size) < 1:
            raise UserError(f"--size {' '.join(map(str, self.size))}: must be more than 0")
        return super().open()

    def apply(self, model: Any, file: Path, highest: float | None) -> tuple[np.ndarray, str]:
        import tensorflow as tf

        name, signature = self._choose_signature(model)
        image, *others = signature.inputs
        extra = {spec.name for spec in others}
        for option in ("pose", "seed"):
            if getattr(self, option) is not None and option not in extra:
                raise UserError(f"--{option}: {name} of this model does not take a {option}; omit it")
        values = {"pose": self._poses(model) if "pose" in extra else [0], "seed": [self.seed or 0]}
        rows = len(values["pose"])
        pixels, size = self._read_resized(file, highest, image.shape)
        images = tf.repeat(tf.cast(pixels, tf.float32)[None] / 255, rows, axis=0)
        translated = model.serve(name, image=images, **{option: values[option] for option in extra})["image"].numpy()
        return model.modality.render(translated, min(rows, MAX_COLUMNS)), f"{file} ({size}) by {name}"

    def _choose_signature(self, model: Any) -> tuple[str, Signature]:
        """Name and function of an image-to-image signature, that is, one with a variant for PNG files."""
        signatures = model.signatures()
        translating = [name for name in signatures if f"{name}_png" in signatures]
        if not translating:
            raise UserError("zoo translate: this model does not translate images; `zoo list` shows what each model is for")
        name = self.signature or translating[0]
        if name not in translating:
            raise UserError(f"--signature {self.signature}: this model translates by {' and '.join(translating)}")
        return name, signatures[name]

    def _read_resized(self, file: Path, highest: float | None, shape: Any) -> tuple[np.ndarray, str]:
        """The image in the size that a signature takes, cropped like the run's training images, and a description of both sizes."""
        from zoo import data
        from zoo.data.image_files import RESIZING, to_pixels

        picture = self.read(file, shape[-1], highest)
        original = picture.size
        fixed = (shape[2], shape[1]) if shape[1] is not None else None
        size = fixed or (self.size[::-1] if self.size else original)
        if self.size and self.size[::-1] != size:
            raise UserError(f"--size: this model takes images of {size[0]}x{size[1]} pixels only; omit it")
        reading = data.Reading.from_options(self.record.options)
        pixels = to_pixels(RESIZING[reading.crop](picture, size), shape[-1])
        return pixels, "{}x{}".format(*original) + (f", {reading.describe_resizing(*size)}" if size != original else "")

    def _poses(self, model: Any) -> list[int]:
        """Numbers of the target poses."""
        numbers = range(model.config.num_poses)
        names = self.record.data.pose_names or [str(number) for number in numbers]
        for name in self.pose or ():
            if name not in names:
                raise UserError(f"--pose {name}: this run's poses are {', '.join(names)}")
        return [names.index(name) for name in self.pose] if self.pose else list(numbers)
