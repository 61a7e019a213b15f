"""The gallery of `zoo demo`: the runs of a folder with their scores, curves and samples."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UserError, printable

if TYPE_CHECKING:
    from zoo.runs import Run

COLUMNS = ("run", "model", "data", "steps", "scores")
SCORE_COLUMNS = ("score", "value", "step", "samples", "features")
DPI = 100


@dataclasses.dataclass(frozen=True)
class RunGallery:
    """The runs of a folder.

    Attributes:
        runs: Name -> run, in alphabetical order.
    """

    runs: dict[str, Run]

    @classmethod
    def open(cls, folder: Path) -> RunGallery:
        """The runs in a folder; folders whose record cannot be read are left out.

        Raises:
            UserError: There is no such folder.
        """
        from zoo.runs import Run

        if not folder.is_dir():
            raise UserError(f"--gallery {folder}: not a folder; give the folder that holds your runs")
        runs = {}
        for path in sorted(folder.glob("*/config.json")):
            try:
                run = Run(path.parent)
                run.record  # noqa: B018  (reads the file)
            except UserError:
                continue
            runs[printable(path.parent.name)] = run
        return cls(runs)

    def table(self) -> list[list[str]]:
        """One row for each run; see `COLUMNS`."""
        from zoo.pretrained.publishing import hide_folders

        return [
            [name, run.record.model, printable(hide_folders(run.record.data.name)), f"{_last_step(run):,}", _describe_latest(run)]
            for name, run in self.runs.items()
        ]

    def scores(self, name: str) -> list[list[str]]:
        """The latest value of each score of a run, with its protocol; see `SCORE_COLUMNS`."""
        from zoo.runs import format_score, score_points

        return [
            [score, format_score(points[-1].value), f"{points[-1].step:,}", f"{protocol.fake_images:,}", protocol.extractor or "–"]
            for protocol, by_name in score_points(self._run(name)).items()
            for score, points in by_name.items()
        ]

    def grid(self, name: str) -> Path | None:
        """The newest samples of a run; None if there are none."""
        from zoo.runs import latest_grid

        return latest_grid(self._run(name))

    def draw_curves(self, name: str, path: Path) -> Path | None:
        """Draws the scores and the loss terms of a run over training to a PNG file; None if there is nothing to draw."""
        from zoo.reports.curve import build_panels, draw_panels
        from zoo.runs import score_points

        run = self._run(name)
        panels = build_panels(run, score_points(run))
        if not panels:
            return None
        draw_panels(panels).savefig(path, format="png", dpi=DPI)
        return path

    def _run(self, name: str) -> Run:
        if name not in self.runs:
            raise UserError(f"{name}: not a run of this gallery")
        return self.runs[name]


def _last_step(run: Run) -> int:
    return max((row["step"] for row in run.rows()), default=0)


def _describe_latest(run: Run) -> str:
    """The latest scores of the protocol with the most points."""
    from zoo.runs import format_score, score_points

    scores = score_points(run)
    if not scores:
        return "–"
    by_name = max(scores.values(), key=lambda by_name: sum(map(len, by_name.values())))
    return ", ".join(f"{name.replace('_', ' ')} {format_score(points[-1].value)}" for name, points in by_name.items())
