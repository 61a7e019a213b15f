"""Data that cannot be read: one line, during training and with --verify before it."""

import tensorflow as tf
from command_line import GAN, list_files, read_error

from zoo.cli import session
from zoo.data import tfds_source


def test_a_failure_during_training_is_one_line(working_directory, capsys, monkeypatch):
    def fail(*args):
        raise tf.errors.DataLossError(None, None, "corrupted record")

    monkeypatch.setattr(session, "fit", fail)
    monkeypatch.setattr(tfds_source, "find_damaged_shards", lambda builder: iter([f"{builder.name}-7 (corrupted record)"]))
    error = read_error(capsys, [*GAN, "--run-dir", "run"])
    assert (
        "digits-7 (corrupted record); repair or remove it; its checkpoints are intact; to continue: " in error and "--resume run" in error
    )


def test_verify_reads_the_files_before_the_start(working_directory, capsys, monkeypatch):
    monkeypatch.setattr(tfds_source, "find_damaged_shards", lambda builder: iter(["a (truncated)", "b (truncated)"]))
    assert "digits: 2 damaged or missing: a (truncated), b (truncated); repair" in read_error(capsys, [*GAN, "--verify"])
    assert list_files() == []
