"""Image files of any format: what their headers say, and their pixels as uint8 arrays in grayscale, RGB or RGBA."""

from __future__ import annotations

import collections
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from zoo.errors import UserError, join_first, printable

# Files with these suffixes are meant to be images: what cannot be read of them is an error. Other files are recognized by their content.
SUFFIXES = {".png", ".apng", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".dib", ".gif", ".webp", ".avif", ".tif", ".tiff"}
SUFFIXES |= {".ppm", ".pgm", ".pbm", ".pnm", ".qoi", ".jp2"}
UNREAD_SUFFIXES = {
    ".heic",
    ".heif",
    ".jxl",
    ".svg",
    ".raw",
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".exr",
    ".hdr",
    ".dcm",
    ".nii",
}  # of pictures
# The formats of Pillow that hold one or more pictures, are recognized by their first bytes, and need no other program.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "TIFF", "WEBP")
ANIMATED = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")  # formats whose further frames are pictures of their own
DEFAULT_SIDE = 64  # side of images after resizing, if their sizes differ
GRAYSCALE_MODES = ("1", "L", "LA")
TRANSPARENT_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # of decoded images, by their number of channels
RANGES = (1, 255, 1023, 4095, 16383, 65535)  # largest values of deep images that are usual
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
# What Pillow raises for files that are damaged, truncated, too large or no images.
DECODE_ERRORS = (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)

Size = tuple[int, int]  # width, height, as in Pillow


class Header(NamedTuple):
    """What a file says about its picture.

    Attributes:
        digest: Hexadecimal digits of the file's content.
        width: Of the upright picture.
        height: Of the upright picture.
        mode: Pillow's, or `RGB;16` for colors of 16 bits, which Pillow reduces to 8.
        frames: Number of pictures in the file.
        highest: The largest value of a picture of more than 8 bits per channel; 0 for others.
    """

    digest: str
    width: int
    height: int
    mode: str
    frames: int
    highest: float

    @property
    def size(self) -> Size:
        """Width and height of the upright picture."""
        return self.width, self.height

    @property
    def is_grayscale(self) -> bool:
        """Whether the picture has no colors."""
        return self.mode in GRAYSCALE_MODES or self.is_deep

    @property
    def is_deep(self) -> bool:
        """Whether the picture has one channel of 16 bits, 32 bits or floats."""
        return self.mode.startswith(("I", "F"))


def open_image(file: BinaryIO | str | os.PathLike[str]) -> ImageFile.ImageFile:
    """Opens an image of one of the formats that are read."""
    Image.init()
    return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])  # those that this Pillow was built with


def read_header(file: BinaryIO, digest: str, frame: int = 0) -> Header:
    """The header of an image file, or of one of its frames.

    Raises:
        DECODE_ERRORS: The file is not a valid image, is smaller than 2x2 pixels, or has negative values.
    """
    with open_image(file) as picture:
        if frame:
            picture.seek(frame)
        packings = _packings(picture)  # before the search for an orientation, which may load the picture
        width, height = _upright_size(picture)
        if min(width, height) < 2:
            raise ValueError(f"{width}x{height} pixels")
        frames = getattr(picture, "n_frames", 1) if picture.format in ANIMATED else 1
        mode, highest = picture.mode, 0.0
        if mode.startswith(("I", "F")):
            values = np.asarray(picture, np.float64)
            if not np.isfinite(values).all() or values.min() < 0:
                raise ValueError("negative or infinite values")
            highest = float(values.max())
        elif any(";16" in name for name in packings):
            mode += ";16"
        return Header(digest, width, height, mode, frames, highest)


def open_upright(
    file: BinaryIO | str | os.PathLike[str], highest: float | None = None, frame: int = 0, transparent: bool = False
) -> Image.Image:
    """The upright picture of a file, in mode L or RGB: transparency is composited onto white, and deep pictures are scaled to 8 bits.

    Args:
        file: Its path, or the open file.
        highest: The value of a deep picture that becomes 255; by default one of `RANGES`, or its own largest value.
        frame: The number of the picture in a file of several.
        transparent: Whether transparency is kept, and the mode is RGBA if there is any.
    """
    with open_image(file) as picture:
        if frame:
            picture.seek(frame)
        picture.load()  # applies the orientation of TIFF files, so that it is not applied twice
        upright = ImageOps.exif_transpose(picture)
    mode = upright.mode
    if mode.startswith(("I", "F")):
        return _reduce_depth(upright, highest)
    if mode in TRANSPARENT_MODES or "transparency" in upright.info:
        foreground = upright.convert("RGBA")
        if transparent:
            return foreground
        background = Image.new("RGBA", upright.size, "white")
        return Image.alpha_composite(background, foreground).convert("L" if mode in ("LA", "La") else "RGB")
    return upright if mode in ("L", "RGB") else upright.convert("L" if mode == "1" else "RGB")


def to_pixels(picture: Image.Image, channels: int) -> np.ndarray:
    """A picture as uint8 [height, width, channels]; where it is fully transparent, the color is white."""
    pixels = np.asarray(picture.convert(MODES[channels]))
    if channels == 4:
        pixels = np.where(pixels[..., 3:] > 0, pixels, np.array([255, 255, 255, 0], np.uint8))
    return pixels.reshape(*pixels.shape[:2], channels)


