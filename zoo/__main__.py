"""Uses what was trained: lists the models, samples from a run, exports it."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tyro

import zoo
from zoo import callbacks, command, export, registry, runs
from zoo.errors import UserError

Folder = tyro.conf.Positional[Path]
BATCH = 100  # images that are made at once


@dataclasses.dataclass(frozen=True)
class List:
    """the table of models"""

    def __call__(self):
        print(registry.table())


@dataclasses.dataclass(frozen=True)
class Generate:
    """pictures from a run, with no data set at hand"""

    run: Folder
    """the run's folder"""
    out: Path = Path("samples.png")
    """one PNG grid; a name without .png is a folder that gets one PNG an image"""
    count: int = 64
    """how many images"""
    label: tuple[int, ...] | None = None
    """classes, in turn (default: all of them); for models with classes"""
    seed: int = 0
    """seed of the first image; each next image has the next seed"""
    checkpoint: int | None = None
    """the round whose checkpoint is used (default: the newest)"""
    columns: int | None = None
    """of the grid (default: as square as it goes)"""

    def __call__(self):
        if self.count < 1:
            raise UserError(f"--count {self.count}: at least 1")
        if self.columns is not None and self.columns < 1:
            raise UserError(f"--columns {self.columns}: at least 1")
        game = zoo.load(self.run, self.checkpoint)
        conditions = {}
        if "label" in game.conditions:
            classes = game.config.num_classes
            labels = self.label or tuple(range(classes))
            if wrong := [label for label in labels if not 0 <= label < classes]:
                raise UserError(f"--label {wrong[0]}: this run has classes 0 to {classes - 1}")
            conditions["label"] = np.resize(np.int64(labels), self.count)
        elif self.label:
            raise UserError("--label: this run's model has no classes; leave it out")
        seeds = np.arange(self.seed, self.seed + self.count, dtype=np.int64)
        sample = tf.function(game.sample, reduce_retracing=True)
        images = [
            sample(seeds[i : i + BATCH], **{k: v[i : i + BATCH] for k, v in conditions.items()}).numpy()
            for i in range(0, self.count, BATCH)
        ]
        self._write(np.concatenate(images), seeds, conditions)

    def _write(self, images, seeds, conditions):
        try:
            if self.out.suffix.lower() == ".png":
                self.out.parent.mkdir(parents=True, exist_ok=True)
                callbacks.save_png(self.out, callbacks.grid(images, self.columns or int(np.ceil(np.sqrt(len(images))))))
            else:
                self.out.mkdir(parents=True, exist_ok=True)
                for i, (seed, image) in enumerate(zip(seeds, images)):
                    names = "".join(f"-{key}{values[i]}" for key, values in conditions.items())
                    callbacks.save_png(self.out / f"seed{seed}{names}.png", callbacks.grid(image[None], 1))
        except OSError as error:
            raise UserError(f"{self.out} cannot be written: {error}") from None
        print(f"{len(images)} images in {self.out}")


@dataclasses.dataclass(frozen=True)
class Export:
    """the next SavedModel version of a run, for TF Serving"""

    run: Folder
    """the run's folder"""
    checkpoint: int | None = None
    """the round whose checkpoint is exported (default: the newest)"""

    def __call__(self):
        run = runs.Run(self.run)
        game = zoo.load(run, self.checkpoint)
        with runs.writing(run):
            print(export.write(game, run.export_folder))


COMMANDS = (List, Generate, Export)


def main(argv=None):
    """One of the commands, from the command line; returns the exit status."""
    kind = command.union(COMMANDS)
    command.parse(kind, sys.argv[1:] if argv is None else argv, "zoo", __doc__)()
    return 0


def script():
    """The installed `zoo`."""
    command.run(main, "zoo")


if __name__ == "__main__":
    script()
