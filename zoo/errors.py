"""The error that tells a user what to change."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what the user asked for; the command line prints its message on one line and exits with status 2."""


def option_name(field: str) -> str:
    """A setting as the command line and messages name it: `eval_every` -> `--eval-every`."""
    return f"--{field.replace('_', '-')}"


def suggest(name: str, available: Iterable[str]) -> str:
    """The end of a sentence about an unknown name.

    Args:
        name: What the user typed.
        available: The names that exist.

    Returns:
        `"; did you mean 'acgan'?"` if one of the available names is close, otherwise `"."`.
    """
    matches = difflib.get_close_matches(name, list(available), n=1)
    return f"; did you mean '{matches[0]}'?" if matches else "."
