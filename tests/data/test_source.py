"""Batches of a source: their order, their transforms, and the subsets they are drawn from."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import data
from zoo.data import limits
from zoo.data.stored import Examples
from zoo.data.transforms import resize
from zoo.errors import UserError


@pytest.fixture(scope="module")
def digits():
    return data.open_source("digits")


def arrays_source(arrays, class_names):
    size = len(arrays["label"])
    return data.Source("n", "0", (8, 8, 1), {"train": size}, class_names, lambda split: arrays)


def numbered_images():
    """Thirty images; the label of each is its number."""
    return arrays_source({"image": np.zeros((30, 8, 8, 1), np.uint8), "label": np.arange(30)}, tuple(map(str, range(30))))


@pytest.fixture(params=["in memory", "from files"])
def numbered(request, monkeypatch, tmp_path):
    keras.utils.set_random_seed(1)  # as the train command does
    source = numbered_images()
    if request.param == "from files":
        monkeypatch.setattr(limits, "MEMORY_BYTES", 0)
        arrays = source.arrays()
        shapes = {key: (value.shape, value.dtype) for key, value in arrays.items()}
        stored = Examples("key", shapes, 30, lambda: iter([arrays]), "writing").load(str(tmp_path))
        assert all(isinstance(value, np.memmap) for value in stored.values())
        source = arrays_source(stored, source.class_names)
    return source


def batch_labels(batches, count):
    return [tuple(np.asarray(batch["label"])) for batch in batches.take(count)]


def test_importing_the_package_does_not_import_tfds():
    code = "import sys, zoo.data; sys.exit('tensorflow_datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize("name", ["digits", "folder"])
def test_a_key_that_no_data_have_is_refused(name, tmp_path):
    """A model from outside the package may need any key."""
    if name == "folder":
        for i in range(4):
            keras.utils.save_img(tmp_path / f"{i}.png", np.full((8, 8, 1), i), scale=False)
        name = f"folder:{tmp_path}"
    with pytest.raises(UserError, match="the model needs mask, but .* has only image.*; use a model that needs only image"):
        data.open_source(name, keys=("image", "mask"))
    with pytest.raises(UserError, match="the model needs pose, but .*; use data with identities and poses"):
        data.open_source("digits", keys=("image", "pose"))


def test_batches_are_normalized(digits):
    batch = next(iter(digits.batches(32)))
    assert set(batch) == {"image", "label"} and batch["image"].shape == (32, 32, 32, 1) and batch["label"].dtype == tf.int64
    assert float(tf.reduce_min(batch["image"])) == -1 and 0.9 < float(tf.reduce_max(batch["image"])) <= 1


def test_an_epoch_holds_each_image_once_in_a_new_order(numbered):
    first, second = np.reshape(batch_labels(numbered.batches(10, seed=1), 6), (2, 30))
    assert sorted(first) == sorted(second) == list(range(30))
    assert list(first) != list(second) and list(first) != list(range(30))


def test_a_batch_is_a_function_of_seed_and_number(numbered):
    labels = batch_labels(numbered.batches(7, seed=1), 12)
    assert batch_labels(numbered.batches(7, seed=1, start=5), 7) == labels[5:]
    assert batch_labels(numbered.batches(7, seed=2), 12) != labels


SHARDED = {
    "plain": lambda: data.open_source("digits"),
    "mirrored": lambda: data.open_source("digits").with_options(mirror=True, balance=True),
    "jittered": lambda: data.open_source("digits").with_jitter(2, flip=True),
    "with labels": lambda: data.open_source("digits").with_labels(100),
    "domains": lambda: data.open_source("outlines", keys=("x", "y")),
    "groups": lambda: data.open_source("turned_digits", keys=("image", "label", "pose")).group_by_label(2),
}


@pytest.mark.parametrize("kind", SHARDED)
def test_workers_read_the_rows_of_one_batch(kind):
    source = SHARDED[kind]()
    whole = source.batches(12, seed=3, start=4)
    positions = np.arange(12).reshape(2, 3, 2)  # of two parts, each of which three workers share
    parts = [source.batches(12, seed=3, start=4, positions=positions[:, worker].ravel()) for worker in range(3)]
    for batch, *shards in tf.data.Dataset.zip(whole, *parts).take(3):
        for key, value in batch.items():
            for worker, shard in enumerate(shards):
                np.testing.assert_array_equal(tf.gather(value, positions[:, worker].ravel()), shard[key], key)


def test_a_batch_larger_than_the_data_is_refused(numbered):
    with pytest.raises(UserError, match="a step takes 31 images .* but n has only 30 in 'train'"):
        numbered.batches(31)


def test_resizing_center_crops_and_converts_channels():
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 10:30] = 200
    small = data.center_crop_and_resize(tf.constant(image), (10, 10, 1)).numpy()
    assert small.shape == (10, 10, 1) and (small == 200).all()
    assert data.center_crop_and_resize(tf.constant(image[..., :1]), (8, 16, 3)).shape == (8, 16, 3)
    white = tf.fill([31, 41, 1], tf.constant(255, tf.uint8))
    assert (data.center_crop_and_resize(white, (28, 28, 1)).numpy() == 255).all(), "nothing is padded"


def test_a_subset_is_balanced_and_a_function_of_the_seed(digits):
    subset = digits.subset(100)
    assert subset.sizes == {"train": 100, "test": 360}
    arrays = subset.arrays("train")
    assert np.bincount(arrays["label"]).tolist() == [10] * 10
    np.testing.assert_array_equal(arrays["image"], digits.subset(100).arrays("train")["image"])
    assert not np.array_equal(arrays["image"], digits.subset(100, seed=1).arrays("train")["image"])
    np.testing.assert_array_equal(subset.arrays("test")["image"], digits.arrays("test")["image"])
    unlabeled = dataclasses.replace(digits, class_names=None, load=digits.load)
    assert unlabeled.subset(7).arrays("train")["image"].shape == (7, *digits.image_shape)
    for count in (0, 1438):
        with pytest.raises(UserError, match=f"--examples {count} is out of range: digits has 1437 training images; choose 1 to 1437"):
            digits.subset(count)


def test_derived_sources_share_what_is_loaded_only_if_their_examples_are_the_same(digits):
    digits.arrays("train")
    assert digits.with_jitter(2, True)._loaded is digits.with_labels(10)._loaded is digits._loaded
    assert digits.subset(10)._loaded is not digits._loaded
    assert dataclasses.replace(digits, load=digits.subset(10).load).arrays("train")["image"].shape[0] == 10


def test_a_source_without_jitter_is_itself(digits):
    assert digits.with_jitter(0, False) is digits


def test_identities_are_held_out_whole():
    source = data.open_source("turned_digits", keys=("image", "label", "pose"))
    assert source.pose_names == ("-60", "-45", "-30", "-15", "0", "15", "30", "45", "60") and source.num_classes == 200
    split = source.split_by_label(60, seed=3)
    train, test = split.arrays("train"), split.arrays("test")
    assert split.sizes == {"train": 140 * 9, "test": 60 * 9}
    assert set(train["label"]) == set(range(140)) and set(test["label"]) == set(range(140, 200))
    images, labels = map(source.arrays("train").get, ("image", "label"))
    names = {bytes(image): source.class_names[label] for image, label in zip(images, labels, strict=True)}
    assert all(names[bytes(image)] == split.class_names[label] for image, label in zip(test["image"], test["label"], strict=True))
    assert split.class_names != source.split_by_label(60, seed=4).class_names
    examples = split.load_examples("test", 100)  # whole identities, except for the last poses of the last one
    assert all(pose[0] == 0 for pose in (examples["pose"][examples["label"] == label] for label in set(examples["label"])))
    assert sorted(np.bincount(examples["label"])[140:])[-12:] == [1] + [9] * 11
    assert set(examples["label"]) != set(split.load_examples("test", 100, seed=1)["label"])


def test_groups_hold_different_images_of_one_label():
    source = data.open_source("turned_digits", keys=("image", "label", "pose")).group_by_label(9)
    batch = next(iter(source.batches(4)))
    assert batch["image"].shape == (4, 9, 32, 32, 1) and batch["label"].shape == (4,)
    assert all(sorted(poses) == list(range(9)) for poses in batch["pose"].numpy())
    images = source.arrays("train")
    rows = {bytes(image): label for image, label in zip(images["image"], images["label"], strict=True)}
    groups = np.rint((batch["image"].numpy() + 1) * 127.5).astype(np.uint8)
    for group, label in zip(groups, batch["label"].numpy(), strict=True):
        assert {rows[bytes(image)] for image in group} == {label}


@pytest.mark.parametrize("count", [1, 9])
def test_splits_with_fewer_than_two_labels_are_refused(digits, count):
    with pytest.raises(UserError, match=f"{count} of the 10 identities of digits cannot be held out; each split needs at least two"):
        digits.split_by_label(count)


def test_half_of_the_images_are_mirrored(digits):
    mirrored, plain = (source.batches(64, seed=3) for source in (digits.with_options(True, False), digits))
    (first, again), (reference, _) = (list(batches.take(2)) for batches in (mirrored, plain))
    equal = [np.array_equal(a, b) for a, b in zip(first["image"], reference["image"], strict=True)]
    flipped = [np.array_equal(a, np.flip(b, 1)) for a, b in zip(first["image"], reference["image"], strict=True)]
    assert all(map(max, zip(equal, flipped, strict=True))) and 16 < sum(flipped) < 48
    resumed = next(iter(digits.with_options(True, False).batches(64, seed=3, start=1)))
    np.testing.assert_array_equal(resumed["image"], again["image"])
    held_out = next(iter(digits.with_options(True, False).batches(64, split="test")))
    np.testing.assert_array_equal(held_out["image"], next(iter(digits.batches(64, split="test")))["image"])


def test_classes_are_balanced():
    labels = np.array([0] * 90 + [1] * 9 + [2])
    images = np.broadcast_to(np.arange(100, dtype=np.uint8)[:, None, None, None], (100, 8, 8, 1))
    balanced = arrays_source({"image": images, "label": labels}, tuple("abc")).with_options(False, True)
    batches = list(balanced.batches(50, seed=1).take(20))
    drawn = np.concatenate([batch["label"] for batch in batches])
    counts = np.bincount(drawn, minlength=3)
    assert all(abs(count - 1000 / 3) < 60 for count in counts), counts
    rows = np.rint((np.concatenate([batch["image"] for batch in batches])[:, 0, 0, 0] + 1) * 127.5).astype(int)
    np.testing.assert_array_equal(labels[rows], drawn)
    assert len(set(rows)) > 90, "all images of a class are drawn"
    np.testing.assert_array_equal(next(iter(balanced.batches(50, seed=1, start=7)))["label"], batches[7]["label"])


def test_options_that_a_source_cannot_have_are_refused(digits):
    with pytest.raises(UserError, match="--balance draws classes equally often, and n has no classes"):
        arrays_source({"image": np.zeros((4, 8, 8, 1), np.uint8), "label": np.arange(4)}, None).with_options(False, True)
    with pytest.raises(UserError, match="--mirror would change the poses of turned_digits"):
        data.open_source("turned_digits", keys=("image", "label", "pose")).with_options(True, False)


@pytest.mark.parametrize("crop, left, middle", [("center", 100, 100), ("pad", 255, 100), ("none", 100, 100)])
def test_ways_to_another_aspect_ratio(crop, left, middle, tmp_path):
    image = np.full((20, 10, 3), 100, np.uint8)
    image[:2] = 0  # the upper edge
    keras.utils.save_img(tmp_path / "a.png", image, scale=False)
    pixels = [data.open_source(f"folder:{tmp_path}", image_shape=(10, 10, 3), reading=data.Reading(crop=crop)).arrays()["image"][0]]
    pixels.append(resize(tf.constant(image), (10, 10, 3), crop).numpy())
    for one in pixels:
        assert one.shape == (10, 10, 3) and abs(int(one[5, 0, 0]) - left) < 4 and abs(int(one[5, 5, 0]) - middle) < 4
        assert (one[0, 5, 0] < 60) == (crop != "center"), "only a crop loses the upper edge"
