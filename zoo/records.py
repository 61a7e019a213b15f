"""Reading of JSON files whose fields have the types of a class's annotations. Whatever is in a file, the error is a ValueError."""

from __future__ import annotations

import inspect
import json
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from zoo.conversion import convert_values
from zoo.errors import UserError

Kind = TypeVar("Kind")

MAX_BYTES = 2**26  # of a file that is read as one object
MAX_INTEGER = 2**63 - 1


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else, or an object that is not valid: with NaN, a key twice, numbers beyond 64 bits.
    """
    if not stat.S_ISREG((status := path.stat()).st_mode):
        raise ValueError("it is not a regular file")
    if status.st_size > MAX_BYTES:
        raise ValueError(f"it has {status.st_size:,} bytes")
    return parse_object(path.read_bytes())


def parse_object(text: bytes, allow_nan: bool = False) -> dict[str, Any]:
    """The JSON object that a text holds; raises ValueError for anything else.

    Args:
        text: UTF-8.
        allow_nan: Whether numbers may be NaN and infinite.
    """
    options: dict[str, Any] = {} if allow_nan else {"parse_constant": _refuse_constant}
    try:
        value = json.loads(text.decode("utf-8-sig"), parse_int=_parse_integer, object_pairs_hook=_build_object, **options)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__} instead of an object")
    return value


def build_from(kind: type[Kind], values: Any, prefix: str = "") -> Kind:
    """An instance of a dataclass or named tuple from a JSON object, whose other keys are ignored.

    Args:
        kind: The class; its annotations are the types of the fields.
        values: The object.
        prefix: What precedes the names of the fields in errors: `data.`.

    Raises:
        ValueError: For something else than an object, fields of another type, and missing ones.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{prefix.removesuffix('.') or 'it'} is not an object")
    parameters = inspect.signature(kind).parameters
    missing = [name for name, one in parameters.items() if one.default is one.empty and name not in values]
    if missing:
        raise ValueError(f"{', '.join(f'{prefix}{name}' for name in missing)} is missing")
    return kind(**check_types(kind, {name: value for name, value in values.items() if name in parameters}, prefix))


def check_types(kind: type, values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of an object, converted to the annotations of a class; raises ValueError for other types."""
    try:
        return convert_values(kind, values)
    except UserError as error:
        raise ValueError(f"{prefix}{error}") from None


def _parse_integer(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > MAX_INTEGER:
        raise ValueError(f"the number {text[:20]} is out of range")
    return int(text)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"it holds {text}, which is not a number")


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it holds {name!r:.50} twice")
    return values
