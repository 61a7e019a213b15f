"""Decoding the files of a folder in parallel, into arrays of one shape."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from zoo.data import image_files
from zoo.data.files import FileTree
from zoo.data.image_files import DECODE_ERRORS, Header, Size
from zoo.data.index import Index
from zoo.data.layouts import Layout
from zoo.data.stored import Chunk, Examples

CHUNK, CHUNK_PIXELS = 64, 2**24  # pictures that are decoded together, and their pixels


class DamagedFileError(Exception):
    """A file that is missing or no valid image; the message names it, with the reason."""


@dataclasses.dataclass(frozen=True)
class Decoder:
    """Decodes the pictures of a folder.

    Attributes:
        tree: The files.
        index: What their headers say.
        cache_dir: A writable folder for decoded examples.
        crop: How images get another aspect ratio, see `Reading`.
    """

    tree: FileTree
    index: Index
    cache_dir: str
    crop: str

    def headers(self, names: Sequence[str]) -> list[Header]:
        """What the files say about their pictures."""
        return [self.index.headers[name] for name in names]

    def kinds(self, names: Sequence[str]) -> collections.Counter[Header]:
        """The different headers, without digests, and how many files have each."""
        counts = collections.Counter([header[1:] for header in self.headers(names)])
        return collections.Counter({Header("", *fields): count for fields, count in counts.items()})

    def loader(
        self,
        layout: Layout,
        keys: tuple[str, ...],
        shape: tuple[int, int, int],
        highest: float | None,
        numbers: Callable[[str], dict[str, np.ndarray]],
    ) -> Callable[[str], dict[str, np.ndarray]]:
        """The function that loads a split: its images, decoded once, and its numbers; see `highest_value` for `highest`."""
        height, width, channels = shape
        partners = {
            name: partner for split in layout.partners for name, partner in zip(layout.files[split], layout.partners[split], strict=True)
        }

        def decode(name: str) -> dict[str, np.ndarray]:
            names = [name, partners[name]] if name in partners else [name]
            parts = [self._decode_parts(file, len(keys) // len(names), (width, height), channels, highest) for file in names]
            return dict(zip(keys, sum(parts, []), strict=True))

        def load(split: str) -> dict[str, np.ndarray]:
            files = layout.files[split]
            both = [*files, *layout.partners.get(split, ())]
            examples = Examples(
                key=f"{self.index.digest(both, digits=24)}-{split}-{height}x{width}x{channels}-{len(keys)}-{highest or 255:g}-{self.crop}",
                shapes=dict.fromkeys(keys, ((len(files), height, width, channels), np.uint8)),
                rows=len(files),
                chunks=lambda: self.in_parallel(files, decode, np.stack),
                description=f"decoding {len(files):,} pictures in {self.tree.path}",
            )
            return {**examples.load(self.cache_dir), **numbers(split)}

        return load

    def in_parallel(
        self, names: Sequence[str], decode: Callable[[str], dict[str, np.ndarray]], join: Callable[[list[np.ndarray]], np.ndarray]
    ) -> Iterator[Chunk]:
        """Decodes files in order, some at a time.

        Raises:
            UserError: Files are not valid images; all of them are named.
        """
        invalid: list[str] = []

        def attempt(name: str) -> dict[str, np.ndarray] | None:
            try:
                return decode(name)
            except DamagedFileError as error:
                invalid.append(str(error))
                return None

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for part in self._parts(names):
                decoded = list(pool.map(attempt, part))
                if not invalid:
                    yield {key: join([arrays[key] for arrays in decoded if arrays]) for key in decoded[0] or ()}
        image_files.refuse_invalid(sorted(invalid), len(names))

    def _parts(self, names: Sequence[str]) -> Iterator[Sequence[str]]:
        """The names in consecutive parts, of so many pictures as are decoded together: few large ones."""
        start = pixels = 0
        for end, header in enumerate(self.headers(names)):
            pixels += header.width * header.height
            if end > start and (end - start == CHUNK or pixels > CHUNK_PIXELS):
                yield names[start:end]
                start, pixels = end, header.width * header.height
        yield names[start:]

    def decode(self, name: str, channels: int, highest: float | None) -> np.ndarray:
        """One picture at its own size."""
        return image_files.to_pixels(self._open(name, highest, channels), channels)

    def _open(self, name: str, highest: float | None, channels: int) -> Image.Image:
        """The upright picture of a file, or of one of its frames.

        Raises:
            DamagedFileError: It is missing, or no valid image.
        """
        file_name, frame = self.index.locate(name)
        try:
            with self.tree.open_file(file_name) as file:
                picture = image_files.open_upright(file, highest, frame, transparent=channels == 4)
            if self.tree.has_changed(file_name):
                raise ValueError("changed since the command started")
            return picture
        except DECODE_ERRORS as error:
            raise DamagedFileError(f"{self.index.describe(self.tree, name)} ({image_files.reason(error)})") from None

    def _decode_parts(self, name: str, parts: int, size: Size, channels: int, highest: float | None) -> list[np.ndarray]:
        """The columns of one picture, each center-cropped and resized."""
        picture = self._open(name, highest, channels).convert(image_files.MODES[channels])
        side = picture.width // parts
        columns = [picture.crop((side * k, 0, side * (k + 1), picture.height)) for k in range(parts)] if parts > 1 else [picture]
        return [image_files.to_pixels(image_files.RESIZING[self.crop](column, size), channels) for column in columns]

    def find_damaged(self, names: Sequence[str]) -> Iterator[str]:
        """Decodes pictures; yields those that are missing or damaged, each with the reason."""
        for name in names:
            try:
                self.decode(name, 3, None)
            except DamagedFileError as error:
                yield str(error)
