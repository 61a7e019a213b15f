"""Files of benchmark results, with one JSON object per line, from which pages are generated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.files import write_text

Row = dict[str, Any]


def merge_rows(file: Path, rows: Sequence[Row], key: Sequence[str]) -> dict[Hashable, Row]:
    """The rows of a file by the values of the fields in `key`; new rows replace those with the same key."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {tuple(row[name] for name in key): row for row in (*map(json.loads, lines), *rows)}


def write_rows(file: Path, rows: Sequence[Row], page: str) -> None:
    """Writes a file of rows and, next to it, the page that was generated from them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, "".join(f"{json.dumps(row)}\n" for row in rows))
    write_text(file.with_suffix(".md"), page)


def measure_in_process(name: str, *command: str) -> Row:
    """The row that a script prints as its last line, run by a process of its own: models do not share memory, threads or caches.

    Args:
        name: What is measured.
        *command: The script and its arguments.

    Raises:
        UserError: The process failed.
    """
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    result = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, text=True, env=environment)
    if result.returncode:
        raise UserError(f"measuring {name} failed with status {result.returncode}")
    return json.loads(result.stdout.splitlines()[-1])
