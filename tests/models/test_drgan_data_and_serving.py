"""DR-GAN: which identities are held out, sets of images, previews, `zoo translate`."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model, tiny_settings, to_numpy
from PIL import Image

import zoo
from zoo import __main__ as tool
from zoo import data, runs
from zoo.errors import UserError

# -- the data ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return data.open_source("turned_digits", keys=("image", "label", "pose"))


def test_held_out_identities_are_not_trained_on(digits):
    model = zoo.create("drgan", num_classes=200, widths=(4, 4, 4, 4, 4))
    assert model.config.held_out_identities == 60 and model.config.num_identities == 140
    source = model.prepare_data(model.config, digits)
    train, test = (source.arrays(split) for split in ("train", "test"))
    assert set(train["label"]) == set(range(140)) and set(test["label"]) == set(range(140, 200))
    assert not {image.tobytes() for image in train["image"]} & {image.tobytes() for image in test["image"]}
    assert len(train["label"]) == 140 * 9 and len(test["label"]) == 60 * 9
    assert dataclasses.replace(model.config, num_classes=67, held_out_identities=None).resolve().held_out_identities == 20


def test_sets_are_of_one_identity(digits):
    split = digits.split_by_label(60, 0)
    grouped = split.group_by_label(4)
    batch = next(iter(grouped.batches(16)))
    assert batch["image"].shape == (16, 4, 32, 32, 1) and batch["pose"].shape == (16, 4) and batch["label"].shape == (16,)
    arrays = split.arrays()
    pixels = np.uint8(np.rint((to_numpy(batch["image"]) + 1) * 127.5))
    for images, label, poses in zip(pixels, to_numpy(batch["label"]), to_numpy(batch["pose"]), strict=True):
        assert len(set(poses)) == 4  # four different images
        for image, pose in zip(images, poses, strict=True):
            (row,) = np.flatnonzero((arrays["label"] == label) & (arrays["pose"] == pose))
            np.testing.assert_array_equal(image, arrays["image"][row])
    np.testing.assert_array_equal(batch["pose"], next(iter(grouped.batches(16)))["pose"])
    later = next(iter(grouped.batches(16, start=split.sizes["train"] // 16)))  # the next epoch
    assert (np.sort(batch["pose"]) != np.sort(later["pose"])).any()
    assert set(to_numpy(next(iter(grouped.batches(16, split="test")))["label"])) <= set(range(140, 200))
    larger = next(iter(split.group_by_label(12).batches(2)))  # each identity has nine images
    assert all(len(set(poses)) == 9 for poses in to_numpy(larger["pose"]))


def test_each_image_of_a_set_has_a_crop_of_its_own(digits):
    split = digits.split_by_label(60, 0)
    plain, cropped = (next(iter(source.group_by_label(2).batches(4))) for source in (split, split.with_jitter(6, flip=False)))
    np.testing.assert_array_equal(plain["pose"], cropped["pose"])
    assert cropped["image"].shape == plain["image"].shape and np.abs(cropped["image"] - plain["image"]).max() > 0.1


def test_invalid_settings_are_refused():
    for count in (1, 199, 400):
        with pytest.raises(UserError, match=f"--held-out-identities {count}: of 200 identities, 2 to 198 can be held out"):
            zoo.create("drgan", num_classes=200, held_out_identities=count)
    with pytest.raises(UserError, match="--widths has 6 values"):
        zoo.create("drgan", widths=(8,) * 6)


# -- previews and serving -----------------------------------------------------------------------------------------------


def test_the_preview_shows_one_identity_per_row():
    for name, images in (("drgan_96", 1), ("drgan", 1), ("drgan", 2), ("drgan_multi_96", 3)):
        model = tiny_model(name, images_per_set=images)
        batch = next(iter(random_source(model).batches(16, split="test")))
        preview, columns = model.preview(batch)
        assert columns == images + 9 and len(preview) == 2 * columns
        first = [np.flatnonzero(to_numpy(batch["label"]) == label)[0] for label in (2, 3)]
        rows = tf.reshape(batch["image"], [len(batch["label"]), -1, *model.config.image_shape])
        inputs = tf.gather(rows, first)[:, :images]
        preview = tf.reshape(preview, [2, columns, *model.config.image_shape])
        np.testing.assert_allclose(preview[:, :images], (inputs + 1) / 2, atol=1e-6)


def test_tiny_models_have_identities_to_train_and_to_test_on():
    assert all(tiny_settings(name)["num_classes"] == 4 for name in ("drgan", "drgan_96", "drgan_tpami_96", "drgan_multi_96"))


@pytest.fixture
def rotating_run(working_directory, monkeypatch):
    """The record of a run, and the model that is loaded for it, whose images are not blank."""
    model = tiny_model("drgan")
    for i, weight in enumerate(model.ema_generator.weights):
        if weight.path.endswith("kernel"):
            weight.assign(tf.random.stateless_normal(weight.shape, [i, 1], stddev=0.2))
    monkeypatch.setattr(runs, "load_model", lambda run, *options: model)
    record = {"model": "drgan", "config": {}, "data": {"name": "a", "version": "0"}, "precision": "float32", "replicas": 1, "xla": False}
    Path("run").mkdir()
    Path("run/config.json").write_text(json.dumps(record))
    return record, model


def translate(*words):
    assert tool.main(["translate", "run", "in.png", *words]) == 0
    return np.asarray(Image.open(words[0]))


def test_an_image_is_rotated_from_the_command_line(rotating_run):
    record, model = rotating_run
    side, poses, gap = 16, model.config.num_poses, 2
    image = np.random.RandomState(0).randint(0, 255, (side, side)).astype(np.uint8)
    Image.fromarray(image).save("in.png")
    rotations, two = translate("all.png"), translate("two.png", "--pose", "2", "0")
    many = translate("many.png", "--pose", *"0" * 13)
    assert many.shape == (2 * side + gap, 12 * (side + gap) - gap)
    assert rotations.shape == (side, poses * (side + gap) - gap) and two.shape == (side, 2 * side + gap)
    assert np.abs(two[:, :side] - two[:, side + gap :].astype(int)).max() > 20
    by_hand = to_numpy(model.rotate(tf.constant(image[None, ..., None] / 127.5 - 1, tf.float32), [2]))[0, ..., 0]
    np.testing.assert_allclose(two[:, :side], np.rint(np.clip(by_hand / 2 + 0.5, 0, 1) * 255), atol=1)
    np.testing.assert_allclose(two[:, side + gap :], rotations[:, :side], atol=1)
    names = ["-60", "left", "0", *"abcdef"[: poses - 3]]
    Path("run/config.json").write_text(json.dumps({**record, "data": {**record["data"], "pose_names": names}}))
    np.testing.assert_array_equal(translate("named.png", "--pose", "0", "-60"), two)
    for words, message in (
        (["--pose", "99"], "--pose 99: this run's poses are -60, left, 0"),
        (["--signature", "to_x"], "this model translates by rotate"),
        (["--seed", "1"], "--seed: rotate of this model does not take a seed"),
    ):
        with pytest.raises(UserError, match=message):
            translate("out.png", *words)
    with pytest.raises(UserError, match=r"serve\(NAME, ...\), with one of serving_default, rotate"):
        model.sample([1])
