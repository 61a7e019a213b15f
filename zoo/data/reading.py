"""How the user wants data to be read, where there is a choice."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from zoo.errors import UserError

RESIZING = {"center": "center-cropped and resized", "pad": "padded and resized", "none": "resized without cropping"}  # crop -> what it does


@dataclasses.dataclass(frozen=True)
class Reading:
    """Choices about reading a dataset.

    Attributes:
        crop: How images get another aspect ratio: `center` (their middle is used), `pad` (on white) or `none` (distorted).
        frames: Whether each frame of a file is an image, and not the first one only.
        label_file: Path of a file with the labels of a folder's images; see `zoo.data.label_files`. None: those of the folder.
        label_key: Name of the feature of a TFDS dataset that holds the labels; None: `label`, or the only one.
    """

    crop: str = "center"
    frames: bool = False
    label_file: str | None = None
    label_key: str | None = None

    def __post_init__(self) -> None:
        if self.crop not in RESIZING:  # that of a record; the command line knows the choices
            raise UserError(f"crop '{self.crop}' does not exist. Available: {', '.join(RESIZING)}")

    def describe_resizing(self, width: int, height: int) -> str:
        """What happens to images of other sizes."""
        return f"{RESIZING[self.crop]} to {width}x{height} (width x height)"

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Reading:
        """From the options of a run, of which older records lack some."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: options[name] for name in names if options.get(name) is not None})


DEFAULT_READING = Reading()
