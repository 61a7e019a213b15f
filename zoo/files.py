"""Atomic writes: a file is there in full or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, save: Callable[[Path], object]) -> None:
    """Lets `save` write a temporary file next to `path`, then renames it to `path`.

    Args:
        path: The file to write; its folder must exist. An existing file is replaced.
        save: Called with the path of the temporary file.

    Raises:
        OSError: The file cannot be written. A file that was at `path` before is unchanged.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    save(temporary)
    os.replace(temporary, path)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
