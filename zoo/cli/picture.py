"""Commands that apply a run's model to one image, or to all images of a folder."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from zoo.cli.arguments import ModelArgument, register_model, write_picture
from zoo.errors import UserError, printable
from zoo.types import Omittable

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from zoo.pretrained import PublishedModel
    from zoo.runs import Run, RunRecord


@dataclasses.dataclass(frozen=True)
class PictureCommand:
    """A command that applies a run's model to images."""

    run: ModelArgument
    picture: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")]
    """the image file, or a folder of images"""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """the PNG file to write; for a folder of images, the folder to write to"""
    checkpoint: str = "last"
    """checkpoint to load: `last`, `best`, or a step"""
    model: Omittable[str] = None
    """path/to/file.py:NAME, if the run's model is your own"""

    def __call__(self) -> None:
        model = self.open()
        if not self.picture.is_dir():
            pixels, description = self.apply(model, self.picture, None)
            write_picture(self.out, pixels)
            print(printable(f"{description} in {self.out}"))
            return
        files = self._list_files(model.config.image_shape[-1])
        for file, out, highest in self._progress(files):
            pixels, _ = self.apply(model, file, highest)
            write_picture(out, pixels)
        print(printable(f"{len(files)} {'image' if len(files) == 1 else 'images'} of {self.picture} in {self.out}"))

    @functools.cached_property
    def record(self) -> RunRecord:
        """The record of the run."""
        return self.trained.record

    @functools.cached_property
    def trained(self) -> Run | PublishedModel:
        """The run, or the published model."""
        from zoo.pretrained import open_model

        return open_model(self.run)

    def apply(self, model: Any, file: Path, highest: float | None) -> tuple[np.ndarray, str]:
        """What the model makes of an image file, uint8 [h, w, channels], and a description.

        Args:
            model: The run's model.
            file: The image file.
            highest: The value that is white in images of more than 8 bits; None: decided by the file alone.
        """
        raise NotImplementedError

    def open(self) -> Any:
        """The run's model."""
        from zoo.pretrained import load_model

        if self.picture.is_dir():
            if self.out.suffix.lower() == ".png" or self.out.is_file():
                raise UserError(f"{self.out}: {self.picture} is a folder; give the name of a folder to write its images to")
            if self.picture.resolve() in (self.out.resolve(), *self.out.resolve().parents):
                raise UserError(f"{self.out} is in {self.picture}, whose images would be mixed with their results; give another folder")
        elif self.out.suffix.lower() != ".png":
            raise UserError(f"{self.out}: images are written as PNG; give a name that ends in .png")
        register_model(self.model)
        return load_model(self.trained, self.checkpoint, discriminator=False)

    def _list_files(self, channels: int) -> list[tuple[Path, Path, float | None]]:
        """The image files of the folder, the files to write (of the same name, as PNG), and the value that is white in deep images.

        Prints what is left out or converted to images of `channels` channels.

        Raises:
            UserError: There are none, some cannot be read, or files would overwrite each other.
        """
        from zoo.data import image_files
        from zoo.data.files import FileTree
        from zoo.data.index import read_index

        tree = FileTree.open(self.picture)
        index = read_index(tree, "")
        image_files.refuse_invalid(
            [f"{tree.path / name} ({reason})" for name, reason in index.damaged.items()], len(index.damaged) + len(index.headers)
        )
        if not index.names:
            raise UserError(f"no images in {self.picture}")
        converted = image_files.count_conversions(collections.Counter(index.headers.values()), channels)
        image_files.warn(self.picture, image_files.count_others(index.others) + collections.Counter(tree.skipped) + converted)
        outs: dict[Path, str] = {}
        for name in index.names:
            out = (self.out / name).with_suffix(".png")
            if out in outs:
                raise UserError(f"{outs[out]} and {name} of {self.picture} would both be written to {out}; rename one")
            outs[out] = name
        deep = max((header.highest for header in index.headers.values()), default=0)
        return [(self.picture / name, out, image_files.full_range(deep) if deep else None) for out, name in outs.items()]

    def _progress(self, files: list[Any]) -> Iterable[Any]:
        from tqdm import tqdm

        return tqdm(files, str(self.picture), leave=False, disable=None)

    @staticmethod
    def read(file: Path, channels: int, highest: float | None) -> Image.Image:
        """An upright picture of 1, 3 or 4 channels."""
        from zoo.core.images import MIN_SIDE
        from zoo.data.image_files import DECODE_ERRORS, MODES, open_upright

        try:
            picture = open_upright(file, highest, transparent=channels == 4).convert(MODES[channels])
        except DECODE_ERRORS as error:
            raise UserError(f"{file} cannot be read as an image: {getattr(error, 'strerror', None) or error}") from None
        if min(picture.size) < MIN_SIDE:
            raise UserError(f"{file} has {picture.width}x{picture.height} pixels; at least {MIN_SIDE}x{MIN_SIDE} are needed")
        return picture
