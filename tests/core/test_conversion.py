"""Values that a user gives, as the types that the fields of a configuration have."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import zoo
from zoo.conversion import convert_values
from zoo.core import Config
from zoo.errors import UserError


@dataclasses.dataclass
class Fields:
    count: int = 1
    rate: float = 0.1
    optional: int | None = None
    several: int | tuple[int, ...] = 1
    shape: tuple[int, int, int] | None = None
    words: tuple[Literal["a", "b"], ...] = ()
    path: str = ""
    flag: bool = False
    anything: Any = None
    mapping: dict[str, int] = dataclasses.field(default_factory=dict)


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("count", np.int32(3), 3),
        ("rate", 2, 2.0),
        ("rate", np.float32(0.5), 0.5),
        ("optional", None, None),
        ("several", [1, np.int64(2)], (1, 2)),
        ("several", 4, 4),
        ("shape", np.array([8, 8, 1]).tolist(), (8, 8, 1)),
        ("words", ["a", "b"], ("a", "b")),
        ("path", Path("x") / "y", "x/y"),
        ("flag", True, True),
        ("anything", {1}, {1}),
        ("mapping", {"a": 1}, {"a": 1}),
        ("unknown", 1, 1),
    ],
)
def test_values_are_converted_where_nothing_is_lost(name, value, expected):
    converted = convert_values(Fields, {name: value})[name]
    assert converted == expected and type(converted) is type(expected)


@pytest.mark.parametrize(
    "name, value, kind",
    [
        ("count", 4.5, "int"),
        ("count", None, "int"),
        ("count", True, "int"),
        ("rate", "x", "float"),
        ("several", "x", r"int or tuple\[int, \.\.\.\]"),
        ("shape", 32, r"tuple\[int, int, int\]"),
        ("shape", (32, 32), r"tuple\[int, int, int\]"),
        ("shape", (32, 32, "1"), r"tuple\[int, int, int\]"),
        ("path", 3, "str"),
        ("flag", 1, "bool"),
    ],
)
def test_other_types_are_refused(name, value, kind):
    with pytest.raises(UserError, match=f"^{name}=.*: expected {kind}$"):
        convert_values(Fields, {name: value})


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"batch_size": "x"}, "batch_size='x': expected int"),
        ({"batch_size": 4.5}, "batch_size=4.5: expected int"),
        ({"image_shape": 32}, r"image_shape=32: expected tuple\[int, int, int\]"),
        ({"image_shape": (28, 28)}, r"image_shape=\(28, 28\): expected tuple\[int, int, int\]"),
        ({"augment": "color"}, "augment='color': expected tuple"),
    ],
)
def test_create_checks_types(settings, message):
    with pytest.raises(UserError, match=message):
        zoo.create("gan", **settings)


def test_override_converts():
    config = Config().override(batch_size=np.int64(8), augment=["color"], ema_decay=0)
    assert config == Config(batch_size=8, augment=("color",), ema_decay=0.0) and type(config.batch_size) is int
