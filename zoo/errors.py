"""The error that tells a user what to change."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what the user asked for; the command line prints its message on one line and exits with status 2."""


# Categories of characters that a terminal may interpret, that cannot be encoded, or that break a line.
UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # reorder the text around them


def printable(text: object) -> str:
    """Text from outside (names of files, classes, poses, values of records) with what must not reach a terminal as escapes: `\\x1b[31m`."""
    return "".join(_escape(character) for character in str(text))


def _escape(character: str) -> str:
    if character in BIDIRECTIONAL or unicodedata.category(character) in UNPRINTABLE:
        return character.encode("unicode_escape").decode("ascii")
    return character


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
