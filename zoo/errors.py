"""The error that tells a user what to change."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any
from unicodedata import category

MAX_REASON = 120  # characters of the message of another library
TOO_LARGE = (  # in errors of NumPy and TensorFlow about shapes
    "Maximum allowed",
    "array is too big",
    "would have more than 2**63",
    "too many elements",
    "Dimension size must be",
    "too large to convert to C",
)


class UserError(Exception):
    """A mistake in what the user asked for; the command line prints its message on one line and exits with status 2."""


def is_memory_error(error: BaseException) -> bool:
    """Whether an error says that an array or tensor does not fit into memory, or is larger than any memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":  # of TensorFlow, not imported
        return True
    return any(text in str(error) for text in TOO_LARGE)


def explain_memory_error(error: BaseException) -> str:
    """The message of an error for which `is_memory_error` holds."""
    reason = " ".join(re.sub(r"\{\{.*?\}\} ", "", str(error)).split())  # without TensorFlow's names of operations
    return f"out of memory ({reason[:MAX_REASON]}); use smaller values"


def option_name(field: str) -> str:
    """A setting as the command line and messages name it: `eval_every` -> `--eval-every`."""
    return f"--{field.replace('_', '-')}"


def shorten(value: object, width: int = 60) -> str:
    """A value as an error message shows it: one line, of bounded length."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python prints no integer of more than 4,300 digits
        text = f"an integer of {value.bit_length()} bits" if isinstance(value, int) else f"a {type(value).__name__}"
    return text if len(text) <= width else f"{text[: width - 3]}..."


def join_first(items: Iterable[object], count: int = 5) -> str:
    """The first `count` items, and how many there are beyond them: `a, b and 3 more`."""
    items = list(items)
    more = f" and {len(items) - count} more" if len(items) > count else ""
    return ", ".join(map(str, items[:count])) + more


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


def suggest_or_list(name: str, available: Iterable[str]) -> str:
    """The end of a sentence about an unknown name of which there are dozens: the closest one, or else all of them."""
    names = sorted(available)
    suggestion = suggest(name, names)
    return f". Available: {', '.join(names)}." if suggestion == "." else suggestion


# Categories of characters that a terminal may interpret, that cannot be encoded, or that break a line.
UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # reorder the text around them


def printable(text: object, keep: str = "") -> str:
    """Text from outside (names of files and classes, values of records) with escapes such as `\\x1b` for what a terminal would interpret.

    Args:
        text: The text.
        keep: Characters that are not escaped, such as a line break.
    """
    text = str(text)
    return text if text.isprintable() else "".join(character if character in keep else _escape(character) for character in text)


def figure_text(text: object) -> str:
    """Text from outside for a figure of Matplotlib, which would take `$` as the start of a formula, and stop at one that is none."""
    return printable(text, keep="\n").replace("$", r"\$")


def printable_values(value: Any) -> Any:
    """A value of JSON in which all texts are `printable`, except for line breaks.

    Raises:
        ValueError: It is nested too deeply.
    """
    try:
        return _printable_values(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _printable_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {_printable_values(key): _printable_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable_values(item) for item in value]
    return printable(value, "\n") if isinstance(value, str) else value


def _escape(character: str) -> str:
    if character in BIDIRECTIONAL or category(character) in UNPRINTABLE:
        return character.encode("unicode_escape").decode("ascii")
    return character
