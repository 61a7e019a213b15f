"""`zoo upscale`: a super-resolution model applied to one image."""

from __future__ import annotations

import dataclasses

from zoo.cli.picture import PictureCommand
from zoo.errors import UserError


@dataclasses.dataclass(frozen=True)
class Upscale(PictureCommand):
    """upscale an image of any size with a super-resolution model"""

    def __call__(self) -> None:
        model = self.open()
        if "upscale" not in model.signatures():
            raise UserError("zoo upscale: this run's model does not upscale images; `zoo list` shows what each model is for")
        from zoo.core.tiling import upscale_picture

        pixels = self.read(model.signatures()["upscale"].inputs[0].shape[-1])
        upscaled = upscale_picture(model, pixels)
        description = f"{pixels.shape[1]}x{pixels.shape[0]} pixels upscaled to {upscaled.shape[1]}x{upscaled.shape[0]}"
        self.write(upscaled, description)
