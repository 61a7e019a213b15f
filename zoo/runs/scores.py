"""The scores, samples and exports in a run's folder, and the formatting of scores."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.records import build_from, read_object
from zoo.runs.measurements import append_row
from zoo.types import Protocol, ScorePoint

if TYPE_CHECKING:
    from zoo.runs.folder import Run

ScoreValue = float | tuple[float, float | None]  # a number, or a `metrics.Score`: value and uncertainty
NUMBER = "[0-9]{1,18}"  # in names of files
EXPORT_RECORD = Path("assets.extra", "zoo.json")  # in the folder of a version; TensorFlow ignores `assets.extra`
GRID_PREFIXES = ("step-", "round-")  # prefixes of the names of sample grids; the second one in old runs


class ExportRecord(NamedTuple):
    """The content of `EXPORT_RECORD`."""

    step: int


def score_points(run: Run) -> dict[Protocol, dict[str, list[ScorePoint]]]:
    """The scores of a run.

    Returns:
        Protocol -> score -> points in the order of their steps. If a step was scored twice with the same protocol, the later value is used.
        Scores without a protocol are omitted, because they are not comparable.
    """
    points: dict[Protocol, dict[str, dict[int, ScorePoint]]] = {}
    for row in run.rows():
        scores = {name: value for name, value in (row.get("scores") or {}).items() if isinstance(value, (int, float))}
        if not scores or not row.get("protocol"):
            continue
        by_name = points.setdefault(Protocol.from_dict(row["protocol"]), {})
        errors = row.get("errors") or {}
        images = count_images(run, row)
        for name, value in scores.items():
            by_name.setdefault(name, {})[row["step"]] = ScorePoint(value, row["step"], images, errors.get(name))
    return {
        protocol: {name: [by_step[step] for step in sorted(by_step)] for name, by_step in by_name.items()}
        for protocol, by_name in points.items()
    }


def score_fields(scores: Mapping[str, ScoreValue], protocol: Protocol) -> dict[str, Any]:
    """The fields of a row that hold scores: "scores", "errors" (where there are uncertainties) and "protocol".

    Args:
        scores: Name -> number, or `metrics.Score` (value and uncertainty).
        protocol: The protocol of the scores.
    """
    pairs = {name: score if isinstance(score, tuple) else (score, None) for name, score in scores.items()}
    errors = {name: round_score(error) for name, (_, error) in pairs.items() if error is not None}
    values = {name: round_score(value) for name, (value, _) in pairs.items()}
    return {"scores": values, **({"errors": errors} if errors else {}), "protocol": protocol.to_dict()}


def append_scores(
    folder: Path,
    step: int,
    checkpoint: str | int,
    scores: Mapping[str, ScoreValue],
    protocol: Protocol,
    rows: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Appends scores that were computed after training to the metrics.jsonl of a folder.

    Args:
        folder: The folder, such as the run's.
        step: The step of the scored checkpoint.
        checkpoint: The scored checkpoint: `last`, `best`, or a step.
        scores: Name -> number, or `metrics.Score` (value and uncertainty).
        protocol: The protocol of the scores.
        rows: The rows of the run, which tell images and seconds up to the step.
    """
    trained = next((row for row in rows if row["step"] == step), {})
    progress: dict[str, Any] = {name: trained[name] for name in ("images", "seconds") if name in trained}
    append_row(folder, {"step": step, **progress, "evaluated": True, "checkpoint": checkpoint, **score_fields(scores, protocol)})


def latest_grid(run: Run) -> Path | None:
    """Path of the newest sample grid that is a complete image; None if there is none."""
    from PIL import Image

    for path in list_grids(run):
        try:
            with Image.open(path) as picture:
                picture.load()
            return path
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # Pillow's errors for damaged files
            continue
    return None


def list_grids(run: Run) -> list[Path]:
    """Paths of the sample grids, newest first."""
    return sorted(filter(_is_grid, (run.folder / "samples").glob("*.png")), key=grid_step, reverse=True)


def grid_step(path: Path) -> int:
    """The step of a sample grid: `step-000200.png` -> 200."""
    return int(path.stem.rpartition("-")[2])


def export_versions(folder: Path) -> list[int]:
    """Numbers of the SavedModels in a folder, sorted; empty if the folder does not exist."""
    return sorted(int(path.name) for path in Path(folder).glob("[0-9]*") if re.fullmatch(NUMBER, path.name) and path.is_dir())


def find_export(folder: Path, step: int) -> Path | None:
    """The newest SavedModel in a folder, if it is of this step. That of version 0.1, which does not record its step, is taken to be."""
    for number in reversed(export_versions(folder)):
        version = folder / str(number)
        if (version / "saved_model.pb").is_file():
            try:
                return version if build_from(ExportRecord, read_object(version / EXPORT_RECORD)).step == step else None
            except (OSError, ValueError):
                return version
    return None


def record_export(version: Path, step: int) -> None:
    """Records in the folder of a SavedModel which step it is of."""
    (version / EXPORT_RECORD).parent.mkdir(exist_ok=True)
    (version / EXPORT_RECORD).write_text(json.dumps({"step": step}), encoding="utf-8")


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in plain text, with the columns aligned."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def round_score(value: float) -> float:
    """Rounds a score for files: six significant digits."""
    return float(f"{value:.6g}")


def format_score(value: float, digits: int = 3) -> str:
    """Formats a score with this many significant digits: 71.2, 0.850, 0.00120; from 1,000 on as an integer."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.{digits}g}".rstrip(".")


def count_images(run: Run, row: dict[str, Any]) -> int:
    """Number of images seen at the step of a row."""
    config = run.record.config
    return row.get("images", row["step"] * config.get("batch_size", 1) * config.get("discriminator_steps", 1))


def _is_grid(path: Path) -> bool:
    return path.is_file() and any(re.fullmatch(f"{prefix}{NUMBER}", path.stem) for prefix in GRID_PREFIXES)
