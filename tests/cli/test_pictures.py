"""A run on a folder of transparent pictures in classes: its options and class names are kept, wherever the folder is moved."""

import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from command_line import list_files, read_error
from conftest import same_arrays, to_numpy, weights
from PIL import Image

import zoo
from zoo import __main__ as tool
from zoo.cli.train import main as train_main

CLASSES = ("1", "2", "10", "żółw")
SPRITES = ["--model", "acgan", "--data", "folder:sprites", "--image-shape", "16", "16", "4", "--batch-size", "8", "--crop", "pad"]
SPRITES += ["--generator-widths", "8", "4", "--discriminator-widths", "4", "8", "--mirror", "--balance"]
SPRITES += ["--eval-every", "2", "--eval-samples", "0", "--precision", "float32"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Four steps of a small ACGAN on discs of four colors, on nothing; 24 of the first class, 8 of each other."""
    previous, folder = os.getcwd(), tmp_path_factory.mktemp("pictures")
    y, x = np.mgrid[:12, :16]
    for i, name in enumerate(CLASSES):
        (folder / "sprites" / name).mkdir(parents=True)
        for k in range(8 if i else 24):
            alpha = np.where((y - 6) ** 2 + (x - 5 - k % 4) ** 2 < 20, 255, 0)
            pixels = np.stack([np.full_like(alpha, 60 * i), alpha, np.full_like(alpha, 10 * k), alpha], -1)
            Image.fromarray(np.uint8(pixels)).save(folder / "sprites" / name / f"{k}.png")
    os.chdir(folder)
    try:
        assert train_main([*SPRITES, "--steps", "4"]) == 0
        yield folder / "runs" / "acgan-sprites-0001"
    finally:
        os.chdir(previous)


def test_the_record_and_the_card_have_the_classes_in_their_order(run):
    record = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert record["data"]["class_names"] == list(CLASSES)
    assert {name: record["options"][name] for name in ("crop", "mirror", "balance")} == {"crop": "pad", "mirror": True, "balance": True}
    card = (run / "README.md").read_text(encoding="utf-8")
    assert "2 = 10" in card and "3 = żółw" in card
    assert zoo.load(run).class_names == CLASSES


def test_samples_have_four_channels(run, tmp_path):
    model = zoo.load(run)
    images = to_numpy(model.sample([1, 2], label=[0, 1]))
    assert images.shape == (2, 16, 16, 4)
    file = model.serve("png", seed=[1], label=[0])["image_bytes"].numpy()[0]
    np.testing.assert_allclose(tf.io.decode_png(file).numpy() / 255, images[0], atol=1.01 / 255)
    exported = tf.saved_model.load(str(run / "export" / "acgan" / "1"))
    served = exported.signatures["png"](seed=tf.constant([1], tf.int64), label=tf.constant([0], tf.int64))
    assert tf.io.decode_png(served["image_bytes"].numpy()[0]).shape == (16, 16, 4)
    assert all(Image.open(file).mode == "RGBA" for file in (run / "samples").iterdir())


def test_classes_are_chosen_by_name(run, tmp_path, capsys):
    by_name, by_number = tmp_path / "name", tmp_path / "number"
    for out, label in ((by_name, "10"), (by_number, "3")):  # the class that is called 10; the class of number 3
        assert tool.main(["generate", str(run), "--count", "1", "--label", label, "--out", str(out)]) == 0
    assert list_files(by_name) == [str(by_name / "seed0-label2.png")] and list_files(by_number) == [str(by_number / "seed0-label3.png")]
    assert tool.main(["generate", str(run), "--count", "2", "--label", "żółw", "--out", str(tmp_path / "grid.png")]) == 0
    assert Image.open(tmp_path / "grid.png").mode == "RGBA"
    error = read_error(capsys, ["generate", str(run), "--label", "11"], tool.main)
    assert "--label 11: no such class" in error and "Available: 0 = 1, 1 = 2, 2 = 10, 3 = żółw" in error


def test_the_folder_and_the_run_may_be_moved(run, tmp_path, monkeypatch, capsys):
    """The content of the folder counts, not its path; a run continues as if nothing had been moved."""
    shutil.copytree(run.parents[1] / "sprites", tmp_path / "elsewhere")
    shutil.copytree(run, tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    error = read_error(capsys, ["--resume", "moved", "--steps", "6", "--data", "folder:gone"])
    assert "gone" in error and "moved" not in error
    assert train_main(["--resume", "moved", "--steps", "6", "--data", "folder:elsewhere"]) == 0
    arguments = ["folder:elsewhere" if word == "folder:sprites" else word for word in SPRITES]
    assert train_main([*arguments, "--steps", "6", "--run-dir", "whole"]) == 0
    assert same_arrays(weights(zoo.load("moved").ema_generator), weights(zoo.load("whole").ema_generator))


def test_pictures_that_were_edited_are_other_data(run, tmp_path, monkeypatch, capsys):
    shutil.copytree(run.parents[1] / "sprites", tmp_path / "sprites")
    shutil.copytree(run, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "sprites" / "1" / "0.png"
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[45] ^= 1  # the size remains, and so does the time
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    error = read_error(capsys, ["--resume", "run", "--steps", "6", "--data", "folder:sprites"])
    assert "0.png" in error or "other data" in error or "have changed" in error, error


def test_options_that_contradict_the_data_are_refused(run, capsys, monkeypatch):
    monkeypatch.chdir(run.parents[1])
    flat = ["--data", "folder:sprites/1", "--model", "dcgan", "--dry-run"]
    assert "--balance draws classes equally often" in read_error(capsys, [*flat, "--balance"])
    assert "--mirror would change the poses" in read_error(capsys, ["--model", "drgan", "--mirror", "--dry-run"])
    assert "--crop: 'middle' is not one of center, pad, none" in read_error(capsys, [*flat, "--crop", "middle"])
    assert "--label-key is for datasets of TFDS" in read_error(capsys, [*flat, "--label-key", "age"])
    for name in ("a[b]", "what?", "x*"):
        assert name in read_error(capsys, [*SPRITES, "--run-dir", name])
