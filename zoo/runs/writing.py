"""Errors about run folders that cannot be written."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UserError
from zoo.runs.commands import program_name

if TYPE_CHECKING:
    from zoo.runs.folder import Run

NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.EISDIR, errno.ENOTDIR)
TEXTS = ("No space left", "File too large", "Disk quota", "Permission denied", "Read-only file system")  # in TensorFlow's errors


@contextlib.contextmanager
def explain_write_errors(run: Run) -> Iterator[None]:
    """Converts errors of a full disk, a read-only, renamed or deleted folder to a UserError; files that were saved before stay intact.

    Nothing is written to a run with symbolic links that lead out of its folder: whoever made the run would decide where.
    """
    import tensorflow as tf

    refuse_outside_links(run.folder)

    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if not run.is_in_place():
            raise explain_moved_folder(run) from None
        text = next((text for text in TEXTS if text in str(error)), None)
        if text is None and isinstance(error, OSError) and error.errno in NUMBERS:
            text = f"{error.strerror} ({error.filename})" if error.filename else error.strerror
        if text is None:
            raise
        raise UserError(
            f"cannot write to {run.display_path}: {text}; its checkpoints are intact: "
            f"free some space (or make it writable), then continue with {run.resume_command()}"
        ) from None


def refuse_outside_links(folder: Path) -> None:
    """Raises UserError if a symbolic link in a folder leads out of it."""
    root = folder.resolve()
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *files)):
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
                raise UserError(f"{path} is a symbolic link out of the run's folder, so nothing is written; replace it by what it links to")


def explain_moved_folder(run: Run) -> UserError:
    """The error that the folder of a run is no longer where it was."""
    return UserError(
        f"{run.display_path} was renamed or deleted while it was in use; what was saved before is intact where it is now; "
        f"to continue from there: {program_name()} --resume NEW_NAME"
    )
