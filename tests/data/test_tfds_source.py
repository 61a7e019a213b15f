"""Built-in datasets, and TFDS datasets of any layout."""

import http.client
import urllib.error

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image
from sklearn.datasets import load_digits
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from zoo import data
from zoo.data import builders
from zoo.errors import UserError


def test_digits_are_scikit_learns():
    digits = data.open_source("digits")
    assert digits.sizes == {"train": 1437, "test": 360} and digits.image_shape == (32, 32, 1) and digits.num_classes == 10
    arrays = {split: digits.arrays(split) for split in digits.sizes}
    labels = np.concatenate([part["label"] for part in arrays.values()])
    assert sorted(labels) == sorted(load_digits().target)
    small = arrays["test"]["image"][..., 0].mean((1, 2))
    assert 20 < small.mean() < 60 and arrays["train"]["image"].dtype == np.uint8
    assert arrays["train"]["image"][:, 0].max() == 0, "a margin"


def test_test_images_of_outlines_are_paired():
    source = data.open_source("outlines", keys=("x", "y"))
    examples, digits = source.load_examples("test", 5), data.open_source("digits").arrays("test")
    assert set(examples) == {"x", "y", "pair", "label_x", "label_y"} and source.keys == ("x", "y")
    rows = [np.flatnonzero((digits["image"] == image).all((1, 2, 3)))[0] for image in examples["y"]]
    assert (digits["label"][rows] == examples["label_y"]).all() and (examples["label_x"] == examples["label_y"]).all()
    bright_ratio = (examples["x"] > 128).sum((1, 2, 3)) / (examples["y"] > 128).sum((1, 2, 3))
    assert (bright_ratio > 0.15).all() and (bright_ratio < 1).all(), "an edge"
    train_x, train_y = (set(map(bytes, part.arrays("train")["image"])) for part in (source.x, source.y))
    assert source.load_examples("train", 3).keys() == {"x", "y", "label_x", "label_y"} and len(train_x) > 700 and len(train_y) > 700
    pairs = data.open_source("outline_pairs", keys=("x", "y", "pair")).arrays("train")
    digit_of_outline = {bytes(x): bytes(y) for x, y in zip(pairs["x"], pairs["y"], strict=True)}
    assert not {digit_of_outline[x] for x in train_x} & train_y, "of other digits"


def test_single_images_of_two_domains_are_those_of_both():
    both = data.open_source("outlines", keys=("x", "y")).single_images()
    assert both.sizes == {"train": 1437, "test": 720} and both.class_names == data.open_source("digits").class_names
    assert both.arrays("train")["image"].shape == (1437, 32, 32, 1)


def test_single_images_of_pairs_have_their_labels():
    pairs = data.open_source("outline_pairs", keys=("x", "y", "pair"))
    both, arrays = pairs.single_images(), pairs.arrays("test")
    assert both.sizes == {"train": 2874, "test": 720} and both.keys == ("image", "label")
    np.testing.assert_array_equal(both.arrays("test")["image"], np.concatenate([arrays["x"], arrays["y"]]))
    np.testing.assert_array_equal(both.arrays("test")["label"], np.concatenate([arrays["label"]] * 2))


def test_photographs_are_split_by_columns():
    source = data.open_source("photographs", keys=("picture",))
    shapes = {split: sorted(picture.shape for picture in source.load_examples(split)["picture"]) for split in source.sizes}
    assert shapes == {"train": [(427, 100, 3)] * 2 + [(427, 380, 3)] * 2, "test": [(427, 160, 3)] * 2}


def test_images_of_one_size_are_pictures_too():
    source = data.open_source("digits", keys=("picture",))
    assert source.keys == ("picture",) and source.load_examples("test", 2)["picture"][0].shape == (32, 32, 1)


@pytest.mark.parametrize(
    "name, keys, suggestion",
    [
        ("digits", ("x", "y"), "use data of two domains"),
        ("outlines", ("x", "y", "pair"), "use data in pairs"),
        ("outlines", ("picture",), "use pictures of any size"),
        ("digits", ("image", "label", "pose"), "use data with identities and poses"),
        ("outlines", ("image",), "outlines has only x and y; use data of single images"),
    ],
)
def test_a_missing_key_names_data_that_have_it(name, keys, suggestion):
    with pytest.raises(UserError, match=suggestion):
        data.open_source(name, keys=keys)


