"""A process that is killed at any write of an evaluation loses nothing: the one that resumes the run makes what is missing."""

import json
import os
import shutil
import types
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import UserError
from zoo.metrics.registry import Score
from zoo.runs import DataRecord, Run, RunRecord, measurements
from zoo.training import callbacks
from zoo.training.callbacks import Evaluate, SaveCheckpoint, WriteEvaluation, repeat_evaluation
from zoo.training.monitor import TrainingMonitor
from zoo.types import Protocol

SETTINGS = {"steps": 6, "eval_every": 2, "batch_size": 4, "discriminator_steps": 1}
RECALL = {2: 0.1, 4: 0.5, 6: 0.3}  # step -> score: the best checkpoint is that of step 4
TIMES = ("seconds", "images_per_second", "scores_seconds")  # fields of a row that no two processes share


class Killed(BaseException):
    """The process ends here."""


class Model(keras.Model):
    """One weight, and what the callbacks ask a game for."""

    generates_from_noise, own_metrics, retries = False, (), 0
    config = types.SimpleNamespace(**SETTINGS)
    objective = types.SimpleNamespace(critic=False)
    modality = types.SimpleNamespace(render=lambda samples, columns: samples)

    def __init__(self):
        super().__init__()
        self.step_counter = self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False)
        self.built, self.stop_training = True, False

    @property
    def completed_steps(self):
        return int(keras.ops.convert_to_numpy(self.step_counter))

    def preview(self, batch):
        return np.full([4, 4, 1], self.completed_steps, np.uint8), 1


class Evaluation:
    """Scores are a function of the step."""

    count, extractor, score_name = 10, None, staticmethod(lambda name: name)

    def evaluate(self, model, metrics, warn):
        return {"recall": Score(RECALL[model.completed_steps], None)}

    def protocol(self, precision, generates_from_noise):
        return Protocol(data="a 1", real_images=10)


def train(folder):
    """What a session does, with steps that only count."""
    run = Run(folder)
    with run.own():
        model, writer = Model(), tf.summary.create_noop_writer()
        if run.checkpoints():
            run.restore(model)
        run.extend(model.config, model.completed_steps)
        evaluate, monitor = Evaluate(run, writer, Evaluation(), ["recall"], "recall"), TrainingMonitor(run, {})
        save = SaveCheckpoint(run, evaluate)
        every = [save, monitor, evaluate, WriteEvaluation(run, writer, {}, [save, monitor, evaluate])]
        repeat_evaluation(model, run, every)
        for callback in every:
            callback.set_model(model)
            callback.on_train_begin()
        for step in range(model.completed_steps + 2, SETTINGS["steps"] + 1, 2):
            for callback in every:
                callback.on_epoch_begin(0)
            model.step_counter.assign(step)
            logs = {"d_pairwise_accuracy": 0.999, "d_adversarial": 1 / step}  # the second evaluation warns of dominance
            for callback in every:
                callback.on_train_batch_end(1, logs)
            for callback in every:
                callback.on_epoch_end(0, dict(logs))


def create(folder):
    return Run.create(RunRecord("small", dict(SETTINGS), DataRecord("a", "1"), "float32", 1, False), folder).folder


def describe(folder):
    """Everything that a run holds, but for times."""
    run = Run(folder)
    rows = [{name: value for name, value in row.items() if name not in TIMES} for row in run.rows()]
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    grids = {path.name: path.read_bytes() for path in (folder / "samples").iterdir()}
    checkpoints = [run.restore(model := Model(), which) and model.completed_steps for which in ("last", "best")]
    return {"rows": rows, "best": run.best(), "files": files, "grids": grids, "checkpoints": checkpoints}


