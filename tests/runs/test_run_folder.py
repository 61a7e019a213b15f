"""A run's folder, without any training."""

import contextlib
import dataclasses
import errno
import json
import math
import os
import types
from pathlib import Path

import pytest
import tensorflow as tf

from zoo.errors import UserError
from zoo.runs import BestCheckpoint, DataRecord, Run, RunRecord, commands, explain_write_errors, score_points
from zoo.runs.commands import command_prefix, program_name
from zoo.runs.naming import make_next_folder
from zoo.runs.scores import append_scores, export_versions, format_score, format_table, latest_grid, round_score
from zoo.types import Protocol, ScorePoint

ROOT = Path(__file__).parents[2]
RECORD = RunRecord(
    model="gan",
    config={"image_shape": (28, 28, 1), "steps": 20, "eval_every": 10, "seed": 0, "batch_size": 4, "discriminator_steps": 2},
    data=DataRecord("folder:~/my pictures", "1", ["0", "1"]),
    precision="float32",
    replicas=1,
    xla=False,
    options={"eval_samples": 100, "feature_extractor": "classifier", "best": "frechet", "init_from": None, "precision": "float32"},
    command="zoo train --model gan",
)
PROTOCOL = Protocol(data="a 1", split="test", fake_images=10)


@pytest.fixture
def run(tmp_path):
    return Run.create(RECORD, tmp_path / "one")


# -- the folder -----------------------------------------------------------------------------------------------------------------------


def test_runs_are_numbered(tmp_path):
    folders = [Run.create(RECORD, under=tmp_path / "runs").folder.name for _ in range(2)]
    assert folders == ["gan-my-pictures-0001", "gan-my-pictures-0002"]
    assert make_next_folder(tmp_path / "runs", "gan").name == "gan-0001", "runs on other data are not counted"
    (tmp_path / "runs" / "gan-my-pictures-0041").mkdir()
    (tmp_path / "runs" / "gan-my-pictures-notes").mkdir()
    assert Run.create(RECORD, under=tmp_path / "runs").folder.name == "gan-my-pictures-0042"


def test_what_is_created_is_read_again(run):
    record = Run(run.folder).record
    assert record.to_dict() == run.record.to_dict()
    assert record.command == "zoo train --model gan" and record.created and record.versions["tensorflow"] == tf.__version__
    assert (record.schema, record.zoo_version) == (2, run.record.zoo_version)
    assert not RECORD.created, "the argument is not changed"


def test_a_folder_that_is_in_use_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "_program", "python train.py")
    with pytest.raises(UserError, match="already exists; choose another --run-dir, or continue this run: python train.py --resume"):
        Run.create(RECORD, run.folder)
    (tmp_path / "empty").mkdir()
    Run.check_free(tmp_path / "empty")
    Run.check_free(None)
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="--run-dir"):
            Run.create(RECORD, folder)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(UserError, match="cannot create the run's folder: .*Permission denied.*--run-dir"):
        Run.check_free(tmp_path)


def test_a_run_is_not_lost_if_the_program_changes_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run.create(RECORD, "runs/one")
    run.append({"step": 1})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run.rows() == [{"step": 1}] and run.folder == tmp_path / "runs" / "one"
    assert run.resume_command() == "zoo train --resume runs/one" and str(run.display_path) == "runs/one"
    assert str(run.format_path(run.export_folder)) == "runs/one/export/gan"
    with pytest.raises(UserError, match="^runs/one has no checkpoint last"):
        run.restore(None)


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run = Run.create(RECORD, "~/one")
    assert run.folder == tmp_path / "one" == Run("~/one").folder == Run("~/one").display_path
    with pytest.raises(UserError, match=f"--resume {tmp_path}/one$"):
        Run.check_free("~/one")
    assert Run.create(RECORD, under="~/runs").folder.parent == tmp_path / "runs"


def test_a_folder_that_is_not_a_run_is_refused_with_the_runs_beside_it(run, tmp_path):
    with pytest.raises(UserError, match=r"two is not a run: it has no config.json. Runs in .*: .*one"):
        Run(tmp_path / "two")
    for text in ("{", "[]", "{}", '{"model": "gan", "config": {}}', '{"model": "gan", "config": {}, "data": "mnist"}'):
        (run.folder / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match="cannot be read as the record of a run"):
            Run(run.folder)


def test_text_is_utf8(tmp_path):
    record = dataclasses.replace(RECORD, data=DataRecord("folder:Bäume", "1", ["Birke", "Ölbaum"]))
    run = Run.create(record, tmp_path / "one")
    run.append({"step": 1, "warnings": ["Gerät übergelaufen ✗"]})
    assert Run(run.folder).record.data.class_names == ["Birke", "Ölbaum"]
    (run.folder / "metrics.jsonl").write_text('{"step": 2, "warnings": ["✗"]}\n', encoding="utf-8")
    assert run.rows()[0]["warnings"] == ["✗"]


