"""Draws the identification accuracy of `drgan` on held-out identities, and how often its generated views are recognized: docs/drgan.png.

    python train.py --model drgan --seed 1
    zoo evaluate runs/drgan-turned_digits-0001 --metrics view_accuracy
    python benchmarks/identification.py runs/drgan-turned_digits-*

Each row of the figure shows the runs on one dataset: rank-1 accuracy during training, of the features and of the encoder that is trained
without the generator, and the accuracy of a classifier on the generated views by pose.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from zoo.cli import parsing
from zoo.errors import UserError
from zoo.reports.figure import COLORS, DPI
from zoo.runs import Run

TOP = Path(__file__).resolve().parents[1]
CURVES = {"rank1": ("features", "-"), "rank1_baseline": ("encoder alone", "--")}  # score -> label, line style
VIEW_SCORE = re.compile(r"view_accuracy_pose_(\d+)")


@dataclasses.dataclass(frozen=True)
class Options:
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """runs of drgan, evaluated by `zoo evaluate RUN --metrics view_accuracy`"""
    out: Path = TOP / "docs" / "drgan.png"
    """the figure"""


def main(argv: Sequence[str] | None = None) -> int:
    options = parsing.parse(Options, sys.argv[1:] if argv is None else argv, "identification.py", __doc__)
    runs = sorted(map(Run, options.runs), key=lambda run: (run.record.data.name, run.record.config["seed"]))
    groups = [list(group) for _, group in itertools.groupby(runs, key=lambda run: run.record.data.name)]
    if not groups:
        raise UserError("no runs; give the folders of drgan's runs")
    draw(groups).savefig(options.out, dpi=DPI)
    for group in groups:
        print(group[0].record.data.name)
        for score in (*CURVES, "rank1_pixels", "view_accuracy"):
            values = [last_scores(run)[score] for run in group]
            spread = f" +- {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
            print(f"  {score:16}{100 * statistics.mean(values):5.1f}%{spread}: {', '.join(f'{100 * value:.1f}%' for value in values)}")
    return 0


def last_scores(run: Run) -> dict[str, float]:
    """The latest value of each score.

    Raises:
        UserError: The generated views were not evaluated.
    """
    scores: dict[str, float] = {}
    for row in run.rows():
        scores |= row.get("scores", {})
    if "view_accuracy" not in scores:
        raise UserError(f"{run.display_path}: the generated views were not evaluated; {run.command('evaluate', '--metrics view_accuracy')}")
    return scores


def draw(groups: Sequence[Sequence[Run]]) -> Any:
    """The figure: one row of axes per dataset, one color per seed."""
    from matplotlib.figure import Figure

    figure = Figure((12, 3.8 * len(groups)), layout="constrained")
    for (curves, views), group in zip(figure.subplots(len(groups), 2, squeeze=False), groups, strict=True):
        for run, color in zip(group, COLORS, strict=False):
            seed = run.record.config["seed"]
            evaluations = [row for row in run.evaluations() if "rank1" in row.get("scores", {})]
            for score, (label, style) in CURVES.items():
                values = [100 * row["scores"][score] for row in evaluations]
                curves.plot([row["step"] for row in evaluations], values, style, color=color, marker="o", label=f"{label}, seed {seed}")
            accuracy = {int(match[1]): 100 * value for name, value in last_scores(run).items() if (match := VIEW_SCORE.fullmatch(name))}
            poses = sorted(accuracy)
            views.plot(poses, [accuracy[pose] for pose in poses], color=color, label=f"seed {seed}")
        dataset = re.split("[:/]", group[0].record.data.name)[-1]
        curves.set(title=f"{dataset}: rank-1 accuracy, %", xlabel="step", xlim=(0, None))
        views.set(title="identity recognized in generated views, %", xlabel="pose", ylim=(0, 100))
        for axes in (curves, views):
            axes.legend(fontsize=7, ncols=3)
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    parsing.run(main, "identification.py")
