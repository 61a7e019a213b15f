"""The record of a run: typed, versioned, JSON-ready."""

import dataclasses
import json
import re
import subprocess

import pytest

import zoo
from zoo.errors import UserError
from zoo.runs import record as record_module
from zoo.runs.record import DataRecord, RunRecord

RECORD = RunRecord(
    model="gan",
    config={"image_shape": (28, 28, 1), "steps": 5, "eval_every": 1, "augment": (), "units": [3]},
    data=DataRecord("mnist", "3.0.1", ["0", "1"]),
    precision="float32",
    replicas=1,
    xla=False,
    options={"eval_samples": 0},
    parameters={"generator": 3},
    command="zoo train --model gan",
)


def test_it_survives_json():
    fields = json.loads(json.dumps(RECORD.to_dict()))
    again = RunRecord.from_dict(fields)
    assert again.to_dict() == RECORD.to_dict() and again.schema == 2
    assert fields["config"]["image_shape"] == [28, 28, 1]
    assert again.data == RECORD.data


def test_the_configuration_has_tuples_again():
    values = RunRecord.from_dict(RECORD.to_dict()).config_values()
    assert values == {"image_shape": (28, 28, 1), "steps": 5, "eval_every": 1, "augment": (), "units": (3,)}


def test_unknown_fields_are_ignored():
    fields = RECORD.to_dict()
    fields["data"]["later"] = fields["later"] = 1
    assert RunRecord.from_dict(fields).to_dict() == RECORD.to_dict()


def test_a_newer_schema_is_refused():
    with pytest.raises(UserError, match=r"newer version of the zoo \(9.9, schema 3\).*upgrade"):
        RunRecord.from_dict({**RECORD.to_dict(), "schema": 3, "zoo_version": "9.9"})


@pytest.mark.parametrize("wrong", [{}, {"config": {}}, [], {"model": "gan", "config": 3, "data": {}}])
def test_other_json_raises(wrong):
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        RunRecord.from_dict(wrong)


def test_the_version_is_that_of_the_code_and_not_of_an_earlier_installation(monkeypatch):
    monkeypatch.setattr(record_module.importlib.metadata, "version", lambda name: "0.0.1")
    assert record_module.zoo_version() == zoo.__version__ != "0.0.1"


def test_the_commit_is_that_of_the_checkout(monkeypatch, tmp_path):
    package = tmp_path / "checkout" / "zoo" / "runs"
    package.mkdir(parents=True)
    monkeypatch.setattr(record_module, "__file__", str(package / "record.py"))
    assert record_module.git_commit() is None, "not a checkout"
    git = ["git", "-C", str(tmp_path / "checkout"), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert record_module.git_commit() is None, "no commit yet"
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    assert re.fullmatch("[0-9a-f]{40}", record_module.git_commit())
    monkeypatch.setattr(record_module.subprocess, "run", lambda *args, **kwargs: (_ for _ in ()).throw(FileNotFoundError("git")))
    assert record_module.git_commit() is None, "no git"


def test_it_is_a_copy_that_changes():
    fields = RECORD.to_dict()
    record = RunRecord.from_dict(fields)
    record.config["steps"] = 7
    assert fields["config"]["steps"] == 5 and dataclasses.replace(record, created="now").created == "now"
