"""What others put into a run's folder, what killed processes leave there, and what the disk and the clock do."""

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from test_checkpoints import RECORD, Small

from zoo.cli.measuring import own_if_inside
from zoo.errors import UserError
from zoo.runs import Run, explain_write_errors, export_versions, find_export, latest_grid
from zoo.runs.loading import limit_weights
from zoo.runs.progress import Progress
from zoo.runs.scores import record_export

FOREIGN = (
    "ckpt-24 (copy).index",
    "ckpt-.index",
    "ckpt-x.index",
    "ckpt-\N{ARABIC-INDIC DIGIT THREE}.index",
    "ckpt-99.index.bak",
    ".DS_Store",
    "desktop.ini",
    "step-12 (copy).png",
    "step-\N{SUPERSCRIPT TWO}.png",
    "7",
    "score.json.orig",
    ".2024-notes.txt",
)
LEFTOVERS = ("ckpt-30_temp/part-0", ".12-score.json", ".12-progress.json", "ckpt-30.data-00000-of-00001", f"checkpoint.tmp{0:032x}")


@pytest.fixture
def run(tmp_path):
    run = Run.create(RECORD, tmp_path / "run")
    for name in ("samples", "checkpoints/best", "export/small"):
        (run.folder / name).mkdir(parents=True)
    return run


def save(run, step, best=None):
    model = Small(step)
    model.step_counter.assign(step)
    run.manager(model).save(checkpoint_number=step)
    if best is not None:
        run.keep_best(model, "recall", best)


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"precious")


def list_all(run):
    return {str(path.relative_to(run.folder)) for path in run.folder.rglob("*")}


def test_foreign_files_anywhere_are_neither_read_nor_removed(run):
    folders = [run.folder, *(path for path in run.folder.rglob("*") if path.is_dir())]
    for folder in folders:
        for name in FOREIGN:
            put(folder / name)
        (folder / "ckpt-77.index").mkdir()  # a folder, not a checkpoint
    foreign = list_all(run)
    for step, best in ((2, 0.1), (4, 0.5), (6, 0.3), (8, 0.6)):
        with run.own():
            save(run, step, best)
    run.append({"step": 8, "images_per_second": 1.0})
    Image.new("L", (2, 2)).save(run.folder / "samples" / "step-000008.png")
    run.extend(type("Config", (), {"steps": 4, "eval_every": 2}), 8)
    assert foreign <= list_all(run)
    assert [path.rpartition("-")[2] for path in run.checkpoints()] == ["8", "6", "4"] and run.best().step == 8
    assert latest_grid(run).name == "step-000008.png" and export_versions(run.export_folder) == []
    model = Small()
    assert run.restore(model).endswith("ckpt-8") and run.restore(model, "best").endswith("best/ckpt-8")
    run.extend(type("Config", (), {"steps": 4, "eval_every": 2}), 6)  # as after a damaged checkpoint
    assert run.best() is None and latest_grid(run) is None and foreign <= list_all(run)


def test_what_killed_processes_left_is_removed_by_the_next_owner(run):
    save(run, 2, 0.1)
    before = list_all(run)
    for name in LEFTOVERS:
        for folder in ("checkpoints", "checkpoints/best"):
            put(run.folder / folder / name)
    for name in (".9-config.json", ".9-metrics.jsonl", ".9-README.md", "samples/.9-step-000004.png", "export/small/.writing-x/model/a"):
        put(run.folder / name)
    put(run.folder / "checkpoints" / "best" / "ckpt-4.index")  # of a best checkpoint whose score was not written
    with run.own():
        assert list_all(run) == before
    assert run.restore(Small()).endswith("ckpt-2")


def test_a_best_checkpoint_can_be_saved_over_what_a_kill_left(run):
    put(run.folder / "checkpoints" / "best" / "ckpt-2_temp" / "part-0")
    save(run, 2, 0.1)
    save(run, 4, 0.5)
    assert run.best().step == 4 and run.restore(Small(), "best").endswith("ckpt-4")


