"""`zoo compare`: several runs side by side."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclasses.dataclass(frozen=True)
class Compare:
    """compare runs in one table and one picture, by scores of the same protocol only"""

    run: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]
    """the runs' folders"""
    score: str | None = None
    """the score that is plotted; if omitted, frechet"""
    count: int | None = None
    """of the protocols that all runs share, the one with this many samples; if omitted, the one with the most"""
    format: Literal["terminal", "markdown", "csv"] = "terminal"
    """of the table"""
    out: Path = Path("compare.png")
    """the picture"""

    def __call__(self) -> None:
        from zoo.reports.comparison import Comparison
        from zoo.reports.figure import draw_comparison
        from zoo.reports.tables import FORMATS
        from zoo.runs import Run

        comparison = Comparison([Run(folder) for folder in self.run], self.score, self.count)
        draw_comparison(comparison, self.out)
        print(FORMATS[self.format](comparison), end="")
        if self.format == "terminal":
            print(f"plotted in {self.out}")
