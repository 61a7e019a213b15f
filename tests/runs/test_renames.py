"""Records of old runs have the current names after one table of renames."""

import copy
import dataclasses

import pytest

from zoo import registry
from zoo.runs import renames
from zoo.runs.record import RunRecord
from zoo.runs.renames import upgrade_best, upgrade_record, upgrade_row

OLD_RECORD = {
    "model": "cyclegan",
    "config": {
        "image_shape": [32, 32, 1],
        "steps": 20,
        "every": 10,
        "averaging": 0.99,
        "accumulation": 1,
        "steady": 0.5,
        "patch": 2,
        "pool": 50,
    },
    "data": {"name": "outlines", "version": "1.0.0", "class_names": ["0", "1"], "pose_names": None, "examples": None},
    "precision": "float32",
    "replicas": 1,
    "xla": False,
    "options": {"data_dir": None, "scores": 500, "best": "translated", "init": "runs/a", "extractor": "classifier"},
    "parameters": {"generator": 10},
    "created": "2026-11-28T20:56:47+00:00",
    "versions": {"python": "3.11.7"},
    "command": "train.py --model cyclegan --every 10 --scores=500 --pool 50 --best translated --run-dir every\n"
    "python train.py --resume runs/one --steps 20 --every 10",
}


def test_configuration_and_options_have_new_names():
    before = copy.deepcopy(OLD_RECORD)
    record = upgrade_record(OLD_RECORD)
    assert before == OLD_RECORD, "the argument is not changed"
    assert record["config"] == {
        "image_shape": [32, 32, 1],
        "steps": 20,
        "eval_every": 10,
        "ema_decay": 0.99,
        "gradient_accumulation": 1,
        "decay_start": 0.5,
        "patch_layers": 2,
        "buffer_size": 50,
    }
    assert record["options"] == {
        "data_dir": None,
        "eval_samples": 500,
        "best": "translation_accuracy",
        "init_from": "runs/a",
        "feature_extractor": "classifier",
    }
    assert record["schema"] == 2 and record["created"] == OLD_RECORD["created"]


def test_the_command_has_new_names():
    first, second = upgrade_record(OLD_RECORD)["command"].splitlines()
    assert first == (
        "python train.py --model cyclegan --eval-every 10 --eval-samples=500 --buffer-size 50 --best translation_accuracy --run-dir every"
    )
    assert second == "python train.py --resume runs/one --steps 20 --eval-every 10"


@pytest.mark.parametrize(
    "old, new", [("--no-circular", "--no-circular-poses"), ("--held-out 5", "--held-out-identities 5"), ("--l1 3", "--l1-weight 3")]
)
def test_options_of_models_have_new_names_in_the_command(old, new):
    command = f"train.py --model drgan {old}"
    assert upgrade_record({**OLD_RECORD, "command": command})["command"] == f"python train.py --model drgan {new}"


def test_a_record_with_a_schema_is_left_alone():
    record = {**OLD_RECORD, "schema": 2, "config": {"step": 1}}  # a name that schema 1 had for something else
    assert upgrade_record(record) == record


def test_a_row_has_new_names():
    row = {
        "round": 20,
        "images": 1280,
        "d_adversarial": 0.3,
        "variety": 0.03,
        "scores": {
            "frechet[classifier-mnist-1a2b]": 40.5,
            "kid[classifier-mnist-1a2b]": 0.1,
            "kid_error[classifier-mnist-1a2b]": 0.01,
            "inception_score[classifier-mnist-1a2b]": 8.0,
            "inception_score_spread[classifier-mnist-1a2b]": 0.2,
            "memorisation[classifier-mnist-1a2b]": 0.9,
            "cycle_error": 0.2,
            "misclassified": 0.1,
        },
        "protocol": {"extractor": "classifier-mnist-1a2b", "generator": "averaged", "seed": 0, "image_shape": [28, 28, 1]},
    }
    assert upgrade_row(row) == {
        "step": 20,
        "images": 1280,
        "d_adversarial": 0.3,
        "diversity": 0.03,
        "scores": {
            "frechet": 40.5,
            "kid": 0.1,
            "inception_score": 8.0,
            "memorization": 0.9,
            "cycle_error": 0.2,
            "error_rate": 0.1,
        },
        "errors": {"kid": 0.01, "inception_score": 0.2},
        "protocol": {"extractor": "classifier-mnist-1a2b", "generator": "ema", "seed": 0, "image_shape": [28, 28, 1]},
    }


def test_a_current_row_is_left_alone():
    row = {"step": 20, "scores": {"kid": 0.1, "cycle_error": 1.0}, "errors": {"kid": 0.01}, "protocol": {"generator": "ema"}}
    assert upgrade_row(row) == row
    assert upgrade_row({"round": 20, "loss": 1.0}) == {"step": 20, "loss": 1.0}


def test_the_best_checkpoint_has_new_names():
    old = {"name": "frechet[classifier-mnist-1a2b]", "value": 5.0, "round": 400}
    assert upgrade_best(old) == {"name": "frechet", "value": 5.0, "step": 400, "extractor": "classifier-mnist-1a2b"}
    assert upgrade_best({"name": "translated", "value": 0.5, "round": 4})["name"] == "translation_accuracy"
    current = {"name": "frechet", "value": 5.0, "step": 400, "extractor": None}
    assert upgrade_best(current) == current


MERGED = ("pool", "pool_size")  # `buffer_size` is another model's as well


def test_no_new_name_is_an_old_one():
    """Otherwise an option's old name would silently mean another option."""
    for table in (
        {name: new for name, new in renames.CONFIG_FIELDS.items() if name not in MERGED},
        renames.OPTIONS,
        renames.COMMANDS,
        renames.SCORES,
        renames.ROW_KEYS,
        renames.CHECKPOINT_ATTRIBUTES,
    ):
        assert not set(table) & set(table.values()) and len(set(table.values())) == len(table)


def test_every_new_name_is_a_field_of_a_model():
    fields = {field.name for name in registry.list_models() for field in dataclasses.fields(registry.get_entry(name).config)}
    assert set(renames.CONFIG_FIELDS.values()) <= fields
    assert not set(renames.CONFIG_FIELDS) & fields


def test_the_record_of_an_old_run_is_typed():
    record = RunRecord.from_dict(OLD_RECORD)
    assert record.config["eval_every"] == 10 and record.data.class_names == ["0", "1"] and record.zoo_version is None
    assert RunRecord.from_dict(record.to_dict()) == record


def test_values_that_an_optimizer_ignores_are_left_open():
    """Old records have numbers for them, which a configuration refuses now: `wgan` is trained with RMSprop."""
    old = {"image_shape": [32, 32, 1], "optimizer": "rmsprop", "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-7, "every": 200, "clip": 0.05}
    config = upgrade_record({**OLD_RECORD, "model": "wgan", "config": old})["config"]
    assert (config["beta_1"], config["beta_2"], config["epsilon"]) == (None, 0.9, 1e-7)
    config["image_shape"] = tuple(config["image_shape"])
    assert registry.get_entry("wgan").configure(**config).resolve().beta_1 is None


def test_loss_terms_have_new_names():
    row = upgrade_row({"round": 20, "d_size": 0.5, "g_alone_pose": 1.0, "d_labelled": 2.0, "d_adversarial": 3.0})
    assert row == {"step": 20, "d_l2": 0.5, "g_baseline_pose": 1.0, "d_labeled": 2.0, "d_adversarial": 3.0}
