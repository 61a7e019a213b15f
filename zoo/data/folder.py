"""`folder:PATH`: pictures of the user's own.

Flat, or one folder a class; `trainA trainB testA testB` for two domains; pictures with two halves, side by side, for pairs (flat, or in
`train` and `test`); one folder an identity, with files that are named by pose.
"""

import collections
import hashlib
import os
import re
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
    path = _folder(path)
    classes = _classes(path)
    files = [(f, i) for i, c in enumerate(classes) for f in _pictures(path / c)] or [(f, None) for f in _pictures(path)]
    if not files:
        raise UserError(f"no pictures in {path}; it may hold {' '.join(sorted(SUFFIXES))} files, or one folder of them a class")
    stray = len(_pictures(path)) if classes else 0
    pixels = _images(path, [file for file, _ in files], image_shape, {"beside the class folders, left out": stray})
    labels = np.array([label for _, label in files], np.int64) if classes else None
    return pixels, labels, classes or None, _digest(path, [file for file, _ in files])


def domains(path, image_shape=None):
    """({`trainA`: uint8 images, ...}, digest) of a folder of two domains; `testA` and `testB` may be missing.

    Raises UserError as `read`, where a domain has no pictures, and where one is grey and the other not.
    """
    path = _folder(path)
    parts = ["trainA", "trainB", *(["testA", "testB"] if (path / "testA").is_dir() or (path / "testB").is_dir() else [])]
    files = {part: _pictures(path / part) if (path / part).is_dir() else [] for part in parts}
    if empty := [part for part, found in files.items() if not found]:
        raise UserError(f"no pictures in {' and '.join(str(path / part) for part in empty)}; two domains are trainA trainB [testA testB]")
    joined = [file for part in parts for file in files[part]]
    if image_shape is None:
        grey = {domain: all(_grey(file) for part in parts if part[-1] == domain for file in files[part]) for domain in "AB"}
        if grey["A"] != grey["B"]:
            alone = "A" if grey["A"] else "B"
            raise UserError(
                f"the pictures of domain {alone} in {path} are grey and the others are not; "
                "--image-shape HEIGHT WIDTH 3 (or 1) makes them alike"
            )
    pixels = _images(path, joined, image_shape)
    ends = np.cumsum([len(files[part]) for part in parts])[:-1]
    return dict(zip(parts, np.split(pixels, ends))), _digest(path, joined)


def pairs(path, image_shape=None):
    """({split: (uint8 x, uint8 y)}, digest) of pictures whose left half is x and whose right half is y.

    They lie in `train` and, if there are any, `test` (or `val`), or flat, which is all to train on. Raises UserError as `read`, and where
    a picture cannot be halved.
    """
    path = _folder(path)
    folders = {"train": path / "train", "test": next((path / p for p in ("test", "val") if (path / p).is_dir()), path / "test")}
    files = {split: _pictures(folder) for split, folder in folders.items() if folder.is_dir()}
    files = files if "train" in files else {"train": _pictures(path)}
    if empty := [split for split, found in files.items() if not found]:
        raise UserError(f"no pictures to {empty[0]} on in {path}; pairs lie side by side in one picture each, in train/ and test/, or flat")
    joined = [file for found in files.values() for file in found]
    pixels = _images(path, joined, image_shape, halves=True)
    ends = np.cumsum([len(found) for found in files.values()])[:-1]
    return dict(zip(files, zip(*(np.split(half, ends) for half in pixels)))), _digest(path, joined)


def poses(path, image_shape=None):
    """(uint8 images, int64 labels, identities, int64 poses, names of the poses, digest) of `IDENTITY/POSE*.jpg`.

    A pose is what a file's name begins with, up to the first `_`, `-`, `.` or blank. Raises UserError as `read`, where there are no
    folders of identities, and where an identity is seen in one pose only.
    """
    path = _folder(path)
    identities = _classes(path)
    if identities and (empty := sorted(p for p in path.iterdir() if p.is_dir() and p.name not in identities and p.name[0] != ".")):
        raise UserError(f"no pictures in {empty[0]}; each identity has a folder of its own: IDENTITY/POSE*.jpg; remove it, or fill it")
    if len(identities) < 2:
        raise UserError(
            f"no folders of identities in {path}; it must hold two at least, of pictures that are named by pose: IDENTITY/POSE*.jpg"
        )
    files = [(file, i) for i, identity in enumerate(identities) for file in _pictures(path / identity)]
    named = [re.split(r"[_\-.\s]", file.stem)[0] for file, _ in files]
    if nameless := [file for (file, _), name in zip(files, named) if not name]:
        raise UserError(f"the name of {nameless[0]} does not begin with a pose; IDENTITY/POSE*.jpg, as anna/left_1.jpg")
    names = sorted(set(named), key=lambda name: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)])
    labels, seen = np.array([i for _, i in files], np.int64), np.array([names.index(name) for name in named], np.int64)
    alone = [identity for i, identity in enumerate(identities) if len(set(seen[labels == i])) < 2]
    if alone:
        raise UserError(
            f"{path / alone[0]} has pictures of one pose only{f', and so have {len(alone) - 1} more' if alone[1:] else ''}; "
            f"a pose is what a file's name begins with, and there are: {', '.join(names[:SHOWN])}{', ...' if names[SHOWN:] else ''}"
        )
    lone = [name for i, name in enumerate(names) if len(set(labels[seen == i])) < 2]
    if 2 * len(lone) > len(names):
        print(
            f"warning: {len(lone)} of {len(names)} poses in {path} are those of one identity only ({', '.join(lone[:SHOWN])}); "
            "a pose is what a file's name begins with, up to the first _ - . or blank, and the same for all: IDENTITY/left_1.jpg",
            file=sys.stderr,
        )
    return _images(path, [f for f, _ in files], image_shape), labels, identities, seen, names, _digest(path, [f for f, _ in files])


