"""`zoo utility`: the downstream utility of a run's samples."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

from zoo.cli.arguments import output_folder
from zoo.cli.measuring import Measurement, own_if_inside
from zoo.errors import UserError
from zoo.types import Omittable


@dataclasses.dataclass(frozen=True)
class Utility(Measurement):
    """measure downstream utility: GAN-train, GAN-test, and augmentation of small real training sets"""

    sizes: Omittable[tuple[int, ...]] = None
    """numbers of real images that samples are added to; if omitted, 100, 500 and 2,000, as far as the dataset has as many"""
    repeats: int = 3
    """number of training runs of each kind"""
    updates: int = 1000
    """updates of each classifier, with 128 images each"""
    out: Omittable[Path] = None
    """folder for the tables and plots; if omitted, utility/ in the run's folder"""

    protocol_in_title: ClassVar[tuple[str, ...]] = ("real_images", "fake_images", "extractor", "extractor_sha256", "resizing")

    def __call__(self) -> None:
        if self.repeats < 1:
            raise UserError(f"--repeats {self.repeats}: must be at least 1")
        for size in self.sizes or ():
            if size < 1:
                raise UserError(f"--sizes {size}: must be at least 1")
        folder = output_folder(self.trained, self.out, "utility")
        with own_if_inside(folder, self.trained):
            self._measure(folder)

    def _measure(self, folder: Path) -> None:
        from zoo.metrics import analyses

        opened = self.open()
        evaluation, model = opened.evaluation, opened.model
        available = evaluation.source.sizes["train"]
        for size in self.sizes or ():
            if size > available:
                raise UserError(f"--sizes {size}: {evaluation.source.name} has {available} training images")
        self.write_analysis(opened, analyses.gan_train_test(evaluation, model, updates=self.updates), folder)
        augmentation = analyses.augmentation(evaluation, model, self.sizes, repeats=self.repeats, updates=self.updates)
        self.write_analysis(opened, augmentation, folder)
