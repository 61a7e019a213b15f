"""Values that a user gives, as the types that the fields of a dataclass have. Imports nothing heavy, so that `--help` is fast."""

from __future__ import annotations

import functools
import numbers
import os
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from zoo.errors import UserError, shorten

_MISMATCH = object()
INT64 = range(-(2**63), 2**63)


def convert_values(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Values for fields of a dataclass, converted where nothing is lost.

    Lists and arrays become tuples, numbers of NumPy and tensors those of Python, and paths text. Floats are not taken as integers, not
    even whole ones.

    Args:
        kind: The dataclass.
        values: Field -> value. Values of other names, and of fields of other types than those of options, are unchanged.

    Raises:
        UserError: For a value of another type than the field has.
    """
    hints = _hints(kind)
    return {name: _convert(name, value, hints.get(name, Any)) for name, value in values.items()}


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _convert(name: str, value: Any, hint: Any) -> Any:
    """The value as the type `hint` has it, or UserError."""
    converted = _match(value, hint)
    if converted is _MISMATCH:
        raise UserError(f"{name}={shorten(value)}: expected {_describe(hint)}")
    return converted


def _match(value: Any, hint: Any) -> Any:
    """The value as the type `hint` has it, or `_MISMATCH`."""
    origin, value = get_origin(hint), _to_python(value)
    if origin in (Union, types.UnionType):
        matches = (_match(value, part) for part in get_args(hint))
        return next((match for match in matches if match is not _MISMATCH), _MISMATCH)
    if origin is tuple or hint is tuple:
        return _match_tuple(value, get_args(hint) or (Any, ...))
    if origin is Literal or hint is str:  # which words are valid is checked elsewhere
        return text if isinstance(value, (str, os.PathLike)) and isinstance(text := os.fspath(value), str) else _MISMATCH
    if hint is type(None):
        return None if value is None else _MISMATCH
    if hint is bool:
        return value if isinstance(value, bool) else _MISMATCH
    if hint is int:
        is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        return int(value) if is_integer and int(value) in INT64 else _MISMATCH
    if hint is float:
        return _match_float(value)
    if origin is list:
        return list(matches) if (matches := _match_tuple(value, (*get_args(hint), ...))) is not _MISMATCH else _MISMATCH
    if origin is dict:
        return _match_dict(value, *get_args(hint))
    return value


def _match_float(value: Any) -> Any:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return _MISMATCH
    try:
        return float(value)
    except OverflowError:  # an integer or a fraction beyond 1e308
        return _MISMATCH


def _to_python(value: Any) -> Any:
    """Arrays and scalars of NumPy and TensorFlow as lists and numbers; other values as they are."""
    value = value.numpy() if hasattr(value, "numpy") and hasattr(value, "dtype") else value
    return value.tolist() if hasattr(value, "tolist") and hasattr(value, "dtype") else value


def _match_tuple(value: Any, parts: tuple[Any, ...]) -> Any:
    if not isinstance(value, (list, tuple)):
        return _MISMATCH
    kinds = parts[:1] * len(value) if Ellipsis in parts else parts
    if len(kinds) != len(value):
        return _MISMATCH
    matches = tuple(_match(one, kind) for one, kind in zip(value, kinds, strict=True))
    return _MISMATCH if any(match is _MISMATCH for match in matches) else matches


def _match_dict(value: Any, key_kind: Any, value_kind: Any) -> Any:
    if not isinstance(value, dict):
        return _MISMATCH
    matches = {_match(key, key_kind): _match(one, value_kind) for key, one in value.items()}
    return _MISMATCH if any(_MISMATCH in pair for pair in matches.items()) else matches


def _describe(hint: Any) -> str:
    """A type as an error message names it: `tuple[int, int, int]`."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_describe(part) for part in get_args(hint) if part is not type(None))
    return hint.__name__ if isinstance(hint, type) and get_origin(hint) is None else str(hint).replace("typing.", "")
