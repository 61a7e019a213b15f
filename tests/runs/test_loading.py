"""Models of runs, old ones included: a folder as version 0.1 wrote it."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model

from zoo.errors import UserError
from zoo.runs import DataRecord, Run, RunRecord, load_model
from zoo.runs.renames import CHECKPOINT_ATTRIBUTES, CONFIG_FIELDS


def write_old_run(folder, name, model):
    """The folder of a run as version 0.1 wrote it."""
    old_fields = {new: old for old, new in CONFIG_FIELDS.items()}
    config = {old_fields.get(field, field): value for field, value in dataclasses.asdict(model.config).items()}
    record = {
        "model": name,
        "config": config,
        "data": {"name": "digits", "version": "1.0.0", "class_names": None, "pose_names": None, "examples": None},
        "precision": "float32",
        "replicas": 1,
        "xla": False,
    }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(record), encoding="utf-8")
    names = {"generator": "generator", "discriminator": "discriminator", "retries": "retries", "pooled": "pooled"}
    names |= {"g_optimizer": "g_optimizer", "d_optimizer": "d_optimizer", **CHECKPOINT_ATTRIBUTES}
    parts = {old: getattr(model, new) for old, new in names.items() if getattr(model, new, None) is not None}
    checkpoint = tf.train.Checkpoint(game=tf.train.Checkpoint(**parts))
    tf.train.CheckpointManager(checkpoint, str(folder / "checkpoints"), max_to_keep=3).save(checkpoint_number=model.completed_steps)
    return Run(folder)


def write_new_run(folder, name, model):
    record = RunRecord(name, dataclasses.asdict(model.config), DataRecord("digits", "1.0.0"), "float32", 1, False)
    run = Run.create(record, folder)
    run.manager(model).save(checkpoint_number=model.completed_steps)
    return run


@pytest.mark.parametrize("write", [write_old_run, write_new_run])
@pytest.mark.parametrize("name", ["acgan", "cyclegan", "ebm"])
def test_a_run_loads_whatever_its_age(tmp_path, name, write):
    model = tiny_model(name)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if "float" in variable.dtype:
            variable.assign(rng.normal(size=variable.shape))
    model.step_counter.assign(7)
    run = write(tmp_path / "run", name, model)
    loaded = load_model(run.folder)
    assert type(loaded) is type(model) and loaded.config == model.config and loaded.completed_steps == 7
    for one, two in zip(loaded.variables, model.variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(two))


def test_it_is_loaded_in_float32_and_the_policy_stays(tmp_path):
    run = write_new_run(tmp_path / "run", "gan", tiny_model("gan"))
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert load_model(run).compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


def test_a_record_never_decides_what_is_imported(tmp_path):
    (tmp_path / "evil.py").write_text("raise AssertionError('executed')", encoding="utf-8")
    for name in ("mygan", f"{tmp_path}/evil.py:mygan", "evil"):
        record = RunRecord(name, {}, DataRecord("digits", "1.0.0"), "float32", 1, False)
        with pytest.raises(UserError, match=r"is not registered; pass --model path/to/file.py:"):
            load_model(Run(tmp_path, record))


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("generator_units", 10**9, "has more weights than the run's checkpoint"),
        ("latent_dim", 10**6, "has more weights than the run's checkpoint"),
        ("generator_units", [8], ": expected int"),
        ("seed", None, "seed=None: expected int"),
        ("latent_dim", "4", "latent_dim='4': expected int"),
        ("widths", [1], "has no setting 'widths'"),
    ],
)
def test_settings_that_were_changed_are_refused_before_anything_is_built(tmp_path, name, value, reason):
    run = write_new_run(tmp_path / "run", "gan", tiny_model("gan"))
    record = json.loads((run.folder / "config.json").read_text())
    record["config"][name] = value
    (run.folder / "config.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="config.json") as error:
        load_model(run.folder)
    assert reason in str(error.value) and "\n" not in str(error.value)


def test_a_run_without_a_checkpoint_builds_no_model(tmp_path, monkeypatch):
    run = Run.create(RunRecord("gan", {"latent_dim": 10**9}, DataRecord("digits", "1.0.0"), "float32", 1, False), tmp_path / "run")
    with pytest.raises(UserError, match="has no checkpoint last"):
        load_model(run)