def test_tensorflows_list_of_checkpoints_decides_nothing(run, tmp_path):
    """It may be damaged, come from another machine or from a stranger: its files are deleted when they are the oldest."""
    for step in (2, 4, 6):
        save(run, step)
    outside = tmp_path / "other" / "ckpt-1.index"
    put(outside)
    state = run.folder / "checkpoints" / "checkpoint"
    lines = [f'all_model_checkpoint_paths: "{outside.with_suffix("")}"' for _ in range(9)]
    for content in (b"\xff\xfe{", "\n".join([f'model_checkpoint_path: "{outside.with_suffix("")}"', *lines]).encode()):
        state.write_bytes(content)
        save(run, 8)
        assert outside.exists() and [path.rpartition("-")[2] for path in run.checkpoints()] == ["8", "6", "4"]


def test_a_clock_that_is_set_back_changes_nothing(run, monkeypatch):
    now = time.time()
    for step, shift in ((2, 0), (4, -10_000), (6, -20_000), (8, 3_000), (10, -90_000)):
        monkeypatch.setattr(time, "time", lambda shift=shift: now + shift)
        save(run, step, step)
    assert [path.rpartition("-")[2] for path in run.checkpoints()] == ["10", "8", "6"] and run.best().step == 10


def test_a_lock_that_is_a_link_is_not_followed(run, tmp_path):
    put(tmp_path / "precious")
    (run.folder / ".lock").unlink()
    (run.folder / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(UserError, match="symbolic link out of the run's folder"), run.own():
        pass
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_second_owner_is_refused_with_the_first_one_named(run):
    with run.own():
        code = f"from zoo.runs import Run\nwith Run({str(run.folder)!r}).own(): pass"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        with pytest.raises(UserError, match=f"is in use by process {os.getpid()} on .*one process at a time"), run.own():
            pass
    assert f"UserError: {run.folder} is in use by process {os.getpid()} on " in other.stderr
    with run.own():
        pass


def test_a_folder_that_a_killed_process_has_only_locked_is_still_free(tmp_path):
    for name in (".lock", ".12-config.json", ".DS_Store"):
        put(tmp_path / "run" / name)
    Run.create(RECORD, tmp_path / "run")
    with pytest.raises(UserError, match="already exists"):
        Run.create(RECORD, tmp_path / "run")


@pytest.mark.parametrize("mask, folder_mode", [(0o077, 0o700), (0o000, 0o777)])
def test_permissions_follow_the_umask(tmp_path, mask, folder_mode):
    before = os.umask(mask)
    try:
        run = Run.create(RECORD, tmp_path / "run")
        with run.own():
            save(run, 2, 0.1)
            run.append({"step": 2})
    finally:
        os.umask(before)
    assert run.folder.stat().st_mode & 0o777 == folder_mode
    again = Run(run.folder)
    with again.own():
        assert again.best().step == 2 and again.rows() and again.restore(Small())


def test_a_run_on_a_read_only_disk_is_read(run, monkeypatch):
    save(run, 2, 0.1)
    run.append({"step": 2, "images_per_second": 1.0})
    before = list_all(run)

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    for owner, name in ((os, "open"), (os, "replace"), (os, "mkdir"), (Path, "unlink"), (Path, "write_text")):
        monkeypatch.setattr(owner, name, refuse)
    again = Run(run.folder)
    with again.own():
        assert again.restore(Small()) and again.best().step == 2 and again.evaluations()
    assert list_all(run) == before


def test_a_file_in_the_place_of_a_folder_is_one_line(run):
    shutil.rmtree(run.folder / "samples")
    put(run.folder / "samples")
    with pytest.raises(UserError, match=r"cannot write to .*File exists \(.*samples\)"), explain_write_errors(run):
        (run.folder / "samples").mkdir()


def test_metrics_that_cannot_be_read_do_not_prevent_loading(run, capsys):
    (run.folder / "metrics.jsonl").mkdir()
    assert run.rows() == [] and run.evaluations() == []
    assert "metrics.jsonl cannot be read: Is a directory" in capsys.readouterr().err


def test_the_export_of_a_step_is_recognized(run):
    assert find_export(run.export_folder, 4) is None
    for number in (1, 2):
        version = run.export_folder / str(number)
        put(version / "saved_model.pb")
        record_export(version, 4 * number)
    assert find_export(run.export_folder, 8).name == "2" and find_export(run.export_folder, 4) is None
    (run.export_folder / "3").mkdir()  # empty
    assert find_export(run.export_folder, 8).name == "2" and export_versions(run.export_folder) == [1, 2, 3]
    shutil.rmtree(run.export_folder / "2" / "assets.extra")
    assert find_export(run.export_folder, 8).name == "2", "version 0.1 did not record it"


def test_folders_and_pipes_named_like_files_of_a_run_are_ignored(run):
    save(run, 2)
    save(run, 4)
    (run.folder / "samples" / "step-999999.png").mkdir()
    os.mkfifo(run.folder / "samples" / "step-999998.png")
    (run.folder / "checkpoints" / "ckpt-4").mkdir()
    os.mkfifo(run.folder / "checkpoints" / "ckpt-9.data-00000-of-00001")
    put(run.folder / "checkpoints" / "ckpt-9.index")
    run.extend(type("Config", (), {"steps": 8, "eval_every": 2}), 4)
    assert latest_grid(run) is None and [path.rpartition("-")[2] for path in run.checkpoints()] == ["4", "2"]
    assert run.restore(Small()).endswith("ckpt-2"), "TensorFlow takes the folder for the checkpoint"
    with limit_weights(run):
        tf.Variable(1.0)


@pytest.mark.parametrize("initialize", [True, False])
def test_variables_of_any_kind_are_created_for_a_checkpoint(run, initialize):
    """What is computed by a function is zero, if it is restored anyway; its type and other values are kept."""
    save(run, 2)
    with limit_weights(run, initialize):
        computed = tf.Variable(lambda: tf.ones([2, 3]), dtype=tf.float32)
        values = [tf.Variable(3, dtype=tf.int64), keras.Variable(3.0).value, tf.Variable(tf.fill([2], 3.0))]
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
    assert computed.dtype == tf.float32 and np.all(computed.numpy() == initialize)
    assert np.any(layer.kernel.numpy()) == initialize
    assert values[0].dtype == tf.int64 and all(np.all(value.numpy() == 3) for value in values)
    if not initialize:
        with pytest.raises(UserError, match="more weights"), limit_weights(run, initialize):
            tf.Variable(lambda: tf.ones([2000, 2000]))


@pytest.mark.parametrize("kind", [Path.mkdir, os.mkfifo])
def test_a_lock_that_is_no_file_is_refused(run, kind):
    (run.folder / ".lock").unlink(missing_ok=True)
    kind(run.folder / ".lock")
    with pytest.raises(UserError, match=r"\.lock is not a regular file, so it cannot be locked; remove it"), run.own():
        pass


def test_rows_of_an_interruption_are_replaced(run):
    run.append({"step": 4, "images_per_second": 1.0, "seconds": 3.0})
    run.append({"step": 5, "images_per_second": 1.0, "seconds": 4.0, "interrupted": True})
    for step in (4, 5):
        Image.new("L", (2, 2)).save(run.folder / "samples" / f"step-{step:06d}.png")
    run.write_progress(Progress(5, seconds=4.0, is_interruption=True))
    assert run.unfinished_evaluation(5) is None
    run.extend(type("Config", (), {"steps": 8, "eval_every": 4}), 5)
    assert [row["step"] for row in run.rows()] == [4] and latest_grid(run).name == "step-000004.png"
    assert run.unfinished_evaluation(5) is None, "it is no evaluation that has to be repeated"


def test_a_folder_that_a_killed_process_has_tried_is_free(tmp_path):
    (tmp_path / "run" / ".writing-5i175i1_").mkdir(parents=True)
    run = Run.create(RECORD, tmp_path / "run")
    assert [path.name for path in run.folder.iterdir() if path.name.startswith(".writing")] == []


def test_what_is_written_into_a_run_needs_its_lock(run, tmp_path):
    """By `zoo analyze`, `zoo utility` and `zoo evaluate RUN --out FOLDER`."""
    with run.own():
        with pytest.raises(UserError, match="is in use by process"), own_if_inside(run.folder / "analysis", run):
            pass
        with own_if_inside(tmp_path / "elsewhere", run):
            pass
    with own_if_inside(run.folder, run), pytest.raises(UserError, match="is in use by process"), run.own():
        pass
    other = Run.create(RECORD, tmp_path / "other")
    with pytest.raises(UserError, match="--out .*other is another run; give a folder that is not a run"), own_if_inside(other.folder, run):
        pass
