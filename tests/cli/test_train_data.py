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
from zoo.training.cluster import Cluster, LostWorkerError
from zoo.training.workers import Worker


def train_until(error, find_damage, tmp_path, monkeypatch, worker=None):
    """A training that fails with an error of TensorFlow."""

    def fail(*args):
        raise error

    source = types.SimpleNamespace(name="digits", find_damage=find_damage)
    training = object.__new__(session.TrainingSession)
    training.options, training.replicas = TrainOptions(), 1
    training.cluster = Cluster(tf.distribute.get_strategy(), worker)
    training.full_source = training.prepared_source = source
    training.model = types.SimpleNamespace(callbacks=list)
    monkeypatch.setattr(session.TrainingSession, "_build_callbacks", lambda *args: [])
    monkeypatch.setattr(session, "repeat_evaluation", lambda *args: None, raising=False)
    monkeypatch.setattr(session, "fit", fail)
    training._fit(Run(tmp_path, RunRecord("gan", {}, DataRecord("digits", "1.0.0"), "float32", 1, False)))


def test_a_failure_during_training_is_one_line(tmp_path, monkeypatch):
    message = (
        r"digits cannot be read: digits-7 \(corrupted record\); repair or remove it; its checkpoints are intact; to continue: .* --resume "
    )
    with pytest.raises(UserError, match=message):
        error = tf.errors.DataLossError(None, None, "corrupted record")
        train_until(error, lambda: iter(["digits-7 (corrupted record)"]), tmp_path, monkeypatch)


def test_a_lost_worker_is_not_taken_for_a_damaged_file(tmp_path, monkeypatch):
    error = tf.errors.UnavailableError(None, None, "Collective ops is aborted by: /job:worker/replica:0/task:1 is unhealthy")
    with pytest.raises(LostWorkerError, match=r"worker 1 \(b:2\) is gone"):
        train_until(error, lambda: pytest.fail("the files are read"), tmp_path, monkeypatch, Worker(("a:1", "b:2"), 0))


def test_verify_reads_the_files_before_the_start(working_directory, capsys, monkeypatch):
    monkeypatch.setattr(tfds_source, "find_damaged_shards", lambda builder: iter(["a (truncated)", "b (truncated)"]))
    assert "digits: 2 damaged or missing: a (truncated), b (truncated); repair" in read_error(capsys, [*GAN, "--verify"])
    assert list_files() == []
