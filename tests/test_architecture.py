"""The house: imports point down only (design: floors), and a module without a floor has no place."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {
    "train": 3,
    "zoo": 3,
    "zoo.__main__": 3,
    "zoo.models": 2,
    "zoo.game": 1,
    "zoo.registry": 0,
    "zoo.losses": 0,
    "zoo.augment": 0,
    "zoo.optimizers": 0,
    "zoo.settings": 0,
    "zoo.bookkeeping": 0,
    "zoo.layers": 0,
    "zoo.data": 0,
    "zoo.metrics": 0,
    "zoo.compare": 0,
    "zoo.card": 0,
    "zoo.callbacks": 0,
    "zoo.watch": 0,
    "zoo.summaries": 0,
    "zoo.runs": 0,
    "zoo.ends": 0,
    "zoo.export": 0,
    "zoo.scale": 0,
    "zoo.command": 0,
    "zoo.results": -1,  # what a run has measured: the card and the comparison read it
    "zoo.errors": -1,  # what a user's mistake is: every floor may say so
}
ARROWS = set()  # (importer, imported) between two modules of floor 0 that share a type
MODEL_MAY_USE = {"zoo.game", "zoo.ends", "zoo.losses", "zoo.layers", "zoo.registry", "zoo.errors"}


def modules():
    for path in [ROOT / "train.py", *(ROOT / "zoo").rglob("*.py")]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def room(name):
    """The room that a module belongs to: `zoo.data.folder` lives in `zoo.data`."""
    return next((r for r in sorted(FLOORS, key=len, reverse=True) if name == r or (r != "zoo" and name.startswith(f"{r}."))), None)


def imported(path):
    """Modules of the zoo that a file imports, `from zoo import x` being `zoo.x` where that is a module."""
    known = {name for name, _ in modules()}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in ("zoo", "train"))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("zoo", "train"):
            assert node.level == 0
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in known else node.module


@pytest.mark.parametrize("name, path", list(modules()))
def test_imports_point_down(name, path):
    home = room(name)
    assert home, f"{name} has no floor: give it one in {__file__}"
    for other in imported(path):
        target = room(other)
        assert target, f"{name} imports {other}, which has no floor"
        if target == home and home != "zoo.models":
            continue
        if name.startswith("zoo.models."):
            assert other in MODEL_MAY_USE, f"a model may not import {other}"
        else:
            lower = FLOORS[target] < FLOORS[home] or FLOORS[home] == 3
            assert lower or (name, other) in ARROWS, f"{name} (floor {FLOORS[home]}) imports {other} (floor {FLOORS[target]})"


def test_the_step_exists_once():
    homes = [name for name, path in modules() if "GradientTape" in path.read_text() or ".apply(" in path.read_text()]
    assert sorted(homes) == ["zoo.game", "zoo.losses"]  # the step's tape, and the one of the penalties


def test_the_driver_names_no_model():
    import zoo

    text = (ROOT / "train.py").read_text()
    words = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert not words & set(zoo.names())