@pytest.mark.parametrize(
    "program, prefix", [("python ../train.py", "python -m zoo"), ("python -m zoo train", "python -m zoo"), ("zoo train", "zoo")]
)
def test_messages_name_the_program_as_it_was_started(monkeypatch, program, prefix, tmp_path):
    monkeypatch.setattr(commands, "_program", program)
    assert program_name() == program and command_prefix() == prefix
    run = Run(tmp_path / "my run", RECORD)
    assert run.resume_command() == f"{program} --resume '{tmp_path}/my run'"
    assert run.command("generate", "--count 3") == f"{prefix} generate '{tmp_path}/my run' --count 3"


def test_a_script_is_named_as_it_was_typed_if_it_is_that_of_the_checkout(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    for script in (str(ROOT / "train.py"), os.path.relpath(ROOT / "train.py")):
        monkeypatch.setattr("sys.argv", [script, "--model", "gan"])
        assert commands.script_command() == f"python {script}"
    for argv in (["train.py"], ["notebook.py"], [""], []):
        monkeypatch.setattr("sys.argv", argv)
        assert commands.script_command() == program_name() == "zoo train", "a user's own script"


@pytest.mark.parametrize(
    "spec, option",
    [
        ("my models/gan.py:mygan", " --model 'my models/gan.py:mygan'"),
        ("gan.py:other", ""),
        ("a\nb.py:mygan", ""),
        ("`<img src=x onerror=alert(1)>`.py:mygan", ""),
        ("$(touch x).py:mygan", ""),
        ("mygan", ""),
        (None, ""),
        (3, ""),
    ],
)
def test_commands_name_the_file_of_a_model_of_ones_own(spec, option, tmp_path):
    run = Run(tmp_path, dataclasses.replace(RECORD, model="mygan", options={"model": spec}))
    assert run.resume_command() == f"zoo train --resume {tmp_path}{option}"
    assert run.command("export") == f"zoo export {tmp_path}{option}"


def test_no_command_names_a_file_for_a_model_of_this_package(tmp_path):
    """It would be executed by whoever pastes what was printed."""
    run = Run(tmp_path, dataclasses.replace(RECORD, model="acgan", options={"model": "shared/evil.py:acgan"}))
    assert run.model_spec is None and "evil" not in run.resume_command() + run.command("export")


# -- settings and length --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model": "dcgan"}, 'model "gan" -> "dcgan"'),
        ({"precision": "mixed_float16"}, 'precision "float32" -> "mixed_float16"'),
        ({"config": {**RECORD.config, "seed": 1}}, "seed 0 -> 1"),
        ({"config": {**RECORD.config, "image_shape": (32, 32, 1)}}, "image_shape [28, 28, 1] -> [32, 32, 1]"),
        ({"data": DataRecord("mnist", "1", ["0", "1"])}, 'data name "folder:~/my pictures" -> "mnist"'),
        ({"options": {**RECORD.options, "eval_samples": 5}}, "eval_samples 100 -> 5"),
        ({"options": {**RECORD.options, "feature_extractor": "rotations"}}, 'feature_extractor "classifier" -> "rotations"'),
        ({"options": {**RECORD.options, "init_from": "/a"}}, 'init_from null -> "/a"'),
    ],
)
def test_other_settings_are_refused_by_name(run, change, message):
    with pytest.raises(UserError) as error:
        run.check_settings(dataclasses.replace(RECORD, **change))
    assert f"was made with other settings: {message}; resume" in str(error.value)


def test_its_length_and_the_hardware_options_may_change(run):
    longer = {**RECORD.config, "steps": 40, "eval_every": 4}
    run.check_settings(dataclasses.replace(RECORD, replicas=3, xla=True))  # equal up to rounding, and XLA compiles for one only
    run.check_settings(dataclasses.replace(RECORD, config=longer, options={**RECORD.options, "precision": "auto"}))
    added = {**RECORD.config, "added_later": 3}
    run.check_settings(dataclasses.replace(RECORD, config=added))


def test_extending_records_the_length_and_drops_later_rows(run, monkeypatch):
    monkeypatch.setattr(commands, "_program", "python train.py")
    for step in (10, 20, 30):
        run.append({"step": step})
    best = run.folder / "checkpoints" / "best"
    best.mkdir(parents=True)
    (best / "ckpt-30.index").touch()
    (best / "score.json").write_text('{"name": "kid", "value": 1.0, "step": 30}', encoding="utf-8")
    assert run.best() == BestCheckpoint("kid", 1.0, 30)
    run.extend(types.SimpleNamespace(steps=40, eval_every=10), 20)
    again = Run(run.folder)
    assert [row["step"] for row in again.rows()] == [10, 20] and again.best() is None
    assert again.record.config["steps"] == 40
    assert again.record.command == f"zoo train --model gan\npython train.py --resume {run.folder} --steps 40 --eval-every 10"
    run.extend(types.SimpleNamespace(steps=40, eval_every=10), 20)
    assert Run(run.folder).record.command == again.record.command, "nothing new"


# -- metrics.jsonl --------------------------------------------------------------------------------------------------------------------


