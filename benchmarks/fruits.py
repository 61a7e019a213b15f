"""Makes pairs of edges and fruits from photographs of fruits on a turntable, for `pix2pix`.

    python benchmarks/fruits.py ~/pictures/fruits_rot ~/pictures/edges

The first folder has a folder for each fruit (IDENTITY/*.jpg), such as those of Fruits-360 3-body by Mihai Oltean (CC BY-SA 4.0, on GitHub
and Kaggle). The second one gets train/ and test/ with both images of a pair side by side: edges on the left, the fruit on the right.
"""

from __future__ import annotations

import dataclasses
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

TEST_EVERY = 8  # every eighth image of a fruit is for testing
SMOOTHING = 1.0  # standard deviation in pixels of the Gaussian whose gradient is taken
EDGE_SHARE = 0.12  # of the pixels are edges


@dataclasses.dataclass(frozen=True)
class Options:
    fruits: Annotated[Path, tyro.conf.Positional]
    """folder with a folder of images for each fruit"""
    out: Annotated[Path, tyro.conf.Positional]
    """folder to write the pairs to"""


def main(argv: Sequence[str] | None = None) -> int:
    options = parsing.parse(Options, sys.argv[1:] if argv is None else argv, "fruits.py", __doc__)
    files = sorted(options.fruits.expanduser().glob("*/*.jpg"))
    if not files:
        raise UserError(f"{options.fruits} has no FRUIT/*.jpg")
    for file in files:
        number = sorted(file.parent.glob("*.jpg")).index(file)
        folder = options.out.expanduser() / ("test" if number % TEST_EVERY == 0 else "train")
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        Image.fromarray(np.concatenate([draw_edges(pixels), pixels], axis=1)).save(folder / f"{file.parent.name}-{file.stem}.png")
    print(f"{len(files)} pairs in {options.out}")
    return 0


def draw_edges(pixels: np.ndarray) -> np.ndarray:
    """The strongest edges of an image, black on white, uint8 [h, w, 3]: ridges of the gradient of its color."""
    channels = [ndimage.gaussian_gradient_magnitude(pixels[..., i].astype(np.float64), SMOOTHING) for i in range(3)]
    strength = np.max(channels, axis=0)
    ridges = (strength >= ndimage.maximum_filter1d(strength, 3, axis=0)) | (strength >= ndimage.maximum_filter1d(strength, 3, axis=1))
    edges = ridges & (strength > max(np.quantile(strength, 1 - EDGE_SHARE * 2), 8))
    return np.repeat(np.where(edges, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


if __name__ == "__main__":
    parsing.run(main, "fruits.py")
