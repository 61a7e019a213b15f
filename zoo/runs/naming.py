"""Names and creation of the folders of runs."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

from zoo.errors import UserError
from zoo.files import check_path

PATTERN_CHARACTERS = frozenset("*?[]\\")  # TensorFlow looks for checkpoints by patterns
RUNS_LISTED = 5  # runs listed in the message about a folder that is not a run


def expand_home(folder: str | os.PathLike[str]) -> Path:
    """A path in which a leading `~` is replaced by the home folder; raises UserError for what cannot be a path, or not for TensorFlow."""
    path = Path(os.path.expanduser(check_path("folder", folder)))
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UserError(f"{path}: the path of a run must be valid UTF-8; rename the folder") from None
    return path


def make_folder(folder: Path) -> None:
    """Creates a folder and its parents; raises UserError if that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_folder_error(error) from None


def check_can_be_made(folder: Path) -> None:
    """Raises UserError if a folder cannot be created, or not be written; leaves nothing behind."""
    if special := sorted(PATTERN_CHARACTERS & set(str(folder.absolute()))):
        raise UserError(
            f"{folder}: TensorFlow cannot read checkpoints below a folder with {' '.join(special)} in its name; choose another --run-dir"
        )
    existing = next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".writing-", dir=existing))
    except OSError as error:
        error.filename = str(folder)
        raise explain_folder_error(error) from None


def make_next_folder(under: Path, stem: str) -> Path:
    """Creates `STEM-0001`, or the next free number, in a folder and returns it."""
    make_folder(under)
    suffixes = [path.name.removeprefix(f"{stem}-") for path in under.iterdir() if path.name.startswith(f"{stem}-")]
    number = max((int(suffix) for suffix in suffixes if suffix.isdecimal()), default=0) + 1
    while True:
        folder = under / f"{stem}-{number:04d}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:  # another run has taken the number in the meantime
            number += 1
        except OSError as error:
            raise explain_folder_error(error) from None


def list_runs(under: Path) -> str:
    """The end of a sentence about a folder that is not a run: the newest runs beside it."""
    times: dict[Path, float] = {}
    for path in under.glob("*/config.json"):
        with contextlib.suppress(OSError):
            times[path.parent] = path.stat().st_mtime
    newest = sorted(times, key=times.__getitem__, reverse=True)
    listed = f". Runs in {under}: {', '.join(map(str, newest[:RUNS_LISTED]))}" if newest else ""
    return f"{listed} and {len(newest) - RUNS_LISTED} older ones" if len(newest) > RUNS_LISTED else listed


def slug(name: str) -> str:
    """The name of a dataset as part of a folder's name: `folder:~/my pictures` -> `my-pictures`."""
    if name.startswith("folder:"):
        name = os.path.basename(name.removeprefix("folder:").rstrip("/"))
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-") or "data"


def explain_folder_error(error: OSError) -> UserError:
    """The error that a folder cannot be used for a new run."""
    return UserError(f"cannot create the run's folder: {error}; choose another one with --run-dir")
