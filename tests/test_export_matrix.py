"""The table of models and formats: its rows are those of the script, and every model has some."""

import json
from pathlib import Path

import pytest
from conftest import import_benchmark, tiny_model

PAGE = Path(__file__).parents[1] / "docs" / "export.md"


@pytest.fixture(scope="module")
def matrix():
    return import_benchmark("export_matrix")


def test_the_tables_are_generated_from_the_rows_and_have_every_model(matrix):
    rows = [json.loads(line) for line in PAGE.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["model"] for row in rows if row["weights"] == "initial"} == set(matrix.ORDER)
    assert PAGE.read_text(encoding="utf-8").partition(matrix.HEADING)[2] == matrix.format_tables(rows)


def test_a_signature_is_converted_or_its_operations_are_named(matrix):
    model = tiny_model("gan")
    assert matrix.convert(model, "onnx", "gan", "sample", None) == {"lacks": ["StatelessRandomUniformV2"]}
    cell = matrix.convert(model, "onnx", "gan", "discriminate", None)
    assert cell["parameters"] == model.discriminator.count_params() and cell["batch"] is None
    assert 4 * cell["parameters"] < cell["bytes"] < 8 * cell["parameters"] and cell["difference"] < 1e-4


@pytest.mark.parametrize(
    "cell, text",
    [
        ({"bytes": 1_234_567, "difference": 2.5e-7, "parameters": 3, "batch": None}, "1.23 MB, 2e-07"),
        ({"bytes": 1_234_567, "difference": 0.031, "parameters": 3, "batch": 1}, "1.23 MB, 3e-02, `--batch 1`"),
        ({"lacks": ["StridedSlice", "Conv2D"]}, "lacks `StridedSlice`, `Conv2D`"),
    ],
)
def test_cells(matrix, cell, text):
    assert matrix.format_cell(cell) == text
