"""Data files that are missing or damaged: detected by reading all of them, and named in one line when reading fails."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator

import tensorflow as tf

from zoo.errors import UserError, join_first

FindDamage = Callable[[], Iterator[str]]  # reads every file; yields those that are missing or damaged, each with the reason

NOT_OF_DATA = (tf.errors.ResourceExhaustedError, tf.errors.CancelledError)  # memory, a full disk, the end of a program


def describe_read_error(error: BaseException, length: int = 80) -> str:
    """The reason in an error of TensorFlow, without the names of graph nodes."""
    text = getattr(error, "message", None) or str(error)
    lines = re.sub(r"\{\{.*?\}\}|\[Op:\w+\].*", "", text).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:length]


@contextlib.contextmanager
def explain_read_errors(name: str, find_damage: FindDamage | None, advice: str = "") -> Iterator[None]:
    """Converts an error inside `tf.data` to a UserError that names the file, if one of the files of the data cannot be read.

    TensorFlow's errors do not name the files, so all of them are read until one fails; other errors are raised unchanged.

    Args:
        name: The name of the data.
        find_damage: Reads the files; None: the data have no files of their own.
        advice: How to continue; appended to the message.
    """
    try:
        yield
    except NOT_OF_DATA:
        raise
    except tf.errors.OpError:
        if find_damage is None:
            raise
        print(f"reading {name} failed; looking for the damaged file", file=sys.stderr, flush=True)
        problem = next(find_damage(), None)
        if problem is None:
            raise
        raise UserError(f"{name} cannot be read: {problem}; repair or remove it{advice}") from None


def check_files(name: str, find_damage: FindDamage | None) -> None:
    """Reads every file of the data; raises a UserError that lists those that are missing or damaged."""
    damaged = list(find_damage()) if find_damage else []
    if damaged:
        raise UserError(f"{name}: {len(damaged)} damaged or missing: {join_first(damaged)}; repair or remove them")
