"""Text as Markdown needs it, and values as people read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


def escape(text: Any) -> str:
    """Text that Markdown and HTML show as it is, also in the cell of a table."""
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", " ".join(str(text).split()))


def code_block(language: str, text: str) -> str:
    """A fenced block; the fence is longer than any in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool] | None = None) -> str:
    """A table whose cells are Markdown already.

    Args:
        header: Titles of the columns.
        rows: The cells, row by row.
        numeric: Which columns are aligned to the right; default: none.
    """
    rule = ["---:" if right else "---" for right in numeric or [False] * len(header)]
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, *rows)]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])


def format_setting(value: Any) -> str:
    """A setting as one would type it."""
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
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
