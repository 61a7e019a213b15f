"""The benchmarks of quality per minute and of memory: what they write. Nothing is timed here."""

import json
import sys

import pytest
from conftest import import_benchmark

from zoo.errors import UserError


@pytest.fixture(scope="module")
def speed():
    return import_benchmark("speed")


@pytest.fixture(scope="module")
def memory():
    return import_benchmark("memory")


def row(name, seed=0, distance=8.0):
    scores = [{"frechet": distance, "class_accuracy": 0.995}, {"frechet": distance / 2, "class_accuracy": 0.99}]
    points = [{"seconds": 60.0, "step": 100, "scores": scores}]
    settings = {"arguments": "--model acgan", "minutes": 1, "real": [4.0, 1.0], "precision": "float32", "provenance": "CPU"}
    return {"name": name, "seed": seed, "points": points, **settings}


def test_a_new_row_of_quality_per_minute_replaces_that_of_the_same_run(speed, tmp_path):
    options = speed.Options(rows=tmp_path / "speed.jsonl")
    for new in (row("a"), row("b"), row("a", seed=1), row("a", distance=12.0)):
        speed.update(options, new)
    page = (tmp_path / "speed.md").read_text()
    assert [(saved["name"], saved["seed"]) for saved in map(json.loads, options.rows.open())] == [("a", 0), ("b", 0), ("a", 1)]
    assert "| a | `--model acgan` | 0 | 1.0 | 100 | 3.0 / 6.0 | 99.50% / 99.00% |" in page and "| 2.0 / 4.0 |" in page
    assert (tmp_path / "speed.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--minutes", "0"], "--minutes 0"),
        (["--only", "stylegan"], "--only stylegan: unknown run. Available: .*acgan"),
        (["--arguments=--model acgan"], "give its name with --only"),
    ],
)
def test_bad_options_of_quality_per_minute_are_refused(speed, words, message):
    with pytest.raises(UserError, match=message):
        speed.main(words)


def test_memory_is_measured_by_part(memory, tmp_path, capsys):
    """The sum of the variables is exact, the step's share is positive."""
    words = ["--models", "gan", "--set", "batch_size=8", "generator_units=16", "--rows", str(tmp_path / "memory.jsonl")]
    assert memory.main(words) == 0
    (measured,) = map(json.loads, (tmp_path / "memory.jsonl").open())
    assert measured["optimizers"] == pytest.approx(2 * measured["networks"], rel=0.01), "Adam has two moments"
    assert 0 < measured["ema"] < measured["networks"] and 0 <= measured["others"] < 2**20 and 0 < measured["step"] < 2**30
    assert "| gan | batch_size=8 generator_units=16 |" in capsys.readouterr().out and "| gan |" in (tmp_path / "memory.md").read_text()


def test_bad_options_of_memory_are_refused(memory, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["memory.py"])
    with pytest.raises(UserError, match="--set batch_size: expected NAME=VALUE"):
        memory.main(["--models", "gan", "--set", "batch_size"])
