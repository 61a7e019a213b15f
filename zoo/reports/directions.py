"""Directions of recorded scores: which values are better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from zoo import registry
from zoo.errors import UserError
from zoo.metrics.registry import Metric, find_metric
from zoo.types import ScorePoint

MAIN_SCORES = ("frechet", "fid")  # the scores that are shown first


def find_score_metric(name: str, own: Iterable[Metric] = ()) -> Metric | None:
    """The metric that a score belongs to; None if it is not installed, so that the direction is unknown.

    Args:
        name: Name of the recorded score.
        own: The model-specific metrics.
    """
    try:
        return find_metric(name, own)
    except UserError:
        return None


def find_own_metrics(model: str) -> tuple[Metric, ...]:
    """The model-specific metrics of a registered model; empty if the name is not registered."""
    try:
        return tuple(registry.get_entry(model).model.own_metrics)
    except UserError:
        return ()


def find_best_point(metric: Metric | None, points: Sequence[ScorePoint]) -> ScorePoint | None:
    """The best of a score's points; None if none is finite, or if the direction of the score is unknown."""
    if metric is None:
        return None
    return min((point for point in points if math.isfinite(point.value)), key=lambda point: metric.sort_key(point.value), default=None)
