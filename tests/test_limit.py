"""The benchmark of the limits: what a traced step costs, and the page of its rows. Nothing is timed here."""

import json

import pytest
import tensorflow as tf
from conftest import import_benchmark

ROW = {
    "model": "gan",
    "batch_size": 64,
    "flops": 2e9,
    "bytes": 1e9,
    "operations": 10,
    "seconds": 0.2,
    "flops_rate": 1e11,
    "copy_rate": 1e10,
    "precision": "float32",
    "provenance": "a CPU",
}


@pytest.fixture(scope="module")
def limit():
    return import_benchmark("limit")


def trace(function, *shapes):
    return tf.function(function, autograph=False).get_concrete_function(*(tf.TensorSpec(shape) for shape in shapes)).graph


def multiply(a, b):
    return tf.matmul(a, b)


MULTIPLICATION = 2 * 4 * 5 * 6, 4 * (4 * 5 + 5 * 6 + 4 * 6)  # operations, bytes


def test_the_cost_of_one_operation(limit):
    cost = limit.count_cost(trace(multiply, (4, 5), (5, 6)))
    assert tuple(cost) == MULTIPLICATION
    convolution = limit.count_cost(trace(lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), (2, 8, 8, 3), (5, 5, 3, 7)))
    assert convolution.flops == 2 * (2 * 8 * 8 * 7) * (5 * 5 * 3)


def test_called_functions_count(limit):
    called = tf.function(multiply, autograph=False)
    cost = limit.count_cost(trace(lambda a, b: called(a, b) + called(a, b), (4, 5), (5, 6)))
    assert cost.flops == pytest.approx(2 * MULTIPLICATION[0] + 24)


def test_loops_count_by_their_iterations(limit):
    def repeat(a, b):
        return tf.while_loop(lambda i, total: i < 7, lambda i, total: (i + 1, total + multiply(a, b)), (2, tf.zeros([4, 6])))[1]

    cost = limit.count_cost(trace(repeat, (4, 5), (5, 6)))
    assert cost.flops == pytest.approx(5 * (MULTIPLICATION[0] + 24), rel=0.05)
    mapped = limit.count_cost(trace(lambda a, b: tf.map_fn(lambda row: multiply(row, b), a), (9, 4, 5), (5, 6)))
    assert mapped.flops == pytest.approx(9 * MULTIPLICATION[0], rel=0.05)


def test_a_loop_of_unknown_length_is_refused(limit):
    def repeat(a):
        return tf.while_loop(lambda x: tf.reduce_sum(x) < 7, lambda x: (x + 1,), (a,))[0]

    with pytest.raises(ValueError, match="the number of iterations of while is not known"):
        limit.count_cost(trace(repeat, (4,)))


def test_the_larger_of_two_branches_counts(limit):
    def branch(a, b):
        return tf.cond(tf.reduce_sum(a) > 0, lambda: multiply(a, b), lambda: tf.zeros([4, 6]))

    assert limit.count_cost(trace(branch, (4, 5), (5, 6))).flops == pytest.approx(MULTIPLICATION[0] + 20, rel=0.05)


def test_rows_and_page(limit, tmp_path):
    rows = tmp_path / "limit.jsonl"
    options = limit.Options(rows=rows)
    limit.update(options, {**ROW, "model": "dcgan_64"}, ROW)
    limit.update(options, {**ROW, "seconds": 0.4})
    limit.update(options, {**ROW, "model": "gan", "precision": "bfloat16"})
    read = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [(row["model"], row["seconds"], row["precision"]) for row in read] == [
        ("gan", 0.4, "float32"),
        ("dcgan_64", 0.2, "float32"),
        ("gan", 0.2, "bfloat16"),
    ]
    page = rows.with_suffix(".md").read_text()
    assert "| gan | 64 | 2.00 | 1.00 | 20.0 | 100.0 | 400.0 | 0.25 | 100 | 10.0 | float32 | a CPU |" in page
    assert "| dcgan_64 | 64 | 2.00 | 1.00 | 20.0 | 100.0 | 200.0 | 0.50 |" in page


@pytest.mark.slow
def test_a_model_is_measured(limit, tmp_path):
    rows = tmp_path / "limit.jsonl"
    assert limit.main(["--models", "gan", "--batch-size", "8", "--repetitions", "1", "--precision", "float32", "--rows", str(rows)]) == 0
    row = json.loads(rows.read_text())
    assert row["model"] == "gan" and row["batch_size"] == 8 and row["precision"] == "float32"
    assert 2e8 < row["flops"] < 5e8 and row["operations"] > 1000 and row["seconds"] > 0
