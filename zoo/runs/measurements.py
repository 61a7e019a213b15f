"""The lines of metrics.jsonl: typed, and read in spite of whatever else is in the file."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

from zoo.conversion import convert_values
from zoo.errors import UserError
from zoo.files import check_regular, read_file, write_atomically
from zoo.records import check_types, parse_object
from zoo.runs.renames import upgrade_row
from zoo.types import Protocol

FILE = "metrics.jsonl"
MAX_LINE = 2**20  # bytes
AMOUNTS = ("images", "seconds", "images_per_second", "diversity", "scores_seconds")
LOSS_PREFIXES = ("d_", "g_")  # of the names of logged values

_reported: set[tuple[Path, int]] = set()  # files and the hashes of the lines that a warning has named


class Row(TypedDict, total=False):
    """The fields of a line; loss terms and the like stand beside them."""

    step: int
    images: int
    seconds: float
    images_per_second: float
    warnings: list[str]
    diversity: float
    scores: dict[str, float | None]
    errors: dict[str, float | None]
    protocol: dict[str, Any]
    scores_seconds: float
    evaluated: bool
    interrupted: bool
    checkpoint: str | int


def average_speed(row: Mapping[str, Any]) -> float:
    """Images per second of training up to a row, over all processes; 0 if they are not recorded."""
    return row["images"] / row["seconds"] if row.get("images") and row.get("seconds") else 0.0


def read_rows(folder: Path, display_path: Path) -> list[dict[str, Any]]:
    """The rows of a run, those of old runs with the current names. A line that is not a row is skipped, with a warning.

    Args:
        folder: The run's folder.
        display_path: The folder as the warnings name it.
    """
    try:
        content = read_file(folder / FILE)
    except FileNotFoundError:
        return []
    except OSError as error:  # accessories never prevent a run from being used
        _warn(folder / FILE, str(error).encode(), f"{display_path / FILE} cannot be read: {error.strerror}")
        return []
    return [row for _, row in _parse_lines(content, folder / FILE, display_path / FILE)]


def _parse_lines(content: bytes, path: Path, display_path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yields (line, row) for each row in a file, and warns of the other lines."""
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip(b" \r\0"):
            try:
                yield line, parse_row(line)
            except ValueError as error:
                _warn(path, line, f"{display_path}, line {number} is skipped: {error}")


def parse_row(line: bytes) -> dict[str, Any]:
    """A line; raises ValueError if it is not a row: truncated when the run was killed, damaged, with fields of other types."""
    if len(line) > MAX_LINE:
        raise ValueError(f"it has {len(line):,} bytes")
    try:
        row = upgrade_row(parse_object(line, allow_nan=True))  # scores may be NaN
        row = check_types(Row, row)
        if row.get("protocol"):
            convert_values(Protocol, row["protocol"])
    except UserError as error:
        raise ValueError(f"protocol.{error}") from None
    except (TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"it is not a row of version 0.1 ({error})") from None
    if row.get("step", -1) < 0:
        raise ValueError("step is missing, or less than 0")
    for name in AMOUNTS:
        if name in row and not 0 <= row[name] < math.inf:
            raise ValueError(f"{name}={row[name]!r} is not a finite number of at least 0")
    for name, value in row.items():
        if name.startswith(LOSS_PREFIXES) and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise ValueError(f"{name}={value!r:.60} is not a number")
    return row


def remove_later_rows(folder: Path, display_path: Path, step: int) -> None:
    """Removes the rows after a step, those of interruptions, and what is not a row; the other lines stay as they are."""
    path = folder / FILE
    if path.exists():
        content = read_file(path)
        lines = [
            line + b"\n"
            for line, row in _parse_lines(content, path, display_path / FILE)
            if row["step"] <= step and not row.get("interrupted")
        ]
        if b"".join(lines) != content:
            write_atomically(path, lambda temporary: temporary.write_bytes(b"".join(lines)))


def append_row(folder: Path, row: Mapping[str, Any]) -> None:
    """Appends a row; a last line that was truncated when the run was killed stays separate."""
    path = folder / FILE
    if path.exists():
        check_regular(path)
    with open(path, "ab+") as file:
        if file.seek(0, os.SEEK_END) > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(f"{json.dumps(row)}\n".encode())


def _warn(path: Path, content: bytes, text: str) -> None:
    """Prints a warning about a line once: a report reads the rows many times."""
    if (path, hash(content)) not in _reported:
        print(f"warning: {' '.join(text.split())}", file=sys.stderr, flush=True)
    _reported.add((path, hash(content)))