def test_truncated_and_foreign_lines_are_skipped_and_the_next_one_is_whole(run):
    assert run.rows() == []
    run.append({"step": 1, "images_per_second": 5.0})
    with open(run.folder / "metrics.jsonl", "ab") as file:
        file.write(b'[]\n3\n{"step": "4"}\n{"other": 1}\n{"step": 2, "ima\xc3')
    run.append({"step": 3})
    assert [row["step"] for row in run.rows()] == [1, 3]
    assert [row["step"] for row in run.evaluations()] == [1]


def test_scores_that_were_computed_later_are_added(run):
    run.append({"step": 10, "images": 80, "seconds": 1.5, "images_per_second": 1.0})
    append_scores(
        run.folder, 10, "best", {"frechet": (1 / 3, None), "kid": (0.123456789, 0.0123456789), "recall": 0.5}, PROTOCOL, run.rows()
    )
    assert run.rows()[-1] == {
        "step": 10,
        "images": 80,
        "seconds": 1.5,
        "evaluated": True,
        "checkpoint": "best",
        "scores": {"frechet": 0.333333, "kid": 0.123457, "recall": 0.5},
        "errors": {"kid": 0.0123457},
        "protocol": PROTOCOL.to_dict(),
    }
    assert len(run.evaluations()) == 1


def test_score_points_are_sorted_and_split_by_protocol(run):
    other = dataclasses.replace(PROTOCOL, seed=1)
    append_scores(run.folder, 20, "last", {"kid": (2.0, 0.1)}, PROTOCOL)
    append_scores(run.folder, 10, "best", {"kid": 1.0}, PROTOCOL)
    append_scores(run.folder, 20, "last", {"kid": 3.0}, PROTOCOL)
    append_scores(run.folder, 20, "last", {"kid": 9.0, "recall": math.nan}, other)
    run.append({"step": 30, "scores": {"kid": 5.0}})
    run.append({"step": 30, "scores": {"kid": None}, "protocol": PROTOCOL.to_dict()})
    points = score_points(run)
    assert points[PROTOCOL] == {"kid": [ScorePoint(1.0, 10, 80), ScorePoint(3.0, 20, 160)]}
    assert points[other]["kid"] == [ScorePoint(9.0, 20, 160)] and list(points) == [PROTOCOL, other]


def test_an_old_runs_rows_and_samples_are_read(run):
    protocol = {"data": "a 1", "split": "test", "fake_images": 10, "generator": "averaged", "extractor": "x"}
    run.append({"round": 20, "images_per_second": 1.0, "images": 7, "scores": {"kid[x]": 2.0, "kid_error[x]": 0.5}, "protocol": protocol})
    run.append({"step": 40, "images": 9, "scores": {"kid": 1.0}, "protocol": {**protocol, "generator": "ema"}})
    ((_, scores),) = score_points(run).items()
    assert scores == {"kid": [ScorePoint(2.0, 20, 7, 0.5), ScorePoint(1.0, 40, 9)]}, "one protocol"
    from PIL import Image

    (run.folder / "samples").mkdir()
    Image.new("L", (4, 4)).save(run.folder / "samples" / "round-000020.png")
    assert latest_grid(run).name == "round-000020.png"
    Image.new("L", (4, 4)).save(run.folder / "samples" / "step-000100.png")
    Image.new("L", (4, 4)).save(run.folder / "samples" / "step-last.png")
    assert latest_grid(run).name == "step-000100.png"


# -- text and errors ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, text",
    [(71.234, "71.2"), (0.85, "0.850"), (0.0012, "0.00120"), (1234.4, "1,234"), (100.0, "100"), (math.nan, "nan"), (math.inf, "inf")],
)
def test_scores_have_three_digits(value, text):
    assert format_score(value) == text


def test_tables_and_numbers(tmp_path):
    assert format_table(["score", "x"], [["a", "1.0"]]) == "score  x\n-----  ---\na      1.0"
    assert round_score(1 / 3) == 0.333333
    for name in ("10", "2", "tmp-3"):
        (tmp_path / name).mkdir()
    assert export_versions(tmp_path) == [2, 10] and export_versions(tmp_path / "none") == []


@pytest.mark.parametrize(
    "error, text",
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (tf.errors.ResourceExhaustedError(None, None, "write failed: No space left on device"), "No space left"),
        (OSError(errno.EROFS, "nur lesbar"), "nur lesbar"),
    ],
)
def test_write_errors_are_explained(run, error, text):
    with pytest.raises(UserError) as raised, explain_write_errors(run):
        raise error
    assert text in str(raised.value) and run.resume_command() in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "no such file"), tf.errors.InternalError(None, None, "bug"), KeyError("bug")]
)
def test_other_errors_pass(run, error):
    with pytest.raises(type(error)), explain_write_errors(run):
        raise error


def test_best_is_none_for_damaged_files(run):
    best = run.folder / "checkpoints" / "best"
    best.mkdir(parents=True)
    (best / "ckpt-30.index").touch()
    for text in ("", "[]", "{}", json.dumps({"name": "kid", "value": 1.0, "step": 20})):
        (best / "score.json").write_text(text, encoding="utf-8")
        assert run.best() is None
    with contextlib.suppress(FileNotFoundError):
        (best / "score.json").unlink()
    assert run.best() is None
