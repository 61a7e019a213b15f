"""Super-resolution seen and measured: crops by the bicubic filter, by each run, and the truth; PSNR, SSIM and sharpness of each.

    python benchmarks/enlarged.py runs/srresnet-yang91-0001 runs/srgan-yang91-0001 --pictures ~/sr/set5 --out enlarged.png

Sharpness is the mean difference between neighbouring pixels' brightness over that of the truth: 1 is as sharp, less is softer.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import tyro

import zoo
from zoo import callbacks, command, results
from zoo.data import folder
from zoo.errors import UserError
from zoo.models import srgan


@dataclasses.dataclass(frozen=True)
class Options:
    runs: tyro.conf.Positional[tuple[Path, ...]]
    """folders of super-resolution runs"""
    pictures: Path
    """folder of pictures that they have not seen"""
    out: Path = Path("enlarged.png")
    """the grid: a picture a row"""
    side: int = 96
    """pixels of the crops, out of the middle"""


def main(argv=None):
    options = command.parse(Options, sys.argv[1:] if argv is None else argv, "enlarged.py", __doc__)
    if len(names := {run.name for run in options.runs}) < len(options.runs) or "bicubic" in names:
        raise UserError("the runs' folders must have names of their own, which are not bicubic")
    games = {run.name: zoo.load(run) for run in options.runs}
    if wrong := [name for name, game in games.items() if not hasattr(game, "enlarged") or game.config.image_shape[-1] != 3]:
        raise UserError(f"{wrong[0]}: its model enlarges no colour pictures; give runs of srresnet and srgan")
    files, *_ = folder.pictures(str(options.pictures))
    rows, found = [], {}
    for file in files.get("test", files["train"]):
        true = folder.whole(str(file), 3)
        true = true[: true.shape[0] // srgan.SCALE * srgan.SCALE, : true.shape[1] // srgan.SCALE * srgan.SCALE]
        if min(true.shape[:2]) < options.side:
            raise UserError(f"{file} has {true.shape[1]}x{true.shape[0]} pixels; --side {min(true.shape[:2])} fits")
        low = srgan.resized(true, (true.shape[0] // srgan.SCALE, true.shape[1] // srgan.SCALE))
        made = {"bicubic": srgan.resized(low, true.shape[:2]).numpy(), **{name: game.enlarged(low) for name, game in games.items()}}
        for name, picture in made.items():
            found.setdefault(name, []).append([*srgan.likeness(picture, true).values(), sharpness(picture) / sharpness(true)])
        rows += [middle(picture, options.side) for picture in (*made.values(), true)]
    header = ["", "PSNR (dB)", "SSIM", "sharpness"]
    print(results.table(header, [[name, *(f"{value:.3f}" for value in np.mean(values, 0))] for name, values in found.items()]))
    callbacks.save_png(options.out, callbacks.grid(np.stack(rows) / 255, len(games) + 2))
    print(f"{', '.join(found)}, truth: drawn in {options.out}")
    return 0


def sharpness(picture):
    """Mean difference of neighbouring pixels' brightness."""
    plane = srgan.luma(picture)[0, ..., 0].numpy()
    return np.mean([np.abs(np.diff(plane, axis=axis)).mean() for axis in (0, 1)])


def middle(picture, side):
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]


if __name__ == "__main__":
    command.run(main, "enlarged.py")
