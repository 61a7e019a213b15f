"""`zoo video`: films of walks through the latent space, and of the samples during training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.arguments import ModelArgument, check_seeds, check_truncation, register_model, require_noise_model
from zoo.cli.conditions import find_class, load_offsets
from zoo.errors import UserError, printable
from zoo.types import Omittable

if TYPE_CHECKING:
    import numpy as np

    from zoo.core import Game
    from zoo.latent import Walk

KEYFRAMES = 8  # of a walk without options
SHORT_SIDE = 256  # pixels to which smaller images are enlarged
MAX_SCALE, MAX_FRAMES = 64, 10_000
RATE, TRAINING_RATE, FRAMES = 25, 4, 30
WALK_OPTIONS = ("seeds", "label", "truncation", "directions", "edit", "frames", "loop")


@dataclasses.dataclass(frozen=True)
class Video:
    """make a film: a walk through the latent space, class morphs, truncation sweeps, directions, or the samples during training"""

    run: ModelArgument
    out: Path = Path("walk.gif")
    """file to write, .gif or .mp4 (needs PyAV: pip install 'gan-zoo[video]')"""
    training: bool = False
    """the run's sample grids, step by step, instead of a walk"""
    seeds: Omittable[tuple[int, ...]] = None
    """seeds of the keyframes to cycle through; if omitted, 0 to 7, or only 0 if another option has several values"""
    label: Omittable[tuple[str, ...]] = None
    """classes of the keyframes to cycle through, by name or number, for class-conditional models; if omitted, all"""
    truncation: Omittable[tuple[float, ...]] = None
    """truncation thresholds of the keyframes to cycle through, in standard deviations, for models that support it"""
    directions: Omittable[Path] = None
    """file of directions that `zoo directions` has written (.npz)"""
    edit: Omittable[tuple[str, ...]] = None
    """steps along directions of the keyframes to cycle through, NAME=STEP in standard deviations, as sefa1=-3 sefa1=3"""
    frames: Omittable[int] = None
    """number of frames from one keyframe to the next; if omitted, 30"""
    loop: bool = False
    """return to the first keyframe at the end"""
    fps: Omittable[int] = None
    """frames per second; if omitted, 25, or 4 with --training"""
    scale: Omittable[int] = None
    """factor by which images are enlarged; if omitted, to at least 256 pixels"""
    checkpoint: str = "last"
    """checkpoint to load: `last`, `best`, or a step"""
    model: Omittable[str] = None
    """path/to/file.py:NAME, if the run's model is your own"""

    def __call__(self) -> None:
        if self.scale is not None and not 1 <= self.scale <= MAX_SCALE:
            raise UserError(f"--scale {self.scale}: must be from 1 to {MAX_SCALE}")
        if self.frames is not None and not 1 <= self.frames <= MAX_FRAMES:
            raise UserError(f"--frames {self.frames}: must be from 1 to {MAX_FRAMES:,}")
        from zoo.latent import check_film

        rate = self.fps if self.fps is not None else TRAINING_RATE if self.training else RATE
        check_film(self.out, rate)
        if self.training:
            self._film_training(rate)
        else:
            self._film_walk(rate)

    def _write(self, frames: Iterable[np.ndarray], total: int, rate: int) -> None:
        """Writes the film, with a progress bar."""
        from tqdm import tqdm

        from zoo.latent import write_film

        count = write_film(self.out, tqdm(frames, "frames", total, leave=False, disable=None), rate)
        print(printable(f"{count:,} {'frame' if count == 1 else 'frames'}, {count / rate:.1f} s, in {self.out}"))

    def _film_training(self, rate: int) -> None:
        from PIL import Image

        from zoo.latent import read_grids, training_grids
        from zoo.pretrained import open_model
        from zoo.runs import Run

        if walking := [name for name in WALK_OPTIONS if getattr(self, name) not in (None, False)]:
            raise UserError(f"--{walking[0]} belongs to a walk; omit it, or --training")
        run = open_model(self.run)
        if not isinstance(run, Run):
            raise UserError(f"--training: {run.display_path} is not a run, whose folder holds the samples of its training")
        grids = training_grids(run)
        factor = self.scale
        if factor is None:
            try:
                with Image.open(grids[0]) as first:
                    factor = self._factor(*first.size)
            except (OSError, ValueError):  # explained where the grids are read
                factor = 1
        self._write(read_grids(grids, factor), len(grids), rate)

    def _film_walk(self, rate: int) -> None:
        from zoo.latent import enlarge
        from zoo.pretrained import load_model

        register_model(self.model)
        model: Any = load_model(self.run, self.checkpoint, discriminator=False)
        require_noise_model(model, "video")
        walk = self._plan(model)
        walk.validate(model)
        height, width, _ = model.modality.sample_shape(model.config)
        factor = self.scale or self._factor(width, height)
        frames = (enlarge(model.modality.render(image[None], 1), factor) for image in walk.images(model))
        self._write(frames, walk.num_frames, rate)

    def _plan(self, model: Game) -> Walk:
        """The walk that the options describe."""
        from zoo.latent import Walk

        for seed in self.seeds or ():
            check_seeds(seed)
        for truncation in self.truncation or ():
            check_truncation(model, truncation)
        if self.label and "label" not in model.conditions:
            raise UserError("--label: this model is not class-conditional; omit it")
        labels = [find_class(label, model) for label in self.label] if self.label else None
        offsets = load_offsets(model, self.directions, self.edit)
        is_sweep = any(values is not None and len(values) > 1 for values in (labels, self.truncation, offsets))
        seeds = self.seeds or ((0,) if is_sweep else tuple(range(KEYFRAMES)))
        frames = FRAMES if self.frames is None else self.frames
        walk = Walk(seeds, labels, self.truncation, offsets, frames, self.loop)
        if labels is None and "label" in model.conditions:
            classes = range(min(model.config.num_classes, walk.num_keyframes))
            walk = dataclasses.replace(walk, labels=list(classes))
        return walk

    @staticmethod
    def _factor(width: int, height: int) -> int:
        return max(1, math.ceil(SHORT_SIDE / min(width, height)))