class Kill:
    """Ends the process at the write of this number, and leaves half of the write where that is possible."""

    def __init__(self, monkeypatch, number):
        self.number, self.writes = number, []
        for owner, name, leave_half in (
            (os, "replace", None),
            (Path, "unlink", None),
            (tf.train.CheckpointManager, "save", self._leave_half_a_checkpoint),
            (measurements, "append_row", self._leave_half_a_row),
        ):
            monkeypatch.setattr(owner, name, self._wrap(name, getattr(owner, name), leave_half))

    def _wrap(self, name, write, leave_half):
        def run(*args, **kwargs):
            if self.number and len(self.writes) == self.number:
                raise Killed  # what is killed does not clean up either
            self.writes.append(name)
            if len(self.writes) == self.number:
                if leave_half:
                    leave_half(*args, **kwargs)
                raise Killed
            return write(*args, **kwargs)

        return run

    @staticmethod
    def _leave_half_a_checkpoint(manager, checkpoint_number):
        folder = Path(manager.directory)
        (folder / f"ckpt-{checkpoint_number}_temp").mkdir(parents=True)
        (folder / f"ckpt-{checkpoint_number}_temp" / "part-00000-of-00001.index").touch()
        (folder / f"ckpt-{checkpoint_number}.data-00000-of-00001").touch()
        (folder / f"checkpoint.tmp{0:032x}").touch()

    @staticmethod
    def _leave_half_a_row(folder, row):
        with open(folder / "metrics.jsonl", "ab") as file:
            file.write(json.dumps(row)[:-9].encode() + b"\xff\xfe")


@pytest.fixture(autouse=True, scope="module")
def _always_scored():
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(callbacks, "MAX_TIME_SHARE", 1e9)
        yield


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A run that was never interrupted, and the number of its writes."""
    folder = create(tmp_path_factory.mktemp("complete") / "run")
    with pytest.MonkeyPatch.context() as monkeypatch:
        kill = Kill(monkeypatch, 0)
        train(folder)
    assert kill.writes.count("append_row") == 3 and kill.writes.count("save") == 6, "three evaluations, four checkpoints, two best ones"
    return describe(folder), len(kill.writes)


def test_a_kill_at_any_write_of_a_run_loses_nothing(complete, tmp_path, monkeypatch, capsys):
    expected, writes = complete
    assert [row["step"] for row in expected["rows"]] == [2, 4, 6] and expected["best"].step == 4
    assert sum("warnings" in row for row in expected["rows"]) == 1
    for number in range(1, writes + 1):
        folder = create(tmp_path / str(number))
        with monkeypatch.context() as context, pytest.raises(Killed):
            Kill(context, number)
            train(folder)
        train(folder)
        assert describe(folder) == expected, f"killed at write {number}"
    assert "was not finished: it is repeated" in capsys.readouterr().out


def test_two_kills_in_a_row_lose_nothing_either(complete, tmp_path, monkeypatch):
    expected, writes = complete
    for number in range(writes // 2, writes, 5):
        folder = create(tmp_path / str(number))
        for again in (number, 4):
            with monkeypatch.context() as context, pytest.raises(Killed):
                Kill(context, again)
                train(folder)
        train(folder)
        assert describe(folder) == expected, f"killed at write {number}"


@pytest.mark.parametrize("renamed", [True, False])
def test_a_folder_that_is_renamed_or_deleted_is_not_written_again(complete, tmp_path, monkeypatch, renamed):
    expected, _ = complete
    folder, moved, append = create(tmp_path / "run"), tmp_path / "moved", measurements.append_row

    def append_and_move(folder, row):
        append(folder, row)
        folder.rename(moved) if renamed else shutil.rmtree(folder)

    with (
        monkeypatch.context() as context,
        pytest.raises(UserError, match="renamed or deleted while it was in use.*--resume NEW_NAME"),
    ):
        context.setattr(measurements, "append_row", append_and_move)
        train(folder)
    assert not folder.exists()
    if renamed:
        train(moved)
        assert describe(moved) == expected


def test_a_line_that_is_damaged_later_is_made_again(complete, tmp_path, capsys):
    expected, _ = complete
    folder = create(tmp_path / "run")
    train(folder)
    path = folder / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-30] + b'\xff\xfe{"ro')
    train(folder)
    assert describe(folder) == expected
    assert "metrics.jsonl, line 3 is skipped" in capsys.readouterr().err
