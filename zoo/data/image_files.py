"""Image files of any format, decoded as uint8 arrays in grayscale or RGB."""

from __future__ import annotations

import collections
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from zoo.data.memory import check_memory
from zoo.errors import UserError, printable

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
DEFAULT_SIDE = 64  # side of images after resizing, if their sizes differ
LISTED = 5  # file names in one message
GRAYSCALE_MODES = ("1", "L", "LA")
ORIENTATION_TAG, SIDEWAYS = 0x0112, (5, 6, 7, 8)  # EXIF: orientations that exchange width and height
# What Pillow raises for files that are damaged, truncated, too large or no images.
DECODE_ERRORS = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)

Size = tuple[int, int]  # width, height, as in Pillow


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by name; hidden files are skipped.

    Raises:
        UserError: The folder cannot be read.
    """
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"{folder} cannot be read: permission denied")
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file() and not p.name.startswith("."))


def digest_files(folder: Path, files: Sequence[Path]) -> str:
    """Eight hexadecimal digits that change with the names and sizes of the files."""
    text = b"".join(b"%s %d\n" % (os.fsencode(file.relative_to(folder)), file.stat().st_size) for file in files)
    return hashlib.sha256(text).hexdigest()[:8]


def read_image(path: str | os.PathLike[str], channels: int) -> np.ndarray:
    """Decodes one image file at its own size.

    Args:
        path: The file.
        channels: 1 for grayscale, 3 for RGB.

    Returns:
        uint8 [height, width, channels].

    Raises:
        DECODE_ERRORS: The file is not a valid image.
    """
    with Image.open(path) as picture:
        pixels = np.asarray(_to_plain_mode(picture, collections.Counter()).convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def is_grayscale(file: Path) -> bool:
    """Whether an image has no colors; False for damaged files, which `read_headers` reports."""
    try:
        with Image.open(file) as picture:
            return picture.mode in GRAYSCALE_MODES or picture.mode.startswith(("I", "F"))
    except DECODE_ERRORS:
        return False


def read_headers(files: Sequence[Path]) -> tuple[list[Size], bool]:
    """Sizes of images, and whether all are grayscale, without decoding them: they may be many and large.

    Raises:
        UserError: Files are not valid images.
    """
    invalid, sizes = [], []
    for file in files:
        try:
            with Image.open(file) as picture:
                sizes.append(_upright_size(picture))
        except DECODE_ERRORS as error:
            invalid.append(f"{file} ({_reason(error)})")
    refuse_invalid(invalid, len(files))
    return sizes, all(is_grayscale(file) for file in files)


def find_damaged(files: Sequence[Path]) -> Iterator[str]:
    """Decodes images; yields those that are missing or damaged, each with the reason."""
    for file in files:
        try:
            read_image(file, 3)
        except DECODE_ERRORS as error:
            yield f"{file} ({_reason(error)})"


def refuse_invalid(invalid: Sequence[str], count: int) -> None:
    """Raises a UserError that lists invalid files, if there are any, out of `count`."""
    if invalid:
        more = f" and {len(invalid) - LISTED} more" if len(invalid) > LISTED else ""
        raise UserError(f"{len(invalid)} of {count} pictures cannot be used: {', '.join(invalid[:LISTED])}{more}; repair or remove them")


def read_images(folder: Path, files: Sequence[Path], image_shape: Sequence[int] | None, notes: dict[str, int] | None = None) -> np.ndarray:
    """Decodes images; prints one warning that counts those which had to be converted.

    Args:
        folder: The folder that the warning mentions.
        files: The image files.
        image_shape: Height, width and channels. Default: the images' own if they share one size, otherwise 64x64; grayscale if all are.
        notes: Counts that the warning starts with.

    Returns:
        uint8 [n, height, width, channels], center-cropped and resized if necessary.

    Raises:
        UserError: Files are not valid images.
    """
    sizes, grayscale = read_headers(files)
    return _decode(folder, files, sizes, grayscale, image_shape, notes or {}, parts=1)[0]


def read_halves(folder: Path, files: Sequence[Path], image_shape: Sequence[int] | None) -> np.ndarray:
    """Decodes images as `read_images`, each as two: its left and its right half.

    Returns:
        uint8 [2, n, height, width, channels]: left halves, right halves.

    Raises:
        UserError: Files are not valid images, or have an odd width.
    """
    sizes, grayscale = read_headers(files)
    odd = [f"{file} ({width}x{height}: halves of different sizes)" for file, (width, height) in zip(files, sizes, strict=True) if width % 2]
    refuse_invalid(odd, len(files))
    notes = {}
    if upright := [(file, width, height) for file, (width, height) in zip(files, sizes, strict=True) if width <= height]:
        file, width, height = upright[0]
        text = f"not wider than high, split anyway ({file.name}: {width // 2}x{height}): are they pairs, side by side?"
        notes[text] = len(upright)
    half_sizes = [(width // 2, height) for width, height in sizes]
    return _decode(folder, files, half_sizes, grayscale, image_shape, notes, parts=2)


def _decode(
    folder: Path,
    files: Sequence[Path],
    sizes: Sequence[Size],
    grayscale: bool,
    image_shape: Sequence[int] | None,
    notes: dict[str, int],
    parts: int,
) -> np.ndarray:
    """uint8 [parts, n, height, width, channels]: each image divided into that many columns."""
    uniform = len(set(sizes)) == 1
    default = (*sizes[0][::-1], 1 if grayscale else 3) if uniform else (DEFAULT_SIDE, DEFAULT_SIDE, 1 if grayscale else 3)
    height, width, channels = image_shape or default
    counts = collections.Counter(notes)
    check_memory(
        f"reading the {len(files):,} pictures in {folder} at {width}x{height}x{channels}",
        parts * len(files) * height * width * channels,
        "choose a smaller --image-shape, or use fewer pictures",
    )
    pixels = np.empty((parts, len(files), height, width, channels), np.uint8)
    invalid = []
    for i, file in enumerate(files):
        try:
            with Image.open(file) as picture:
                plain = _to_plain_mode(picture, counts).convert("L" if channels == 1 else "RGB")
                side = plain.width // parts
                for k in range(parts):
                    part = plain.crop((side * k, 0, side * (k + 1), plain.height)) if parts > 1 else plain
                    pixels[k, i] = _center_crop_and_resize(part, (width, height)).reshape(height, width, channels)
        except DECODE_ERRORS as error:
            invalid.append(f"{file} ({_reason(error)})")
    refuse_invalid(invalid, len(files))
    if not image_shape and not uniform:
        text = f"of {len(set(sizes))} different sizes, center-cropped to a square and resized to {DEFAULT_SIDE}x{DEFAULT_SIDE}"
        counts[f"{text} (--image-shape chooses another size)"] = len(files)
    if counts := +counts:
        listed = "; ".join(f"{count} {text}" for text, count in counts.items())
        print(f"warning: pictures in {printable(f'{folder}: {listed}')}", file=sys.stderr)
    return pixels


def _upright_size(picture: Image.Image) -> Size:
    """Size of a picture after its EXIF rotation. Raises ValueError if a side has a single pixel."""
    if min(picture.size) < 2:
        raise ValueError(f"{picture.width}x{picture.height} pixels")
    sideways = picture.format != "TIFF" and picture.getexif().get(ORIENTATION_TAG) in SIDEWAYS  # Pillow turns TIFF files itself
    return (picture.height, picture.width) if sideways else picture.size


def _to_plain_mode(picture: ImageFile.ImageFile, counts: collections.Counter[str]) -> Image.Image:
    """The upright picture in mode L or RGB; counts the conversions."""
    deep = picture.mode.startswith(("I", "F"))
    if deep or any(";16" in packing for packing in _packings(picture)):  # Pillow itself reduces 16-bit colors to 8 bits
        counts["with 16 or more bits per channel, converted to 8-bit"] += 1
    picture.load()  # applies the orientation of TIFF files, so that it is not applied twice
    upright = ImageOps.exif_transpose(picture)
    mode = upright.mode
    if mode in ("L", "RGB"):
        return upright
    if deep:
        return _reduce_depth(upright)
    if mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        counts["with transparency, composited onto white"] += 1
        foreground = upright.convert("RGBA")
        background = Image.new("RGBA", upright.size, "white")
        return Image.alpha_composite(background, foreground).convert("L" if mode == "LA" else "RGB")
    plain = "L" if mode == "1" else "RGB"
    counts[f"{'with a palette' if mode == 'P' else f'in mode {mode}'}, converted to {plain}"] += 1
    return upright.convert(plain)


def _packings(picture: ImageFile.ImageFile) -> list[str]:
    """How the pixels of the file are packed, in Pillow's names: `RGB;16B`."""
    arguments = [tile[3] for tile in picture.tile]
    return [str(one[0] if isinstance(one, tuple) and one else one) for one in arguments]


def _reduce_depth(picture: Image.Image) -> Image.Image:
    """A picture of 16 bits, 32 bits or floats, scaled to 8 bits."""
    values = np.asarray(picture, np.float64)
    is_16_bit = picture.mode.startswith("I;16") or values.max() > 255
    maximum = 65535 if is_16_bit else 255 if values.max() > 1 else 1
    return Image.fromarray(np.uint8(np.clip(values * (255 / maximum), 0, 255)))


def _center_crop_and_resize(picture: Image.Image, size: Size) -> np.ndarray:
    """The picture as an array, center-cropped to the aspect ratio of `size` and resized to it (Lanczos)."""
    if picture.size != size:
        scale = min(picture.width / size[0], picture.height / size[1])
        width, height = size[0] * scale, size[1] * scale
        left, top = (picture.width - width) / 2, (picture.height - height) / 2
        picture = picture.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + width, top + height))
    return np.asarray(picture)


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return (getattr(error, "strerror", None) or str(error).split(":")[0])[:60]
