"""`folder:PATH`: pictures of the user's own, flat or in one folder a class."""

import collections
import hashlib
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from zoo.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
SIDE = 64  # of pictures that come in several sizes
SHOWN = 5  # file names in one message
GREY = ("1", "L", "LA")
FAULTS = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow says of bad files


def read(path, image_shape=None):
    """(uint8 images [n, h, w, c], int64 labels [n] or None, class names or None, digest of the files).

    Pictures of one size keep it; others are cut to the middle square and resized to 64x64, or to `image_shape`. Grey stays
    grey where all are. Raises UserError where the folder is empty or a picture can't be read, naming the files.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        raise UserError(f"there is no folder {path}; give one with pictures: --data folder:PATH")
    classes = sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith(".") and _pictures(p))
    files = [(f, i) for i, c in enumerate(classes) for f in _pictures(path / c)] or [(f, None) for f in _pictures(path)]
    if not files:
        raise UserError(f"no pictures in {path}; it may hold {' '.join(sorted(SUFFIXES))} files, or one folder of them a class")

    bad, converted, sizes, grey = [], collections.Counter(), [], []
    for file, _ in files:  # headers only: pictures may be many and large
        try:
            with Image.open(file) as picture:
                sizes.append(_size(picture))
                grey.append(picture.mode in GREY or picture.mode.startswith(("I", "F")))
        except FAULTS as error:
            bad.append(f"{file} ({_reason(error)})")
    if not bad:
        size = (image_shape[1], image_shape[0]) if image_shape else sizes[0] if len(set(sizes)) == 1 else (SIDE, SIDE)
        channels = image_shape[-1] if image_shape else 1 if all(grey) else 3
        pixels = np.empty((len(files), size[1], size[0], channels), np.uint8)
        for row, (file, _) in zip(pixels, files):
            try:
                with Image.open(file) as picture:
                    row[:] = _sized(_plain(picture, converted).convert("L" if channels == 1 else "RGB"), size).reshape(row.shape)
            except FAULTS as error:
                bad.append(f"{file} ({_reason(error)})")
    if bad:
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise UserError(f"{len(bad)} of {len(files)} pictures cannot be used: {', '.join(bad[:SHOWN])}{more}; mend or remove them")

    if not image_shape and len(set(sizes)) > 1:
        converted[f"of {len(set(sizes))} different sizes, cut to squares of {SIDE}x{SIDE} (--image-shape chooses)"] = len(files)
    if classes and (stray := len(_pictures(path))):
        converted["beside the class folders, left out"] = stray
    if converted:
        print(f"warning: pictures in {path}: " + "; ".join(f"{n} {what}" for what, n in converted.items()), file=sys.stderr)
    labels = np.array([label for _, label in files], np.int64) if classes else None
    return pixels, labels, classes or None, _digest(path, files)


def _digest(path, files):
    """Eight hexadecimal digits that change with the names and sizes of the files."""
    text = "".join(f"{file.relative_to(path)} {file.stat().st_size}\n" for file, _ in files)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _size(picture):
    """(width, height) as the picture is meant to be seen. Raises ValueError for one of a single pixel."""
    if min(picture.size) < 2:
        raise ValueError(f"{picture.width}x{picture.height} pixels")
    turned = picture.getexif().get(0x0112, 1) >= 5  # the camera was held upright
    return picture.size[::-1] if turned else picture.size


def _pictures(path):
    return sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file() and not p.name.startswith("."))


def _plain(picture, converted):
    """The picture in mode L or RGB, upright; counts what had to be converted."""
    deep = picture.mode.startswith(("I", "F"))
    if deep or "16" in str([tile[3] for tile in picture.tile]):  # how the file is packed: Pillow cuts 16-bit colours to 8 by itself
        converted["with 16 or more bits a channel, cut to 8"] += 1
    picture = ImageOps.exif_transpose(picture)
    mode = picture.mode
    if mode in ("L", "RGB"):
        return picture
    if deep:
        values = np.asarray(picture, np.float64)
        top = 65535 if mode.startswith("I;16") or values.max() > 255 else 255 if values.max() > 1 else 1
        return Image.fromarray(np.uint8(np.clip(values * (255 / top), 0, 255)))
    if mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        converted["with transparency, put on white"] += 1
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(ground, picture).convert("L" if mode == "LA" else "RGB")
    plain = "L" if mode == "1" else "RGB"
    converted[f"{'with a palette' if mode == 'P' else f'in mode {mode}'}, turned into {plain}"] += 1
    return picture.convert(plain)


def _sized(picture, size):
    """The picture as an array, its middle cut to the proportions of `size` (width, height) and resized to it."""
    if picture.size != size:
        scale = min(picture.width / size[0], picture.height / size[1])
        width, height = size[0] * scale, size[1] * scale
        left, top = (picture.width - width) / 2, (picture.height - height) / 2
        picture = picture.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + width, top + height))
    return np.asarray(picture)


def _reason(error):
    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    return str(error).split(":")[0][:60]