def full_range(highest: float) -> float:
    """The value that becomes 255, for pictures of more than 8 bits whose largest value is `highest`."""
    return next((limit for limit in RANGES if highest <= limit), highest)


def center_crop_and_resize(picture: Image.Image, size: Size) -> Image.Image:
    """The picture center-cropped to the aspect ratio of `size` and resized to it (Lanczos)."""
    if picture.size == size:
        return picture
    scale = min(picture.width / size[0], picture.height / size[1])
    width, height = size[0] * scale, size[1] * scale
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    return picture.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + width, top + height))


def pad_and_resize(picture: Image.Image, size: Size) -> Image.Image:
    """The whole picture, resized (Lanczos) to fit into `size`, on white, or on transparent white."""
    if picture.size == size:
        return picture
    colors: dict[str, int | tuple[int, ...]] = {"L": 255, "RGB": (255, 255, 255), "RGBA": (255, 255, 255, 0)}
    return ImageOps.pad(picture, size, Image.Resampling.LANCZOS, color=colors[picture.mode])


def distort(picture: Image.Image, size: Size) -> Image.Image:
    """The whole picture, resized (Lanczos) to `size`, whatever its aspect ratio."""
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)


RESIZING = {"center": center_crop_and_resize, "pad": pad_and_resize, "none": distort}


def highest_value(headers: Iterable[Header]) -> float | None:
    """The value that becomes 255 in pictures of more than 8 bits: one for the whole folder; None if there are none."""
    deep = [header.highest for header in headers if header.is_deep]
    return full_range(max(deep)) if deep else None


def count_conversions(headers: Mapping[Header, int], channels: int) -> collections.Counter[str]:
    """What is converted when pictures are decoded, for the warning about a folder.

    Args:
        headers: Of the pictures, and how many have each.
        channels: Of the decoded images.
    """
    counts: collections.Counter[str] = collections.Counter()
    limit = highest_value(headers)
    for header, count in headers.items():
        mode = header.mode
        if header.is_deep:
            counts[f"with 16 or more bits per channel, scaled from 0 to {limit:,.10g}"] += count
        elif mode.endswith(";16"):
            counts["with 16 bits per channel, converted to 8-bit"] += count
        elif mode in TRANSPARENT_MODES:
            if channels != 4:
                counts["with transparency, composited onto white"] += count
        elif mode not in ("L", "RGB"):
            plain = "L" if mode == "1" else MODES[max(channels, 3)]
            counts[f"{'with a palette' if mode == 'P' else f'in mode {mode}'}, converted to {plain}"] += count
        if header.frames > 1:
            counts["with several frames, of which the first is used"] += count
    return counts


def count_others(others: Mapping[str, int]) -> collections.Counter[str]:
    """What is left out because it is not a readable picture, for the warning about a folder.

    Args:
        others: Suffixes of such files, and how many have each.
    """
    return collections.Counter({describe_other(suffix): count for suffix, count in others.items()})


def describe_other(suffix: str) -> str:
    """What a file that is not a readable picture is called in the warning about a folder."""
    return f"in an unsupported format ({suffix}), convert them" if suffix in UNREAD_SUFFIXES else f"of another type ({suffix})"


def warn(folder: Path, counts: Mapping[str, int]) -> None:
    """Prints one line on what of a folder is left out or converted, if anything is.

    Args:
        folder: The folder or archive.
        counts: Descriptions, and how many files or folders each is true of.
    """
    if counts:
        listed = "; ".join(f"{count} {text}" for text, count in counts.items())
        print(f"warning: pictures in {printable(f'{folder}: {listed}')}", file=sys.stderr)


def refuse_invalid(invalid: Sequence[str], count: int) -> None:
    """Raises a UserError that lists invalid files, if there are any, out of `count`."""
    if invalid:
        raise UserError(f"{len(invalid)} of {count} pictures cannot be used: {join_first(invalid)}; repair or remove them")


def reason(error: BaseException) -> str:
    """Why a file cannot be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return (getattr(error, "strerror", None) or str(error).split(":")[0] or type(error).__name__)[:60]


def _upright_size(picture: ImageFile.ImageFile) -> Size:
    """Size of a picture after its EXIF rotation, which Pillow has applied already to that of TIFF files."""
    sideways = picture.format != "TIFF" and picture.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS
    return (picture.height, picture.width) if sideways else picture.size


def _packings(picture: ImageFile.ImageFile) -> list[str]:
    """How the pixels of the file are packed, in Pillow's names: `RGB;16B`."""
    arguments: list[Any] = [tile[3] for tile in picture.tile]
    return [str(one[0] if isinstance(one, tuple) and one else one) for one in arguments]


def _reduce_depth(picture: Image.Image, highest: float | None) -> Image.Image:
    values = np.asarray(picture, np.float64)
    limit = full_range(float(values.max())) if highest is None else highest
    return Image.fromarray(np.clip(np.rint(values * (255 / limit)), 0, 255).astype(np.uint8))
