"""Formatting of text as Markdown, and of values for readers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


def escape(text: Any) -> str:
    """Escapes text for Markdown and HTML, including table cells."""
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", " ".join(str(text).split()))


def code_span(text: str) -> str:
    """Text as inline code; the fence is longer than any in the text."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{' '.join(text.split())}{space}{fence}"


def code_block(language: str, text: str) -> str:
    """A fenced code block; the fence is longer than any in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool] | None = None) -> str:
    """A table from cells that are Markdown.

    Args:
        header: Titles of the columns.
        rows: The cells, row by row.
        numeric: Which columns are aligned to the right; default: none.
    """
    rule = ["---:" if right else "---" for right in numeric or [False] * len(header)]
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, *rows)]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])


def format_setting(value: Any, name: str = "") -> str:
    """Formats a setting as on the command line, and a shape as `28x28x1`."""
    if isinstance(value, (list, tuple)):
        return ("x" if name.endswith("shape") else " ").join(map(str, value))
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def format_duration(seconds: float) -> str:
    """`52 s`, `4 min`, `3 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def format_sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."
