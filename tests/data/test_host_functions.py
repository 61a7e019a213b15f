"""Python functions in a pipeline."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from zoo.data import host_functions

PROGRAM = """
from zoo import data

batches = iter(data.open_source("digits").batches(64))
print(next(batches)["image"].shape)
"""


def test_a_function_gets_and_returns_arrays():
    rows = tf.data.Dataset.range(3).map(lambda row: host_functions.call(lambda row: np.int64(row * 2), [row], tf.int64))
    assert [int(row) for row in rows] == [0, 2, 4]


@pytest.mark.slow
def test_a_program_ends_while_a_pipeline_reads_ahead():
    """Without care a quarter of such programs never ended: a thread of the pipeline waited for the interpreter, and it for the thread."""
    command = [sys.executable, "-c", PROGRAM]
    programs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    try:
        outputs = [program.communicate(timeout=120)[0] for program in programs]
    finally:
        for program in programs:
            program.kill()
    assert outputs == ["(64, 32, 32, 1)\n"] * 3 and not any(program.returncode for program in programs)
