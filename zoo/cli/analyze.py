"""`zoo analyze`: analyses of a run's samples."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from zoo.cli.arguments import output_folder
from zoo.cli.measuring import FeatureMeasurement, own_if_inside
from zoo.errors import UserError
from zoo.types import Omittable


@dataclasses.dataclass(frozen=True)
class Analyze(FeatureMeasurement):
    """analyze samples: discriminability of classes by resolution, diversity within classes, nearest training images"""

    out: Omittable[Path] = None
    """folder for the tables and plots; if omitted, analysis/ in the run's folder"""

    def __call__(self) -> None:
        folder = output_folder(self.trained, self.out, "analysis")
        with own_if_inside(folder, self.trained):
            self._analyze(folder)

    def _analyze(self, folder: Path) -> None:
        from zoo.metrics import analyses

        opened = self.open()
        samples = opened.evaluation.generate_samples(opened.model)
        completed = 0
        for analyze in (analyses.discriminability, analyses.diversity, analyses.neighbors):
            try:
                analysis = analyze(opened.evaluation, opened.model, samples)
            except UserError as error:
                print(f"{analyze.__name__} is skipped: {error}\n", file=sys.stderr)
            else:
                self.write_analysis(opened, analysis, folder)
                completed += 1
        if not completed:
            raise UserError("this run supports none of the analyses, for the reasons above")
