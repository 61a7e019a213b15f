"""The owner of a run: the one process that writes to its folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UserError
from zoo.locks import LockedError, hold_lock
from zoo.runs.best import read_best
from zoo.runs.checkpoints import remove_checkpoints, remove_incomplete_checkpoints
from zoo.runs.writing import refuse_outside_links

if TYPE_CHECKING:
    from zoo.runs.folder import Run

LOCK = ".lock"
SUBFOLDERS = ("", "samples", "checkpoints", "checkpoints/best")
# What `zoo.files.write_atomically` and the export leave behind if they are killed; files of other names are not ours.
NAMES = r"config\.json|metrics\.jsonl|README\.md|curve\.png|score\.json|progress\.json|step-\d+\.png"
TEMPORARY_FILE = re.compile(rf"\.\d+-({NAMES})")
TEMPORARY_EXPORTS = "export/*/.writing-*"
TRIAL_FOLDER = re.compile(r"\.writing-\w{8}")  # of `check_can_be_made`
# In a folder that is still free.
NOT_A_RUN = re.compile(rf"{re.escape(LOCK)}|{TEMPORARY_FILE.pattern}|{TRIAL_FOLDER.pattern}|\.DS_Store|desktop\.ini")


@contextlib.contextmanager
def own(run: Run) -> Iterator[None]:
    """Makes this process the owner of a run while the block runs, and removes what killed processes have left in its folder.

    Raises:
        UserError: Another process owns it, or it has symbolic links that lead out of it.
    """
    refuse_outside_links(run.folder)  # the lock and the removal would follow them
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(run.folder / LOCK))
        except LockedError as owner:
            raise UserError(f"{run.display_path} is in use by {owner}; one process at a time can write to a run") from None
        with contextlib.suppress(OSError):  # a read-only disk
            remove_leftovers(run.folder)
        yield


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files from a run's folder; no other process may be writing to it."""
    for part in (folder / name for name in SUBFOLDERS):
        for path in part.glob(".*"):
            if TEMPORARY_FILE.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)
    for part in (folder / "checkpoints", folder / "checkpoints" / "best"):
        remove_incomplete_checkpoints(part)
    with contextlib.suppress(ValueError):  # a score that cannot be read: its checkpoint stays
        if best := read_best(folder / "checkpoints" / "best"):
            remove_checkpoints(folder / "checkpoints" / "best", keep=best.step)
    for path in folder.glob(".writing-*"):
        if TRIAL_FOLDER.fullmatch(path.name):
            with contextlib.suppress(OSError):  # it is not empty, so it is not ours
                path.rmdir()
    for path in folder.glob(TEMPORARY_EXPORTS):
        shutil.rmtree(path, ignore_errors=True)


def identify(folder: Path) -> tuple[int, int] | None:
    """What stays the same when a folder is renamed; None if it does not exist."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino
