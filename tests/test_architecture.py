"""The architecture: imports point down only, never sideways, and a package that is missing from the table fails."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = {
    "zoo.errors": -2,  # every layer may raise them
    "zoo.conversion": -1,
    "zoo.files": -1,
    "zoo.registry": 0,
    "zoo.locks": 0,
    "zoo.precision": 0,
    "zoo.records": 0,
    "zoo.types": 0,
    "zoo.metrics": 1,
    "zoo.data": 1,
    "zoo.runs": 1,
    "zoo.core": 2,
    "zoo.models": 3,
    "zoo.pretrained": 4,
    "zoo.latent": 4,
    "zoo.training": 4,
    "zoo.serving": 4,
    "zoo.reports": 4,
    "zoo.cli": 5,
    "zoo.testing": 5,
    "zoo.__main__": 6,
    "zoo": 6,
    "train": 6,
}
MODELS_MAY_USE = ("zoo.core", "zoo.metrics", "zoo.registry", "zoo.errors")
MAX_LINES, MAX_FUNCTION = 350, 50


def modules():
    for path in [ROOT / "train.py", *sorted((ROOT / "zoo").rglob("*.py"))]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def package(name):
    """The entry of the table that a module belongs to: `zoo.data.source` is part of `zoo.data`."""
    return next((p for p in sorted(LAYERS, key=len, reverse=True) if name == p or (p != "zoo" and name.startswith(f"{p}."))), None)


def imports(path):
    """Modules of the zoo that a file imports, at any depth; those for type checkers only are left out."""
    module_names = {name for name, _ in modules()}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in ("zoo", "train"))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("zoo", "train"):
            assert node.level == 0
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in module_names else node.module


@pytest.mark.parametrize("name, path", list(modules()))
def test_imports_point_down(name, path):
    home = package(name)
    assert home, f"{name} has no layer: add its package to {__file__}"
    for other in imports(path):
        target = package(other)
        assert target, f"{name} imports {other}, which has no layer"
        if name.startswith("zoo.models.") and other != "zoo.models":
            assert other.startswith(MODELS_MAY_USE), f"a model may not import {other}"
        elif target != home and target != "zoo":  # `import zoo` is lazy: it imports nothing
            assert LAYERS[target] < LAYERS[home], f"{name} (layer {LAYERS[home]}) imports {other} (layer {LAYERS[target]})"


@pytest.mark.parametrize("name, path", list(modules()))
def test_files_and_functions_are_short(name, path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < MAX_FUNCTION, f"{name}.{node.name} has {node.end_lineno - node.lineno + 1} lines"


def test_the_step_exists_once():
    texts = {name: path.read_text(encoding="utf-8") for name, path in modules() if not name.startswith("zoo.testing")}
    pattern = r"GradientTape\(|optimizer\w*\.apply\(|apply_gradients\("
    homes = [name for name, text in texts.items() if re.search(pattern, text)]
    # The tape of the gradient penalties and of projection, the step itself, and the update of a projection's latent vectors.
    assert sorted(homes) == ["zoo.core.losses", "zoo.core.step", "zoo.latent.projection"]


def test_no_model_is_named_outside_its_file():
    import zoo

    names = set(zoo.list_models())
    for name, path in modules():
        if name.startswith("zoo.models"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        assert not words & names, f"{name} names {', '.join(words & names)}"


def test_the_contract_of_a_game_is_small():
    import keras

    from zoo.core import Game

    members = [name for name in vars(Game) if not name.startswith("_") and not hasattr(keras.Model, name)]
    assert len(members) <= 28, members


def test_importing_the_package_has_no_side_effects():
    """Neither TensorFlow nor anything heavy is imported, and the environment, the file descriptors and the loggers stay as they are."""
    code = (
        "import os, sys, logging; before = dict(os.environ), os.fstat(2), logging.root.handlers[:]; import zoo; dir(zoo); "
        "assert (dict(os.environ), os.fstat(2), logging.root.handlers[:]) == before; "
        "heavy = {'tensorflow', 'keras', 'numpy', 'tensorflow_datasets', 'matplotlib', 'sklearn', 'scipy', 'PIL'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
