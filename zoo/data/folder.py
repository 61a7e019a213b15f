"""`folder:PATH`: pictures of the user's own, flat or in one folder a class."""

import collections
import sys
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from zoo.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
SIDE = 64  # of pictures that come in several sizes
SHOWN = 5  # file names in one message


def read(path, image_shape=None):
    """(uint8 images [n, h, w, c], int64 labels [n] or None, class names or None).

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
    stray = len(_pictures(path)) if classes else 0

    images, bad, converted = [], [], collections.Counter()
    for file, _ in files:
        try:
            with Image.open(file) as picture:
                images.append(_plain(picture, converted))
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            bad.append(f"{file} ({_reason(error)})")
    if bad:
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise UserError(f"{len(bad)} of {len(files)} pictures cannot be used: {', '.join(bad[:SHOWN])}{more}; mend or remove them")

    channels = image_shape[-1] if image_shape else max(1 if i.mode == "L" else 3 for i in images)
    sizes = {i.size for i in images}
    if image_shape:
        size = (image_shape[1], image_shape[0])
    else:
        size = sizes.copy().pop() if len(sizes) == 1 else (SIDE, SIDE)
        if len(sizes) > 1:
            converted[f"of {len(sizes)} different sizes, cut to squares of {SIDE}x{SIDE} (--image-shape chooses)"] = len(images)
    if stray:
        converted["beside the class folders, left out"] = stray
    if converted:
        print(f"warning: {path}: " + "; ".join(f"{n} pictures {what}" for what, n in converted.items()), file=sys.stderr)
    pixels = np.stack([_sized(i.convert("L" if channels == 1 else "RGB"), size) for i in images])
    labels = np.array([label for _, label in files], np.int64) if classes else None
    return pixels.reshape(len(images), size[1], size[0], channels), labels, classes or None


def _pictures(path):
    return sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file() and not p.name.startswith("."))


def _plain(picture, converted):
    """The picture in mode L or RGB; counts what had to be converted. Raises ValueError for one of a single pixel."""
    picture.load()
    if min(picture.size) < 2:
        raise ValueError(f"{picture.width}x{picture.height} pixels")
    mode = picture.mode
    if mode in ("L", "RGB"):
        return picture.copy()
    if mode.startswith(("I", "F")):
        converted["with 16 or more bits a channel, cut to 8"] += 1
        values = np.asarray(picture, np.float64)
        top = 65535 if mode.startswith("I;16") or values.max() > 255 else 255
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
