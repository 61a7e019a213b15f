"""Data that cannot be read: one line, during training and with --verify before it."""

import types

import pytest
import tensorflow as tf
from command_line import GAN, list_files, read_error

from zoo.cli import session
from zoo.cli.options import TrainOptions
from zoo.data import tfds_source
from zoo.errors import UserError
from zoo.runs import DataRecord, Run, RunRecord


def test_a_failure_during_training_is_one_line(tmp_path, monkeypatch):
    def fail(*args):
        raise tf.errors.DataLossError(None, None, "corrupted record")

    source = types.SimpleNamespace(name="digits", find_damage=lambda: iter(["digits-7 (corrupted record)"]))
    training = object.__new__(session.TrainingSession)
    training.options, training.replicas = TrainOptions(), 1
    training.full_source = training.prepared_source = source
    training.model = types.SimpleNamespace(callbacks=list)
    monkeypatch.setattr(session.TrainingSession, "_build_callbacks", lambda *args: [])
    monkeypatch.setattr(session, "repeat_evaluation", lambda *args: None, raising=False)
    monkeypatch.setattr(session, "fit", fail)
    record = RunRecord("gan", {}, DataRecord("digits", "1.0.0"), "float32", 1, False)
    message = (
        r"digits cannot be read: digits-7 \(corrupted record\); repair or remove it; its checkpoints are intact; to continue: .* --resume "
    )
    with pytest.raises(UserError, match=message):
        training._fit(Run(tmp_path, record))


def test_verify_reads_the_files_before_the_start(working_directory, capsys, monkeypatch):
    monkeypatch.setattr(tfds_source, "find_damaged_shards", lambda builder: iter(["a (truncated)", "b (truncated)"]))
    assert "digits: 2 damaged or missing: a (truncated), b (truncated); repair" in read_error(capsys, [*GAN, "--verify"])
    assert list_files() == []