def pictures(path):
    """({split: files}, whether all are grey, digest): pictures of any size, flat or in `train` and, if there are any, `test`."""
    path = _folder(path)
    files = {split: _pictures(path / split) for split in ("train", "test") if (path / split).is_dir()}
    files = files if files.get("train") else {"train": _pictures(path)}
    if not files["train"]:
        raise UserError(f"no pictures in {path}; it may hold {' '.join(sorted(SUFFIXES))} files")
    joined = [file for found in files.values() for file in found]
    _, grey = _headers(joined)
    return {split: found for split, found in files.items() if found}, all(grey), _digest(path, joined)


def whole(file, channels):
    """One picture as it is, uint8 [h, w, channels]."""
    with Image.open(file) as picture:
        pixels = np.asarray(_plain(picture, collections.Counter()).convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def _folder(path):
    path = Path(path).expanduser()
    if not os.path.isdir(path):
        raise UserError(f"there is no folder {path}; give one with pictures: --data folder:PATH")
    return path


def _classes(path):
    return sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith(".") and _pictures(p))


def _grey(file):
    try:
        with Image.open(file) as picture:
            return picture.mode in GREY or picture.mode.startswith(("I", "F"))
    except FAULTS:
        return False  # told of by `_headers`


def _headers(files):
    """(sizes as (width, height), whether they are grey) of pictures, which may be many and large: these are not read whole."""
    bad, sizes = [], []
    for file in files:
        try:
            with Image.open(file) as picture:
                sizes.append(_size(picture))
        except FAULTS as error:
            bad.append(f"{file} ({_reason(error)})")
    _refuse(bad, len(files))
    return sizes, [_grey(file) for file in files]


def _refuse(bad, count):
    if bad:
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise UserError(f"{len(bad)} of {count} pictures cannot be used: {', '.join(bad[:SHOWN])}{more}; mend or remove them")


def _images(path, files, image_shape=None, said=None, halves=False):
    """Pictures as uint8 [n, h, w, c], or with `halves` the left and the right one of each; what had to be changed is said in one line."""
    bad, (sizes, grey) = [], _headers(files)
    if halves:
        _refuse([f"{file} ({w}x{h}: halves of different sizes)" for file, (w, h) in zip(files, sizes) if w % 2], len(files))
        if upright := [(file, w, h) for file, (w, h) in zip(files, sizes) if w <= h]:
            file, w, h = upright[0]
            said = {f"not wider than high, halved all the same ({file.name}: {w // 2}x{h}): are they pairs, side by side?": len(upright)}
        sizes = [(width // 2, height) for width, height in sizes]
    size = (image_shape[1], image_shape[0]) if image_shape else sizes[0] if len(set(sizes)) == 1 else (SIDE, SIDE)
    channels = image_shape[-1] if image_shape else 1 if all(grey) else 3
    converted = collections.Counter(said)
    pixels = np.empty((1 + halves, len(files), size[1], size[0], channels), np.uint8)
    for i, file in enumerate(files):
        try:
            with Image.open(file) as picture:
                plain = _plain(picture, converted).convert("L" if channels == 1 else "RGB")
                for k in range(1 + halves):
                    part = plain.crop((plain.width // 2 * k, 0, plain.width // 2 * (k + 1), plain.height)) if halves else plain
                    pixels[k, i] = _sized(part, size).reshape(pixels.shape[2:])
        except FAULTS as error:
            bad.append(f"{file} ({_reason(error)})")
    _refuse(bad, len(files))
    if not image_shape and len(set(sizes)) > 1:
        converted[f"of {len(set(sizes))} different sizes, cut to squares of {SIDE}x{SIDE} (--image-shape chooses)"] = len(files)
    if converted := +converted:
        print(f"warning: pictures in {path}: " + "; ".join(f"{n} {what}" for what, n in converted.items()), file=sys.stderr)
    return pixels if halves else pixels[0]


def _digest(path, files):
    """Eight hexadecimal digits that change with the names and sizes of the files."""
    text = "".join(f"{file.relative_to(path)} {file.stat().st_size}\n" for file in files)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _size(picture):
    """(width, height) as the picture is meant to be seen. Raises ValueError for one of a single pixel."""
    if min(picture.size) < 2:
        raise ValueError(f"{picture.width}x{picture.height} pixels")
    turned = picture.getexif().get(0x0112, 1) >= 5  # the camera was held upright
    return picture.size[::-1] if turned else picture.size


def _pictures(path):
    if not os.access(path, os.R_OK | os.X_OK):
        raise UserError(f"{path} cannot be read: permission denied")
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
