"""Comparison of runs: scores are compared only if their whole protocols are equal."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import UserError, printable, suggest
from zoo.metrics.registry import Metric
from zoo.reports.directions import MAIN_SCORES, find_best_point, find_own_metrics, find_score_metric
from zoo.runs.folder import Run, command_prefix
from zoo.runs.scores import score_points
from zoo.types import Protocol, ScorePoint

DETERMINED_BY = {"extractor_sha256": "extractor", "resizing": "extractor", "real_images": "fake_images"}  # field -> its cause
FIELDS = tuple(field.name for field in dataclasses.fields(Protocol))


class Comparison:
    """Runs, and the protocol with which they are compared.

    Args:
        runs: The runs.
        score: The score to plot; default: the Fréchet distance, or else the first score.
        count: Number of images of the protocol; default: the largest one that all runs share.

    Attributes:
        names: The runs' names, as short as they can be.
        shared: The protocols that all runs have, the one with the most images first.
        protocol: The protocol of the scores in the table.
        drawn: The protocol of the scores in the plot: the one with the most points.

    Raises:
        UserError: There are no runs, a run is given twice or has no scores, the runs share no protocol, or no run has the score.
    """

    def __init__(self, runs: Iterable[Run], score: str | None = None, count: int | None = None) -> None:
        self.runs = list(runs)
        self.names = _shortest_names([run.display_path for run in self.runs])
        self._points = [score_points(run) for run in self.runs]
        self._own_metrics = [metric for run in self.runs for metric in find_own_metrics(run.record.model)]
        self._check_scored()
        self._check_score(score)
        self.shared = self._find_shared(count)
        able = [protocol for protocol in self.shared if self._resolve_score(protocol, score)]
        if not able:
            raise UserError(
                f"the runs share no protocol that has the score '{score}'; compute it for each of them: "
                f"{command_prefix()} evaluate RUN --metrics {score}"
            )
        self.protocol = able[0]
        self.score = self._resolve_score(self.protocol, score) or ""
        # Training adds many points under one protocol; a later `zoo evaluate` often adds a single one.
        self.drawn = max(able, key=lambda protocol: sum(map(len, self.points(self.score, protocol))))

    def scores(self, protocol: Protocol) -> list[str]:
        """Names of the scores that any run has under a protocol."""
        return list(dict.fromkeys(name for points in self._points for name in points[protocol]))

    def points(self, name: str, protocol: Protocol) -> list[list[ScorePoint]]:
        """The points of a score under a protocol, one list per run."""
        return [points[protocol].get(name, []) for points in self._points]

    def metric(self, name: str) -> Metric | None:
        """The metric of a score; None if it is not installed."""
        return find_score_metric(name, self._own_metrics)

    def best(self, name: str, points: Sequence[ScorePoint]) -> ScorePoint | None:
        """The best of a score's points; None if none is finite, or if the direction of the score is unknown."""
        return find_best_point(self.metric(name), points)

    def notes(self) -> list[str]:
        """Notes on the table: its protocol, and the other shared protocols."""
        notes = [f"All scores: {self.protocol.describe()}."]
        counts = sorted({protocol.num_images for protocol in self.shared} - {self.protocol.num_images})
        if counts:
            notes.append(f"The runs also share scores of {' and '.join(f'{n:,}' for n in counts)} images: --count {counts[-1]}.")
        if self.drawn != self.protocol:
            same = set(FIELDS) - set(differing_fields([self.protocol, self.drawn]))
            notes.append(f"The figure uses another protocol, which has more points: {self.drawn.describe(omit=same)}.")
        return notes

    def _check_scored(self) -> None:
        """Raises UserError if a run has no scores."""
        bare = [name for name, points in zip(self.names, self._points, strict=True) if not points]
        if bare:
            verb = "has" if len(bare) == 1 else "have"
            raise UserError(f"{', '.join(bare)} {verb} no scores to compare; compute them: {command_prefix()} evaluate RUN")

    def _check_score(self, score: str | None) -> None:
        """Raises UserError if no run has the score."""
        names = sorted({name for points in self._points for scores in points.values() for name in scores})
        if score and score not in names:
            raise UserError(f"no run has a score '{score}'{suggest(score, names)} Available: {', '.join(names)}.")

    def _resolve_score(self, protocol: Protocol, score: str | None) -> str | None:
        """The score, or the default one, if a run has it under this protocol."""
        names = self.scores(protocol)
        if score is None:
            return next((name for name in names if name in MAIN_SCORES), names[0])
        return score if score in names else None

    def _find_shared(self, count: int | None) -> list[Protocol]:
        """The protocols that all runs have, the one with the most images first."""
        shared = [protocol for protocol in self._points[0] if all(protocol in points for points in self._points)]
        if not shared:
            raise UserError(self._explain_difference())
        matching = [protocol for protocol in shared if count in (None, protocol.num_images)]
        if not matching:
            raise UserError(
                f"--count {count}: the runs share scores of {_join({protocol.num_images for protocol in shared})} images; "
                f"compute others for each of them: {command_prefix()} evaluate RUN --count {count}"
            )
        # With equal counts, float32 is preferred, the precision of `zoo evaluate`.
        return sorted(matching, key=lambda protocol: (protocol.num_images, protocol.precision == "float32"), reverse=True)

    def _explain_difference(self) -> str:
        """Explains why the runs share no protocol: the fields that differ from the most common one, and the command to run."""
        counts = Counter(protocol for points in self._points for protocol in points)
        common = max(counts, key=lambda protocol: (counts[protocol], protocol.num_images))
        closest = [min(points, key=lambda protocol: len(differing_fields([protocol, common]))) for points in self._points]
        fields = differing_fields(closest)
        differences = []
        for field in fields:
            names_by_value: dict[str, list[str]] = {}
            for name, protocol in zip(self.names, closest, strict=True):
                names_by_value.setdefault(protocol.describe_field(field), []).append(name)
            differences.append(f"{field} {' and '.join(f'{value} ({_join(names)})' for value, names in names_by_value.items())}")
        if {"data", "image_shape"} & set(fields):
            remedy = "scores on other data or at another resolution are not comparable: leave those runs out"
        else:
            remedy = f"evaluate each of them with one protocol: {command_prefix()} evaluate RUN --count {common.num_images}"
            options = {"split": common.split.partition(",")[0], "seed": common.seed}
            remedy += "".join(f" --{name} {value}" for name, value in options.items() if name in fields)
        return f"the runs' scores have no protocol in common: {'; '.join(differences)}; {remedy}"


def differing_fields(protocols: Sequence[Protocol]) -> list[str]:
    """Fields in which protocols differ, without those that another one of them determines."""
    differing = [name for name in FIELDS if len({getattr(protocol, name) for protocol in protocols}) > 1]
    return [name for name in differing if DETERMINED_BY.get(name) not in differing]


def _shortest_names(folders: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The names of folders, with as much of their paths as distinguishes them."""
    if not folders:
        raise UserError(f"no runs to compare; give their folders: {command_prefix()} compare runs/ONE runs/OTHER")
    paths = [Path(folder).resolve() for folder in folders]
    for folder, path in zip(folders, paths, strict=True):
        if paths.count(path) > 1:
            raise UserError(f"{folder} is given twice; name each run once")
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return [printable(Path(*path.parts[-depth:])) for path in paths]


def _join(values: Iterable[Any]) -> str:
    return ", ".join(map(str, sorted(values)))
