"""`zoo upscale`: a super-resolution model applied to images."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.picture import PictureCommand
from zoo.errors import UserError

if TYPE_CHECKING:
    import numpy as np


@dataclasses.dataclass(frozen=True)
class Upscale(PictureCommand):
    """upscale an image of any size, or a folder of them, with a super-resolution model"""

    def open(self) -> Any:
        model = super().open()
        if "upscale" not in model.signatures():
            raise UserError("zoo upscale: this model does not upscale images; `zoo list` shows what each model is for")
        return model

    def apply(self, model: Any, file: Path, highest: float | None) -> tuple[np.ndarray, str]:
        from zoo.core.tiling import upscale_picture
        from zoo.data.image_files import to_pixels

        channels = model.signatures()["upscale"].inputs[0].shape[-1]
        pixels = to_pixels(self.read(file, channels, highest), channels)
        upscaled = upscale_picture(model, pixels)
        return upscaled, f"{pixels.shape[1]}x{pixels.shape[0]} pixels upscaled to {upscaled.shape[1]}x{upscaled.shape[0]}"
