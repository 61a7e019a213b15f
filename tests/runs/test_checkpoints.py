"""Checkpoints of a small model, those of old runs included."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import UserError
from zoo.runs import BestCheckpoint, DataRecord, Run, RunRecord

RECORD = RunRecord("small", {"steps": 4, "eval_every": 2}, DataRecord("a", "1"), "float32", 1, False)


def build_network(name):
    image = keras.Input([2])
    return keras.Model(image, keras.layers.BatchNormalization()(keras.layers.Dense(3)(image)), name=name)


class Small(keras.Model):
    """The attributes of a game, with the names that `names` gives them."""

    names = {"ema": "ema_generator", "step": "step_counter", "buffer": "buffer"}

    def __init__(self, fill=0.0):
        super().__init__()
        self.generator, self.discriminator = build_network("generator"), build_network("discriminator")
        setattr(self, self.names["ema"], build_network("ema"))
        for name in (self.names["step"], "retries"):
            setattr(self, name, self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False, name=name))
        setattr(self, self.names["buffer"], keras.layers.Embedding(2, 2))
        getattr(self, self.names["buffer"]).build()
        self.built = True
        for i, weight in enumerate(self.variables):
            weight.assign(keras.ops.full(weight.shape, fill + i, weight.dtype))

    @property
    def completed_steps(self):
        return int(keras.ops.convert_to_numpy(getattr(self, self.names["step"])))

    def compile(self):
        super().compile(optimizer=keras.optimizers.Adam(1e-2))
        self.g_optimizer, self.d_optimizer = self.optimizer, keras.optimizers.Adam(1e-3)
        for optimizer, network in ((self.g_optimizer, self.generator), (self.d_optimizer, self.discriminator)):
            optimizer.build(network.trainable_variables)


class OldSmall(Small):
    names = {"ema": "averaged", "step": "round", "buffer": "kept"}


def values(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def assert_equal(first, second):
    for one, two in zip(values(first), values(second), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.fixture
def run(tmp_path):
    return Run.create(RECORD, tmp_path / "run")


def save(run, model, step):
    getattr(model, model.names["step"]).assign(step)
    run.manager(model).save(checkpoint_number=step)


def save_old(run, model, step):
    model.round.assign(step)
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(game=model), str(run.folder / "checkpoints"), max_to_keep=3)
    manager.save(checkpoint_number=step)


def test_the_newest_checkpoint_or_a_step_is_restored(run):
    for step in (2, 4):
        save(run, Small(step), step)
    model = Small()
    assert run.restore(model).endswith("ckpt-4") and model.completed_steps == 4
    assert run.restore(model, 2).endswith("ckpt-2") and run.restore(model, "2").endswith("ckpt-2")
    assert model.completed_steps == 2
    expected = Small(2)
    expected.step_counter.assign(2)
    assert_equal(model.variables, expected.variables)


def test_optimizers_are_restored_where_the_model_has_them(run):
    model = Small(1.0)
    model.compile()
    model.g_optimizer.iterations.assign(7)
    model.d_optimizer.iterations.assign(8)
    save(run, model, 2)
    compiled, plain = Small(), Small()
    compiled.compile()
    run.restore(compiled)
    run.restore(plain)
    assert [int(optimizer.iterations) for optimizer in (compiled.g_optimizer, compiled.d_optimizer)] == [7, 8]
    assert_equal(plain.variables, model.variables)


@pytest.mark.parametrize("compiled", [True, False])
def test_an_old_checkpoint_is_restored_by_its_old_names(run, compiled):
    old, new = OldSmall(5.0), Small()
    old.compile()
    for i, variable in enumerate([*old.g_optimizer.variables, *old.d_optimizer.variables]):
        variable.assign(keras.ops.full(variable.shape, i, variable.dtype))
    save_old(run, old, 4)
    if compiled:
        new.compile()
    run.restore(new)
    assert new.completed_steps == 4
    assert_equal(new.generator.variables, old.generator.variables)
    assert_equal(new.ema_generator.variables, old.averaged.variables)
    assert_equal(new.buffer.variables, old.kept.variables)
    assert_equal(new.variables, old.variables)
    if compiled:
        assert_equal(new.g_optimizer.variables, old.g_optimizer.variables)
        assert_equal(new.d_optimizer.variables, old.d_optimizer.variables)


def test_an_old_run_continues_with_new_checkpoints(run):
    old = OldSmall(5.0)
    old.compile()
    save_old(run, old, 2)
    new = Small()
    new.compile()
    run.restore(new)
    save(run, new, 4)
    again = Small()
    again.compile()
    assert run.restore(again).endswith("ckpt-4") and run.restore(again, 2).endswith("ckpt-2")
    assert [path.rpartition("-")[2] for path in run.checkpoints()] == ["4", "2"]


def test_a_part_that_the_table_of_renames_misses_is_an_error(run):
    class Renamed(Small):
        names = {**Small.names, "buffer": "replay"}

    save_old(run, OldSmall(), 2)
    with pytest.raises(RuntimeError, match="renames.py does not say"):
        run.restore(Renamed())


def test_a_checkpoint_of_another_model_is_refused(run):
    class Wider(Small):
        def __init__(self):
            super().__init__()
            self.added = self.add_weight(shape=(), name="added")

    save(run, Small(), 2)
    with pytest.raises(UserError, match="belongs to another model .*and the run has no other checkpoint"):
        run.restore(Wider())


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(run, capsys):
    for step in (2, 4):
        save(run, Small(step), step)
    data = run.folder / "checkpoints" / "ckpt-4.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:20])
    model = Small()
    assert run.restore(model).endswith("ckpt-2")
    warning = capsys.readouterr().err
    assert "ckpt-4 is damaged" in warning and "using the previous one" in warning
    with pytest.raises(UserError, match="ckpt-4 is damaged.*the run has no other checkpoint"):
        run.restore(model, 4)
    index = run.folder / "checkpoints" / "ckpt-2.index"
    index.write_bytes(index.read_bytes()[:20])
    with pytest.raises(UserError, match="the run has no other checkpoint"):
        run.restore(model)


def test_the_best_checkpoint_replaces_the_previous_one(run):
    assert run.best() is None
    for step, value in ((2, 9.0), (4, 5.0)):
        model = Small(step)
        model.step_counter.assign(step)
        run.keep_best(model, "frechet", value, "classifier-a")
    assert run.best() == BestCheckpoint("frechet", 5.0, 4, "classifier-a")
    assert {path.name.split(".")[0] for path in (run.folder / "checkpoints" / "best").glob("ckpt-*")} == {"ckpt-4"}
    model = Small()
    assert run.restore(model, "best").endswith("best/ckpt-4") and model.completed_steps == 4


def test_what_there_is_is_listed(run):
    with pytest.raises(UserError, match="has no checkpoint last. Available: none."):
        run.restore(Small())
    save(run, Small(), 2)
    with pytest.raises(UserError, match="has no checkpoint best. Available: 2."):
        run.restore(Small(), "best")
    model = Small()
    model.step_counter.assign(4)
    run.keep_best(model, "kid", 1.0)
    with pytest.raises(UserError, match=r"has no checkpoint 3. Available: 2, best \(step 4\)."):
        run.restore(Small(), "3")
    assert run.restore(Small(), 4).endswith("best/ckpt-4")
    shutil.rmtree(run.folder / "checkpoints" / "best")
    assert run.best() is None
