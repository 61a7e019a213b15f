"""Errors about run folders that cannot be written."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING

from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.runs.folder import Run

NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)
TEXTS = ("No space left", "File too large", "Disk quota", "Permission denied", "Read-only file system")  # in TensorFlow's errors


@contextlib.contextmanager
def explain_write_errors(run: Run) -> Iterator[None]:
    """Converts errors of a full disk or a read-only folder to a UserError; files that were saved before stay intact."""
    import tensorflow as tf

    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        text = next((text for text in TEXTS if text in str(error)), None)
        if text is None and isinstance(error, OSError) and error.errno in NUMBERS:
            text = error.strerror
        if text is None:
            raise
        raise UserError(
            f"cannot write to {run.display_path}: {text}; its checkpoints are intact: "
            f"free some space (or make it writable), then continue with {run.resume_command()}"
        ) from None
