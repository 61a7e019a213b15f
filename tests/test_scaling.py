"""The benchmark of several workers: its model of a step, and the page of its rows. Nothing is timed here."""

import json

import pytest
from conftest import import_benchmark

from zoo.errors import UserError

DESCRIBED = {"model": "gan", "batch_size": 64, "flops": 2e9, "pixels": 1000.0, "reduced": 10**6}
MEASURED = {"alone": 0.1, "seconds": 0.12, "collectives": 10, "latency": 1e-3, "bandwidth": 4e8, "provenance": "a CPU"}


@pytest.fixture(scope="module")
def scaling():
    return import_benchmark("scaling")


def test_a_ring_sends_each_gradient_almost_twice(scaling):
    assert scaling.ring_bytes(1000, 2) == 4000 and scaling.ring_bytes(1000, 4) == 6000


def test_the_prediction(scaling):
    """0.1 s of arithmetic, 4 MB at 400 MB/s, ten operations of 1 ms each."""
    assert scaling.predict({**DESCRIBED, **MEASURED}) == pytest.approx(0.1 + 0.01 + 0.01)


def test_the_page(scaling, tmp_path):
    options = scaling.Options(rows=tmp_path / "scaling.jsonl")
    scaling.update(options, {**DESCRIBED, **MEASURED}, {**DESCRIBED, "model": "large"})
    page = (tmp_path / "scaling.md").read_text()
    for columns in (scaling.COLUMNS, scaling.LARGE_COLUMNS):
        head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
        assert head in page and page[page.index(head) + len(head) :].partition("\n")[0].count("|") == len(columns) + 1
    assert "| gan | 64 | 2.000 | 1.0 | 4.0 | 10 | 100.0 | 120.0 | 120.0 | +0% | 0.83 | a CPU |" in page
    # 4.1 TFLOP at 100 TFLOP/s: 41 ms / 8; 7 MB in a tenth of that.
    assert "| large | 2,048 | 4 | 0.00 | 8 | 256 | 5 | 14 | 400 | 0.95 |" in page
    assert "large spends half of its time on gradients with 128 accelerators" in page
    scaling.update(options, {**DESCRIBED, **MEASURED, "seconds": 0.2})
    assert [json.loads(line)["model"] for line in options.rows.read_text().splitlines()] == ["gan", "large"]


def test_what_a_step_computes(scaling):
    row = scaling.describe("gan")
    assert row["batch_size"] == 64 and row["pixels"] == 32 * 32
    assert 1e7 < row["flops"] < 1e8 and row["reduced"] > 1e5


@pytest.mark.parametrize("options", [{"repetitions": 0}, {"link": 0.0}, {"accelerator": float("nan")}])
def test_wrong_options_are_refused(scaling, options):
    with pytest.raises(UserError, match=f"--{next(iter(options))}"):
        scaling.Options(**options).validate()
