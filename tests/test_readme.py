"""What the README says a user can type."""

import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import play, same, tiny, weights

import train
import zoo
from zoo import __main__ as tool
from zoo import registry

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The name of the model that the README adds."""
    code = next(block for block in blocks("python") if "@register(" in block)
    path = tmp_path / "example.py"
    path.write_text(code)
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    before = set(zoo.names())
    spec = importlib.util.spec_from_file_location("example", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "example", module)
    spec.loader.exec_module(module)
    (name,) = set(zoo.names()) - before
    return name


def test_the_model_that_the_readme_adds_is_whole(example):
    game = tiny(example)
    before = weights(game.generator)
    history = play(game, 0, 2)
    assert "d_penalty" in history and np.isfinite([v for values in history.values() for v in values]).all()
    assert not same(before, weights(game.generator))
    assert game.preview(None)[0].shape == (64, 16, 16, 1)
    assert f"\n  {example} " in registry.table()


def test_every_model_is_in_the_table():
    for name in zoo.names():
        assert f"`{name}`" in README, name


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines() if "python " in line])
def test_commands_are_understood(line, monkeypatch):
    words = shlex.split(line.split("&&")[-1], comments=True)
    if words[:2] == ["python", "train.py"]:
        if "--list" in words:
            with pytest.raises(SystemExit) as stop:
                train.parse(words[2:])
            assert not stop.value.code
        elif "--resume" not in words:  # which needs the run
            train.parse(words[2:])
    elif words[:3] == ["python", "-m", "zoo"]:
        for kind in tool.COMMANDS:
            monkeypatch.setattr(kind, "__call__", lambda self: None)
        assert tool.main(words[3:]) == 0
    else:
        assert Path(words[1]).exists(), line


def test_the_request_fits_the_signature(played):
    body = json.loads(re.search(r"curl -d '(.*?)'", README).group(1))
    row = body["instances"][0]
    row["label"] %= played("acgan").game.config.num_classes  # of the digits there are more
    signature = tf.saved_model.load(played("acgan").version).signatures[body["signature_name"]]
    image = signature(**{key: tf.constant([value], tf.int64) for key, value in row.items()})["image"]
    assert image.shape == (1, 16, 16, 1)
