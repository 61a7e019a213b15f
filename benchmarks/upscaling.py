"""Compares super-resolution models on pictures: center crops of the bicubic filter, each run and the original; PSNR, SSIM and sharpness.

    python benchmarks/upscaling.py runs/srresnet-yang91-0001 runs/srgan-yang91-0001 --pictures ~/sr/set5 --out upscaling.png

Sharpness is the mean absolute difference between the luma of neighboring pixels, relative to the original: below 1 is softer than it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from zoo.cli import parsing
from zoo.errors import UserError
from zoo.runs import format_table, load_model
from zoo.training import runtime

if TYPE_CHECKING:
    import numpy as np

BICUBIC = "bicubic"  # the name of the filter's row
SIGNATURE = "upscale"  # that super-resolution models have


@dataclasses.dataclass(frozen=True)
class Options:
    runs: tyro.conf.Positional[tuple[Path, ...]]
    """folders of super-resolution runs"""
    pictures: Path
    """folder of pictures that the models were not trained on"""
    out: Path = Path("upscaling.png")
    """the grid, with one picture per row"""
    side: int = 96
    """side of the center crops, in pixels"""


def main(argv: Sequence[str] | None = None) -> int:
    options = parsing.parse(Options, sys.argv[1:] if argv is None else argv, "upscaling.py", __doc__)
    runtime.configure()
    import numpy as np

    from zoo import data
    from zoo.core.images import tile_grid, write_png

    models = load_models(options.runs)
    factor = next(iter(models.values())).upscale_factor
    source = data.open_source(f"folder:{options.pictures}", keys=("picture",))
    crops: list[np.ndarray] = []
    scores: dict[str, list[list[float]]] = {}
    for picture in source.load_examples("test" if "test" in source.sizes else "train")["picture"]:
        original = crop_to_multiple(picture.repeat(3 // picture.shape[-1], -1), factor)
        if min(original.shape[:2]) < options.side:
            size = f"{original.shape[1]}x{original.shape[0]}"
            raise UserError(
                f"{options.pictures} has a picture of {size} pixels, fewer than --side {options.side}; use --side {min(original.shape[:2])}"
            )
        versions = upscale(models, original, factor)
        for name, picture in versions.items():
            scores.setdefault(name, []).append(compare(picture, original))
        crops += [center_crop(picture, options.side) for picture in (*versions.values(), original)]
    rows = [[name, *(f"{value:.3f}" for value in np.mean(values, 0))] for name, values in scores.items()]
    print(format_table(["", "PSNR (dB)", "SSIM", "sharpness"], rows))
    write_png(options.out, tile_grid(np.stack(crops) / 255, len(scores) + 1))
    print(f"columns of {options.out}: {', '.join(scores)}, original")
    return 0


def load_models(folders: Sequence[Path]) -> dict[str, Any]:
    """The models by the names of their runs' folders.

    Raises:
        UserError: Names are not unique, or a model does not upscale RGB pictures.
    """
    names = [folder.name for folder in folders]
    if not names or len(set(names)) < len(names) or BICUBIC in names:
        raise UserError(f"give folders of runs with different names, none of them named {BICUBIC}")
    models: dict[str, Any] = {folder.name: load_model(folder) for folder in folders}
    for name, model in models.items():
        if SIGNATURE not in model.signatures() or model.config.image_shape[-1] != 3:
            raise UserError(f"{name}: {type(model).__name__} does not upscale RGB pictures; give runs of super-resolution models")
    if len(factors := {model.upscale_factor for model in models.values()}) > 1:
        raise UserError(f"the runs upscale by different factors ({', '.join(map(str, sorted(factors)))}); compare them one by one")
    return models


def crop_to_multiple(picture: np.ndarray, factor: int) -> np.ndarray:
    """A picture [height, width, channels] without the last rows and columns, so that the factor divides both sides."""
    height, width = (side // factor * factor for side in picture.shape[:2])
    return picture[:height, :width]


def upscale(models: Mapping[str, Any], original: np.ndarray, factor: int) -> dict[str, np.ndarray]:
    """Downsamples a picture and upscales the result with the bicubic filter and each model.

    Args:
        models: By name, all of the same factor.
        original: uint8 [height, width, 3]; the factor divides both sides.
        factor: Of both sides.
    """
    import numpy as np

    from zoo.core.tiling import upscale_picture
    from zoo.metrics.super_resolution import bicubic_resize

    height, width = original.shape[:2]
    low = bicubic_resize(original, (height // factor, width // factor))
    bicubic = {BICUBIC: np.asarray(bicubic_resize(low, (height, width)))}
    return bicubic | {name: upscale_picture(model, np.asarray(low)) for name, model in models.items()}


def compare(picture: np.ndarray, original: np.ndarray) -> list[float]:
    """PSNR and SSIM of the luma, and relative sharpness."""
    from zoo.metrics.super_resolution import compare_luma

    return [*compare_luma(picture, original).values(), sharpness(picture) / sharpness(original)]


def sharpness(picture: np.ndarray) -> float:
    """Mean absolute difference between the luma of neighboring pixels."""
    import numpy as np

    from zoo.metrics.super_resolution import luma

    plane = np.asarray(luma(picture))[0, ..., 0]
    return float(np.mean([np.abs(np.diff(plane, axis=axis)).mean() for axis in (0, 1)]))


def center_crop(picture: np.ndarray, side: int) -> np.ndarray:
    """The square in the middle of a picture."""
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]


if __name__ == "__main__":
    parsing.run(main, "upscaling.py")
