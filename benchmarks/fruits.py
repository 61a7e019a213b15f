"""Makes the folders of images that some pretrained models are trained on, from the photographs of Fruits-360.

    git clone https://github.com/fruits-360/fruits-360-100x100 ~/fruits-360
    python benchmarks/fruits.py ~/fruits-360 ~/pictures

Fruits-360 by Mihai Oltean (CC BY-SA 4.0) has photographs of fruits on a turntable, `Training/VARIETY/r_INDEX_100.jpg` and
`Test/VARIETY/r_INDEX_100.jpg`, where `r`, a rotation about another axis, may be missing. The script writes

    fruits_rot/VARIETY/poseNN.jpg    apples, cherries and tomatoes at 48 angles, 64x64 pixels
    apples/trainA testA              red apples, 100x100 pixels
    apples/trainB testB              green and yellow ones
    edges/train test                 pairs for `pix2pix`: the edges of a fruit on the left, the fruit on the right
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image
from scipy import ndimage

from zoo.cli import parsing
from zoo.errors import UserError

KINDS = ("Apple", "Cherry", "Tomato")
POSES, SIDE = 48, 64
AXES = ("", "r", "r0", "r1", "r2")  # prefixes of the files' names; the first one that a variety has
NAME = re.compile(r"(?:(r\d?)_)?(\d+)_100\.jpg")
DOMAINS = {  # of `apples`
    "A": ("Apple Braeburn 1", "Apple Red 1", "Apple Red 2", "Apple Red 3", "Apple Red Delicious 1"),
    "B": ("Apple Golden 1", "Apple Golden 2", "Apple Golden 3", "Apple Granny Smith 1"),
}
APPLE_STEP, APPLE_TEST_STEP = 4, 20  # indices of the photographs that are used, and of those that are for testing
TEST_EVERY = 8  # every eighth pair of a fruit is for testing
SMOOTHING = 1.0  # standard deviation in pixels of the Gaussian whose gradient is taken
EDGE_SHARE = 0.12  # of the pixels are edges


@dataclasses.dataclass(frozen=True)
class Options:
    source: Annotated[Path, tyro.conf.Positional]
    """checkout of Fruits-360 at 100x100 pixels"""
    out: Annotated[Path, tyro.conf.Positional]
    """folder to write the three folders to"""


def main(argv: Sequence[str] | None = None) -> int:
    options = parsing.parse(Options, sys.argv[1:] if argv is None else argv, "fruits.py", __doc__)
    source, out = options.source.expanduser(), options.out.expanduser()
    names = sorted({path.name for path in source.glob("T*/*/") if path.name.startswith(KINDS)})
    varieties = {name: photographs for name in names if (photographs := list_photographs(source, name))}
    if not varieties:
        raise UserError(f"{options.source} has no Training/Apple .../INDEX_100.jpg; give the checkout of Fruits-360")
    for name, photographs in varieties.items():
        write_poses(photographs, out / "fruits_rot" / name.replace(" ", "_"))
        for domain, apples in DOMAINS.items():
            if name in apples:
                write_apples(photographs, out / "apples", domain, name.replace(" ", "_"))
    count = write_pairs(out / "fruits_rot", out / "edges")
    print(f"{len(varieties)} fruits and {count} pairs in {options.out}")
    return 0


def list_photographs(source: Path, variety: str) -> dict[str, dict[int, Path]]:
    """The photographs of a variety: axis of the rotation -> index -> file."""
    axes: dict[str, dict[int, Path]] = {}
    for path in source.glob(f"T*/{variety}/*.jpg"):
        if match := NAME.fullmatch(path.name):
            axes.setdefault(match[1] or "", {})[int(match[2])] = path
    return axes


def write_poses(photographs: dict[str, dict[int, Path]], folder: Path) -> None:
    """Writes the photographs of one turn of the turntable that are nearest to equally spaced angles."""
    by_index = photographs[next(axis for axis in AXES if axis in photographs)]
    folder.mkdir(parents=True, exist_ok=True)
    turn = max(by_index) + 1
    for pose in range(POSES):
        nearest = min(by_index, key=lambda index: abs(index - pose * turn / POSES))
        with Image.open(by_index[nearest]) as picture:
            picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(folder / f"pose{pose:02d}.jpg", quality=95)


def write_apples(photographs: dict[str, dict[int, Path]], folder: Path, domain: str, name: str) -> None:
    """Copies every fourth photograph of a variety, those for testing apart."""
    for axis, by_index in photographs.items():
        for index, path in by_index.items():
            if index % APPLE_STEP == 0:
                target = folder / f"{'train' if index % APPLE_TEST_STEP else 'test'}{domain}"
                target.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / "_".join([name, *filter(None, [axis]), f"{index}.jpg"]))


def write_pairs(fruits: Path, out: Path) -> int:
    """Writes pairs of edges and fruits for every photograph in FRUIT/*.jpg; returns their number."""
    files = sorted(fruits.glob("*/*.jpg"))
    for file in files:
        number = sorted(file.parent.glob("*.jpg")).index(file)
        folder = out / ("test" if number % TEST_EVERY == 0 else "train")
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        Image.fromarray(np.concatenate([draw_edges(pixels), pixels], axis=1)).save(folder / f"{file.parent.name}-{file.stem}.png")
    return len(files)


def draw_edges(pixels: np.ndarray) -> np.ndarray:
    """The strongest edges of an image, black on white, uint8 [h, w, 3]: ridges of the gradient of its color."""
    channels = [ndimage.gaussian_gradient_magnitude(pixels[..., i].astype(np.float64), SMOOTHING) for i in range(3)]
    strength = np.max(channels, axis=0)
    ridges = (strength >= ndimage.maximum_filter1d(strength, 3, axis=0)) | (strength >= ndimage.maximum_filter1d(strength, 3, axis=1))
    edges = ridges & (strength > max(np.quantile(strength, 1 - EDGE_SHARE * 2), 8))
    return np.repeat(np.where(edges, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


if __name__ == "__main__":
    parsing.run(main, "fruits.py")