def test_an_unknown_name_suggests_a_similar_one():
    with pytest.raises(UserError, match="unknown dataset 'digit'; did you mean 'digits'. Available: digits, .*folder:PATH"):
        data.open_source("digit")
    with pytest.raises(UserError, match="TFDS cannot open 'cycle_gan/horse2dog'"):
        data.open_source("cycle_gan/horse2dog")


def test_built_in_data_are_written_to_the_temporary_folder_if_that_of_tfds_is_not_writable(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    file = tmp_path / "file"
    file.touch()
    source = data.open_source("photographs", data_dir=file / "below", keys=("picture",))
    assert source.sizes == {"train": 4, "test": 2}
    (folder,) = tmp_path.glob("zoo-data-*")
    assert folder.stat().st_mode & 0o777 == 0o700 and (folder / "photographs").is_dir()


def test_any_tfds_image_data_set_that_is_prepared(tmp_path):
    class Shapes(tfds.core.GeneratorBasedBuilder):
        """Two kinds of blots, in several sizes."""

        VERSION = tfds.core.Version("1.2.3")

        def _info(self):
            features = {"picture": tfds.features.Image(shape=(None, None, 3)), "kind": tfds.features.ClassLabel(names=["a", "b"])}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i in range(6):
                yield i, {"picture": np.full((20 + i, 30, 3), 40 * i, np.uint8), "kind": i % 2}

    Shapes(data_dir=tmp_path).download_and_prepare()
    source = data.open_source("shapes", tmp_path, (16, 16, 1))
    assert source.version == "1.2.3" and source.class_names == ("a", "b") and source.sizes == {"train": 6}
    arrays = source.arrays()
    assert arrays["image"].shape == (6, 16, 16, 1)
    kinds = {int(image.max()): int(label) for image, label in zip(arrays["image"], arrays["label"], strict=True)}
    assert kinds == {40 * i: i % 2 for i in range(6)}
    assert data.open_source("shapes", tmp_path).image_shape == (64, 64, 3)


def test_secret_labels_of_a_test_split(tmp_path):
    class Contest(tfds.core.GeneratorBasedBuilder):
        """As imagenet2012, whose test labels are secret."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {"image": tfds.features.Image(shape=(8, 8, 1)), "label": tfds.features.ClassLabel(num_classes=2)}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(6), "validation": self._generate_examples(4), "test": self._generate_examples(3, True)}

        def _generate_examples(self, count, secret=False):
            for i in range(count):
                yield i, {"image": np.zeros((8, 8, 1), np.uint8), "label": -1 if secret else i % 2}

    Contest(data_dir=tmp_path).download_and_prepare()
    source = data.open_source("contest", tmp_path)
    assert source.sizes == {"train": 6, "test": 4} and set(source.arrays("test")["label"]) == {0, 1}


def fake_downloads(monkeypatch, folder_of_url):
    """Replaces TFDS's downloads by local folders of extracted pictures."""

    def extract(manager, urls):
        return tf.nest.map_structure(lambda url: str(folder_of_url(url)), urls)

    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", extract)
    monkeypatch.setattr(builders, "is_online", lambda: True)
    tfds.disable_progress_bar()


def test_two_domains_of_tfds_that_were_never_prepared(tmp_path, monkeypatch):
    rng = np.random.RandomState(0)
    for part, count, level in (("trainA", 5, 50), ("trainB", 4, 200), ("testA", 3, 50), ("testB", 2, 200)):
        folder = tmp_path / "zip" / "horse2zebra" / part
        folder.mkdir(parents=True)
        for i in range(count):
            Image.fromarray(np.uint8(level + rng.randint(0, 9, (40, 40, 3)))).save(folder / f"{i}.jpg")
    fake_downloads(monkeypatch, lambda url: tmp_path / "zip")
    source = data.open_source("cycle_gan/horse2zebra", str(tmp_path / "tfds"), (32, 32, 3), ("x", "y"))
    assert source.keys == ("x", "y") and source.image_shape == (32, 32, 3) and source.class_names is None
    batch = next(iter(source.batches(4)))
    assert batch["x"].shape == (4, 32, 32, 3) and -0.7 < float(tf.reduce_mean(batch["x"])) < -0.5 < 0.5 < float(tf.reduce_mean(batch["y"]))
    examples = source.load_examples("test", 10)
    assert (len(examples["x"]), len(examples["y"])) == (3, 2)


def test_large_pictures_of_tfds_that_were_never_prepared(tmp_path, monkeypatch):
    rng = np.random.RandomState(0)
    for part, count in (("train", 3), ("valid", 2)):
        for side, scale in (("HR", 1), ("LR_bicubic", 4)):
            folder = tmp_path / part / side / f"DIV2K_{part}_{side}"
            folder.mkdir(parents=True)
            for i in range(count):
                name = f"000{i}.png" if scale == 1 else f"000{i}x4.png"
                Image.fromarray(rng.randint(0, 256, (80 // scale, (96 + 8 * i) // scale, 3)).astype(np.uint8)).save(folder / name)
    fake_downloads(monkeypatch, lambda url: tmp_path / ("train" if "train" in url else "valid") / ("HR" if "HR" in url else "LR_bicubic"))
    source = data.open_source("div2k/bicubic_x4", str(tmp_path / "tfds"), None, ("picture",))
    assert source.keys == ("picture",) and source.sizes == {"train": 3, "test": 2} and source.image_shape == (None, None, 3)
    assert sorted(picture.shape for picture in source.load_examples("test", 2)["picture"]) == [(80, 96, 3), (80, 104, 3)]


def fail_downloads(monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(builders, "is_online", lambda: True)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("no\nroute"),
        urllib.error.URLError("no route"),
        http.client.IncompleteRead(b""),
        tfds.download.DownloadError("404"),
        NonMatchingChecksumError("other file"),
        tf.errors.PermissionDeniedError(None, None, "denied"),
        AssertionError("download it by hand"),
    ],
)
def test_failed_downloads_are_one_line(tmp_path, monkeypatch, error):
    fail_downloads(monkeypatch, error)
    with pytest.raises(UserError, match=rf"'mnist' is not in .* could not be downloaded \({type(error).__name__}: ") as raised:
        data.open_source("mnist", tmp_path)
    assert "\n" not in str(raised.value) and "Available without a download: digits" in str(raised.value)


def test_a_bug_during_a_download_is_a_traceback(tmp_path, monkeypatch):
    fail_downloads(monkeypatch, AttributeError("a bug"))
    with pytest.raises(AttributeError, match="a bug"):
        data.open_source("mnist", tmp_path)


def build_labeled(folder, labels_of_split, **features):
    """Prepares the dataset `labeled`, whose examples have these labels; the gray value of an image is its number."""

    class Labeled(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Images with labels."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = {"image": tfds.features.Image(shape=(8, 8, 1))}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({**image, **features}))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(labels) for split, labels in labels_of_split.items()}

        def _generate_examples(self, labels):
            for i, label in enumerate(labels):
                yield i, {"image": np.full((8, 8, 1), i, np.uint8), **dict.fromkeys(features, label)}

    Labeled(data_dir=folder).download_and_prepare()


def test_examples_without_a_label_are_left_out_and_counted(tmp_path, capsys):
    build_labeled(tmp_path, {"train": [0, -1, 1, -1, 0], "test": [1, 0]}, label=tfds.features.ClassLabel(num_classes=2))
    for _ in range(2):  # read, then remembered
        source = data.open_source("labeled", tmp_path)
        assert source.sizes == {"train": 3, "test": 2}
        assert "2 examples of labeled (train) have no label and are left out" in capsys.readouterr().err
    arrays = source.arrays()
    assert sorted(zip(arrays["image"][:, 0, 0, 0].tolist(), arrays["label"].tolist(), strict=True)) == [(0, 0), (2, 1), (4, 0)]


def test_one_of_several_labels_is_chosen(tmp_path, capsys):
    kinds = {"fine": tfds.features.ClassLabel(names=["a", "b"]), "coarse": tfds.features.ClassLabel(names=["c", "d", "e"])}
    build_labeled(tmp_path / "two", {"train": [0, 1]}, **kinds)
    with pytest.raises(UserError, match="labeled has several labels: coarse, fine; choose one with --label-key coarse"):
        data.open_source("labeled", tmp_path / "two", keys=("image", "label"))
    assert data.open_source("labeled", tmp_path / "two").class_names is None  # not needed
    source = data.open_source("labeled", tmp_path / "two", reading=data.Reading(label_key="coarse"))
    assert source.class_names == ("c", "d", "e")
    with pytest.raises(UserError, match="--label-key image: the labels of labeled are coarse, fine"):
        data.open_source("labeled", tmp_path / "two", reading=data.Reading(label_key="image"))
    build_labeled(tmp_path / "named", {"train": [0, 1]}, label=kinds["fine"], coarse=kinds["coarse"])
    assert data.open_source("labeled", tmp_path / "named").class_names == ("a", "b")
    assert "its feature label; it also has coarse" in capsys.readouterr().err
