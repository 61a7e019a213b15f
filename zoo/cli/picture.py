"""Base class of `translate` and `upscale`: one image in, one PNG out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from zoo.cli.arguments import RunFolder, register_model, write_picture
from zoo.errors import UserError, printable
from zoo.types import Omittable

if TYPE_CHECKING:
    import numpy as np


@dataclasses.dataclass(frozen=True)
class PictureCommand:
    """A command that applies a run's model to an image."""

    run: RunFolder
    """folder of the run"""
    picture: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")]
    """the image file"""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """the PNG file to write"""
    checkpoint: str = "last"
    """checkpoint to load: `last`, `best`, or a step"""
    model: Omittable[str] = None
    """path/to/file.py:NAME, if the run's model is your own"""

    def open(self) -> Any:
        """The run's model."""
        from zoo.runs import load_model

        if self.out.suffix.lower() != ".png":
            raise UserError(f"{self.out}: images are written as PNG; give a name that ends in .png")
        register_model(self.model)
        return load_model(self.run, self.checkpoint)

    def read(self, channels: int) -> np.ndarray:
        """The image, uint8 [h, w, channels]."""
        from zoo.core.images import MIN_SIDE
        from zoo.data.folder import DECODE_ERRORS, read_image

        try:
            pixels = read_image(self.picture, channels)
        except DECODE_ERRORS as error:
            raise UserError(f"{self.picture} cannot be read as an image: {getattr(error, 'strerror', None) or error}") from None
        height, width = pixels.shape[:2]
        if min(height, width) < MIN_SIDE:
            raise UserError(f"{self.picture} has {width}x{height} pixels; at least {MIN_SIDE}x{MIN_SIDE} are needed")
        return pixels

    def write(self, pixels: np.ndarray, description: str) -> None:
        """Writes the PNG and prints its description."""
        write_picture(self.out, pixels)
        print(printable(f"{description} in {self.out}"))
