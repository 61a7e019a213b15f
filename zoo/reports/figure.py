"""The figure of a comparison, and the style of all figures of scores."""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import UserError, figure_text
from zoo.files import write_atomically
from zoo.reports.comparison import Comparison
from zoo.runs.folder import Run
from zoo.runs.scores import format_score, latest_grid
from zoo.types import ScorePoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#C98A00", "#3A9FD8", "#222222", "#8B5A2B")  # color-blind safe
LINE_STYLES = ("-", "--", ":")  # from the ninth run on
GRID_PIXELS = 800  # length of the longer side of a sample grid
GRIDS_PER_ROW = 4
CURVE_INCHES = 4.8  # height of the upper part
MARKED_POINTS = 40  # curves of more points have no markers
PROTOCOL_WIDTH = 190  # characters


def draw_comparison(comparison: Comparison, path: str | Path) -> None:
    """Writes the figure as a PNG file.

    Raises:
        UserError: The file is not a PNG, or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise UserError(f"{path}: the figure is written as PNG; --out {shlex.quote(str(path.with_suffix('.png')))}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda temporary: build_figure(comparison).savefig(temporary, format="png", dpi=DPI))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error}") from None


def build_figure(comparison: Comparison) -> Figure:
    """The score over the number of images seen, one line per run with its best point marked, above the latest sample grids."""
    from matplotlib.figure import Figure

    count = len(comparison.runs)
    rows = math.ceil(count / GRIDS_PER_ROW)
    columns = math.ceil(count / rows)
    side = min(3.6, 11.4 / columns)  # inches of a grid
    grid_inches = rows * (side + 0.55) + 0.3
    figure = Figure((12, CURVE_INCHES + grid_inches), layout="constrained")
    layout: Any = figure.get_layout_engine()
    layout.set(w_pad=0.12, h_pad=0.1)
    subfigures: Any = figure.subfigures(2, 1, height_ratios=[CURVE_INCHES, grid_inches])
    upper, lower = subfigures
    _draw_curves(comparison, upper.subplots())
    lower.suptitle("latest samples of each run", x=0.01, ha="left", fontsize=10)
    panels = lower.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    all_points = comparison.points(comparison.score, comparison.drawn)
    for i, (run, name, points) in enumerate(zip(comparison.runs, comparison.names, all_points, strict=True)):
        title = f"{textwrap.fill(name, max(16, int(side * 11)))}\n{_describe_result(comparison, points)}"
        _draw_grid(run, panels[i], title, COLORS[i % len(COLORS)])
    return figure


def read_latest_grid(run: Run) -> np.ndarray | None:
    """The latest sample grid as a uint8 array of at most `GRID_PIXELS` per side; None if there is none."""
    from PIL import Image

    path = latest_grid(run)
    if path is None:
        return None
    with Image.open(path) as picture:
        grid = picture.convert("L" if picture.mode == "L" else "RGB")
        grid.thumbnail((GRID_PIXELS, GRID_PIXELS))
        return np.asarray(grid)


def style_axes(axes: Axes, values: Sequence[float], logarithmic: bool) -> None:
    """Sets ticks, grid and frame of axes over the number of images seen.

    Args:
        axes: The axes.
        values: All finite values of the plot.
        logarithmic: Whether the vertical axis may be logarithmic: it is if the values span more than a decade.
    """
    from matplotlib import ticker

    if logarithmic and values and min(values) > 0 and max(values) > 10 * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_curves(comparison: Comparison, axes: Axes) -> None:
    score, metric = comparison.score, comparison.metric(comparison.score)
    values = []
    all_points = comparison.points(score, comparison.drawn)
    for i, (name, run_points) in enumerate(zip(comparison.names, all_points, strict=True)):
        color, line_style = COLORS[i % len(COLORS)], LINE_STYLES[i // len(COLORS) % len(LINE_STYLES)]
        points = [point for point in run_points if math.isfinite(point.value)]
        values += [point.value for point in points]
        marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(points) <= MARKED_POINTS else {}
        images = [point.images for point in points]
        axes.plot(images, [point.value for point in points], line_style, color=color, linewidth=1.7, label=figure_text(name), **marker)
        best = comparison.best(score, points)
        if best:
            axes.scatter(best.images, best.value, marker="*", s=190, color=color, edgecolor="white", linewidth=0.8, zorder=3)
    style_axes(axes, values, logarithmic=True)
    axes.set_xlim(left=0)
    axes.set_xlabel("images seen")
    axes.set_ylabel(f"{score} ({metric.better} is better)" if metric else score)
    axes.legend(fontsize=8, frameon=False, ncols=1 + len(comparison.runs) // 5)
    protocol = textwrap.fill(comparison.drawn.describe(), PROTOCOL_WIDTH)
    title = f"{score}, best values marked" if metric else score
    axes.set_title(figure_text(title), loc="left", fontsize=12, pad=24 + 10 * protocol.count("\n"))
    axes.annotate(
        figure_text(protocol), (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", fontsize=7, color="gray", va="bottom"
    )


def _draw_grid(run: Run, panel: Axes, title: str, color: str) -> None:
    grid = read_latest_grid(run)
    if grid is None:
        panel.text(0.5, 0.5, "no samples", ha="center", va="center", color="gray", transform=panel.transAxes)
    else:
        panel.imshow(grid, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    panel.set_title(figure_text(title), fontsize=9, color=color)


def _describe_result(comparison: Comparison, points: Sequence[ScorePoint]) -> str:
    """Description of a run's best point, or of its last one if the direction of the score is unknown."""
    best = comparison.best(comparison.score, points)
    if best:
        return f"best {format_score(best.value)} at {best.images:,} images"
    if points and not comparison.metric(comparison.score):
        return f"last {format_score(points[-1].value)} at {points[-1].images:,} images"
    return "not scored"
