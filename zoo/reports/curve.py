"""The curves of a model card: the main score, the other scores, the loss terms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo.files import write_atomically
from zoo.reports import markdown
from zoo.reports.directions import MAIN_SCORES
from zoo.reports.figure import DPI, style_axes
from zoo.runs.folder import Run
from zoo.runs.scores import count_images
from zoo.types import Protocol, ScorePoint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Lines = dict[str, list[tuple[int, Any]]]  # lines of a panel: name -> (images seen, value)

FILE = "curve.png"
NOT_LOSS_TERMS = ("_logit", "_gradient_norm", "_accuracy")  # suffixes of logged values that are not loss terms


def write_curve(run: Run, scores: Mapping[Protocol, Mapping[str, Sequence[ScorePoint]]]) -> str:
    """Draws RUN/curve.png; returns the Markdown that shows it, or nothing if there is nothing to draw."""
    panels = build_panels(run, scores)
    if not panels:
        return ""
    write_atomically(run.folder / FILE, lambda temporary: draw_panels(panels).savefig(temporary, format="png", dpi=DPI))
    image = f"![{markdown.escape(', '.join(title for title, _ in panels))} over images seen]({FILE})"
    return f"{image}\n\nThe score curves use the protocol with {_curve_protocol(scores).subject}." if scores else image


def build_panels(run: Run, scores: Mapping[Protocol, Mapping[str, Sequence[ScorePoint]]]) -> list[tuple[str, Lines]]:
    """The panels, each with its title: the main score, the other scores that are proportions, the loss terms."""
    panels: list[tuple[str, Lines]] = []
    if scores:
        by_name = scores[_curve_protocol(scores)]
        main = next((name for name in by_name if name in MAIN_SCORES), next(iter(by_name)))
        panels.append((main, {main: _values(by_name[main])}))
        proportions = {name: _values(points) for name, points in by_name.items() if name != main and _are_proportions(points)}
        if proportions:
            panels.append(("other scores", proportions))
    rows = run.evaluations()
    names = dict.fromkeys(name for row in rows for name in row)
    terms = [name for name in names if name.startswith(("d_", "g_")) and not name.endswith(NOT_LOSS_TERMS)]
    if terms:
        panels.append(("loss terms", {name: [(count_images(run, row), row[name]) for row in rows if name in row] for name in terms}))
    return panels


def draw_panels(panels: Sequence[tuple[str, Lines]]) -> Figure:
    """The panels side by side."""
    from matplotlib.figure import Figure

    figure = Figure((4.2 * len(panels), 3.3), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        finite = []
        for name, points in lines.items():
            values = [value if isinstance(value, (int, float)) and math.isfinite(value) else math.nan for _, value in points]
            finite += [value for value in values if not math.isnan(value)]
            axes.plot([images for images, _ in points], values, linewidth=1.5, label=name, marker="o" if len(points) == 1 else None)
        style_axes(axes, finite, logarithmic=title in MAIN_SCORES)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("images seen", fontsize=9)
        axes.tick_params(labelsize=8)
        if len(lines) > 1:
            axes.legend(fontsize=7.5, frameon=False)
    return figure


def _curve_protocol(scores: Mapping[Protocol, Mapping[str, Sequence[ScorePoint]]]) -> Protocol:
    """The protocol with the most points: that of the evaluations during training."""
    return max(scores, key=lambda protocol: sum(map(len, scores[protocol].values())))


def _values(points: Sequence[ScorePoint]) -> list[tuple[int, Any]]:
    return [(point.images, point.value) for point in points]


def _are_proportions(points: Sequence[ScorePoint]) -> bool:
    """Whether all values are between 0 and 1, so that they can share an axis with others."""
    return all(0 <= point.value <= 1 for point in points if math.isfinite(point.value))
