"""`zoo compare`: several runs side by side."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from zoo.types import Omittable


@dataclasses.dataclass(frozen=True)
class Compare:
    """compare runs in one table and one plot, by scores with the same protocol only"""

    run: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]
    """folders of the runs"""
    score: Omittable[str] = None
    """score to plot; if omitted, frechet"""
    count: Omittable[int] = None
    """number of samples of the protocol to compare by; if omitted, the largest that all runs share"""
    format: Literal["terminal", "markdown", "csv"] = "terminal"
    """format of the table"""
    out: Path = Path("compare.png")
    """PNG file of the plot"""

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
