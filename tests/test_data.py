"""Sources: what they hold, in which order they give it, and what is said of folders that need mending."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from conftest import number
from PIL import Image
from sklearn.datasets import load_digits

from zoo import data
from zoo.errors import UserError


@pytest.fixture(scope="module")
def digits():
    return data.open("digits")


def test_digits_are_scikit_learns(digits):
    assert digits.sizes == {"train": 1437, "test": 360} and digits.image_shape == (32, 32, 1) and digits.num_classes == 10
    arrays = {split: digits.arrays(split) for split in digits.sizes}
    labels = np.concatenate([a["label"] for a in arrays.values()])
    assert sorted(labels) == sorted(load_digits().target)
    small = arrays["test"]["image"][..., 0].mean((1, 2))
    assert 20 < small.mean() < 60 and arrays["train"]["image"].dtype == np.uint8
    assert arrays["train"]["image"][:, 0].max() == 0, "a margin"


def test_batches_are_normalised(digits):
    batch = next(iter(digits.batches(32)))
    assert set(batch) == {"image", "label"} and batch["image"].shape == (32, 32, 32, 1) and batch["label"].dtype == tf.int64
    assert float(tf.reduce_min(batch["image"])) == -1 and 0.9 < float(tf.reduce_max(batch["image"])) <= 1


def keys(batches, count):
    return [tuple(np.asarray(b["label"])) for b in batches.take(count)]


@pytest.fixture(params=["in memory", "from disk"])
def numbered(request, monkeypatch):
    """Thirty images; the label of each is its number."""
    keras.utils.set_random_seed(1)  # as train.py does
    if request.param == "from disk":
        monkeypatch.setattr(data.source, "IN_MEMORY", 0)
        monkeypatch.setattr(data.source, "WINDOW", 16)
    arrays = {"image": np.zeros((30, 8, 8, 1), np.uint8), "label": np.arange(30)}
    names = tuple(map(str, range(30)))
    return data.Source("n", "0", (8, 8, 1), {"train": 30}, names, lambda split: tf.data.Dataset.from_tensor_slices(arrays))


def test_an_epoch_holds_each_image_once_in_a_new_order(numbered):
    first, second = np.reshape(keys(numbered.batches(10, seed=1), 6), (2, 30))
    assert sorted(first) == sorted(second) == list(range(30))
    assert list(first) != list(second) and list(first) != list(range(30))


def test_large_images_are_shuffled_in_windows_that_fit_the_memory(monkeypatch):
    monkeypatch.setattr(data.source, "IN_MEMORY", 10 * 8 * 8)
    read = []
    arrays = {"image": np.zeros((30, 8, 8, 1), np.uint8), "label": np.arange(30)}

    def examples(split):
        return tf.data.Dataset.from_tensor_slices(arrays)

    found = data.Source("n", "0", (8, 8, 1), {"train": 30}, tuple(map(str, range(30))), examples)
    for batch in found.batches(5).take(6):
        read.extend(number(batch["label"]))
    assert sorted(read) == list(range(30)) and all(set(read[i : i + 10]) == set(range(i, i + 10)) for i in (0, 10, 20))
    assert read != list(range(30))


def test_a_batch_is_a_function_of_seed_and_number(numbered):
    whole = keys(numbered.batches(7, seed=1), 12)
    assert keys(numbered.batches(7, seed=1, start=5), 7) == whole[5:]
    assert keys(numbered.batches(7, seed=2), 12) != whole


def test_a_batch_larger_than_the_data_is_refused(numbered):
    with pytest.raises(UserError, match="takes 31 images .* and n has 30 in 'train'"):
        numbered.batches(31)


def test_resizing_keeps_the_middle_and_sets_channels():
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 10:30] = 200
    small = data.resized(tf.constant(image), (10, 10, 1)).numpy()
    assert small.shape == (10, 10, 1) and (small == 200).all()
    assert data.resized(tf.constant(image[..., :1]), (8, 16, 3)).shape == (8, 16, 3)
    white = tf.fill([31, 41, 1], tf.constant(255, tf.uint8))
    assert (data.resized(white, (28, 28, 1)).numpy() == 255).all(), "nothing is padded"


def test_any_tfds_image_data_set_that_is_prepared(tmp_path):
    class Shapes(tfds.core.GeneratorBasedBuilder):
        """Two kinds of blots, in two sizes."""

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
    source = data.open("shapes", tmp_path, (16, 16, 1))
    assert source.version == "1.2.3" and source.class_names == ("a", "b") and source.sizes == {"train": 6}
    arrays = source.arrays()
    assert arrays["image"].shape == (6, 16, 16, 1)
    assert {int(i.max()): int(k) for i, k in zip(arrays["image"], arrays["label"])} == {40 * i: i % 2 for i in range(6)}
    assert data.open("shapes", tmp_path).image_shape == (64, 64, 3)


def test_pictures_of_one_size_are_pictures_too():
    found = data.open("digits", needs=("picture",))
    assert found.keys == ("picture",) and found.some("test", 2)["picture"][0].shape == (32, 32, 1)


def picture(path, mode="RGB", size=(12, 12), color=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color if color is not None else 0).save(path)
    return path


def fetched(monkeypatch, folders):
    """TFDS as after a download: whatever it asks for is a folder of pictures here. folders: names of those that are looked into."""

    def extract(manager, urls):
        return tf.nest.map_structure(lambda url: str(folders(url)), urls)

    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", extract)
    monkeypatch.setattr(data, "_online", lambda: True)
    tfds.disable_progress_bar()


def test_two_domains_of_tfds_that_were_never_prepared(tmp_path, monkeypatch):
    draw = np.random.RandomState(0)
    for part, count, level in (("trainA", 5, 50), ("trainB", 4, 200), ("testA", 3, 50), ("testB", 2, 200)):
        folder = tmp_path / "zip" / "horse2zebra" / part
        folder.mkdir(parents=True)
        for i in range(count):
            Image.fromarray(np.uint8(level + draw.randint(0, 9, (40, 40, 3)))).save(folder / f"{i}.jpg")
    fetched(monkeypatch, lambda url: tmp_path / "zip")
    found = data.open("cycle_gan/horse2zebra", str(tmp_path / "tfds"), (32, 32, 3), ("x", "y"))
    assert found.keys == ("x", "y") and found.image_shape == (32, 32, 3) and found.class_names is None
    batch = next(iter(found.batches(4)))
    assert batch["x"].shape == (4, 32, 32, 3) and -0.7 < float(tf.reduce_mean(batch["x"])) < -0.5 < 0.5 < float(tf.reduce_mean(batch["y"]))
    held = found.some("test", 10)
    assert (len(held["x"]), len(held["y"])) == (3, 2)


def test_large_pictures_of_tfds_that_were_never_prepared(tmp_path, monkeypatch):
    draw = np.random.RandomState(0)
    for part, count in (("train", 3), ("valid", 2)):
        for side, scale in (("HR", 1), ("LR_bicubic", 4)):
            folder = tmp_path / part / side / f"DIV2K_{part}_{side}"
            folder.mkdir(parents=True)
            for i in range(count):
                name = f"000{i}.png" if scale == 1 else f"000{i}x4.png"
                Image.fromarray(draw.randint(0, 256, (80 // scale, (96 + 8 * i) // scale, 3)).astype(np.uint8)).save(folder / name)
    fetched(monkeypatch, lambda url: tmp_path / ("train" if "train" in url else "valid") / ("HR" if "HR" in url else "LR_bicubic"))
    found = data.open("div2k/bicubic_x4", str(tmp_path / "tfds"), None, ("picture",))
    assert found.keys == ("picture",) and found.sizes == {"train": 3, "test": 2} and found.image_shape == (None, None, 3)
    assert sorted(picture.shape for picture in found.some("test", 2)["picture"]) == [(80, 96, 3), (80, 104, 3)]


def test_labels_that_a_test_split_keeps_secret(tmp_path):
    class Contest(tfds.core.GeneratorBasedBuilder):
        """As imagenet2012: who tests on it must not know."""

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
    source = data.open("contest", tmp_path)
    assert source.sizes == {"train": 6, "test": 4} and set(source.arrays("test")["label"]) == {0, 1}


def test_flat_folder(tmp_path, capsys):
    for i in range(3):
        picture(tmp_path / f"{i}.png", color=(i, 0, 0))
    (tmp_path / "notes.txt").write_text("no picture")
    source = data.open(f"folder:{tmp_path}")
    assert source.keys == ("image",) and source.image_shape == (12, 12, 3) and source.sizes == {"train": 3}
    assert sorted(source.arrays()["image"][:, 0, 0, 0]) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_plain_pictures_of_sixteen_pixels_need_no_warning(tmp_path, capsys):
    for mode in ("L", "RGB"):
        picture(tmp_path / f"{mode}.png", mode, (16, 16))
    data.open(f"folder:{tmp_path}")
    assert capsys.readouterr().err == ""


def test_a_folder_without_its_prefix_is_told(tmp_path):
    with pytest.raises(UserError, match="is a path, .* --data folder:"):
        data.open(str(tmp_path))


def test_class_folders_of_grey_pictures(tmp_path):
    for i, name in enumerate(["cat", "dog", "dog"]):
        picture(tmp_path / name / f"{i}.png", "L", color=50 + i)
    source = data.open(f"folder:{tmp_path}")
    assert source.class_names == ("cat", "dog") and source.image_shape == (12, 12, 1)
    arrays = source.arrays()
    assert list(arrays["label"]) == [0, 1, 1] and list(arrays["image"][:, 0, 0, 0]) == [50, 51, 52]


def test_pictures_that_can_be_converted_are_counted_in_one_line(tmp_path, capsys):
    picture(tmp_path / "rgba.png", "RGBA", color=(255, 0, 0, 0))
    picture(tmp_path / "deep.png", "I;16", color=65535)
    picture(tmp_path / "palette.png", "P")
    picture(tmp_path / "bits.png", "1")
    picture(tmp_path / "plain.png", size=(30, 20))
    source = data.open(f"folder:{tmp_path}")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for part in ("1 with transparency", "1 with 16 or more bits", "1 with a palette", "1 in mode 1", "5 of 2 different sizes"):
        assert part in said
    assert source.image_shape == (64, 64, 3)
    images = dict(zip(["bits", "deep", "palette", "plain", "rgba"], source.arrays()["image"]))
    assert images["rgba"].min() == 255, "transparency is put on white"
    assert images["deep"].min() == 255, "16 bits are scaled, not cut off"


def test_pictures_that_cannot_be_used_are_named(tmp_path):
    picture(tmp_path / "good.png")
    picture(tmp_path / "dot.png", size=(1, 1))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no more")
    cut = picture(tmp_path / "cut.jpg", size=(200, 200))
    cut.write_bytes(cut.read_bytes()[:300])
    with pytest.raises(UserError) as error:
        data.open(f"folder:{tmp_path}")
    for part in ("3 of 4 pictures", "broken.png (not a picture)", "cut.jpg", "dot.png (1x1 pixels)"):
        assert part in str(error.value)


def test_a_picture_is_turned_as_its_camera_was(tmp_path):
    image = Image.new("RGB", (40, 20))
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter turn
    image.save(tmp_path / "a.jpg", exif=exif)
    assert data.open(f"folder:{tmp_path}").image_shape == (40, 20, 3)


def test_the_version_of_a_folder_changes_with_its_files(tmp_path):
    picture(tmp_path / "a.png")
    first = data.open(f"folder:{tmp_path}").version
    assert data.open(f"folder:{tmp_path}").version == first
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    assert data.open(f"folder:{tmp_path}").version != first


def test_folder_resized_on_request(tmp_path):
    picture(tmp_path / "a.png", size=(40, 20), color=(7, 7, 7))
    assert data.open(f"folder:{tmp_path}", image_shape=(16, 16, 1)).arrays()["image"].shape == (1, 16, 16, 1)


def test_few_images_of_a_source_are_balanced_and_a_function_of_the_seed():
    digits = data.open("digits")
    few = digits.few(100)
    assert few.sizes == {"train": 100, "test": 360}
    arrays = few.arrays("train")
    assert np.bincount(arrays["label"]).tolist() == [10] * 10
    np.testing.assert_array_equal(arrays["image"], digits.few(100).arrays("train")["image"])
    assert not np.array_equal(arrays["image"], digits.few(100, seed=1).arrays("train")["image"])
    np.testing.assert_array_equal(few.arrays("test")["image"], digits.arrays("test")["image"])
    without = dataclasses.replace(digits, class_names=None, examples=lambda split: digits.examples(split), _held={})
    assert without.few(7).arrays("train")["image"].shape == (7, *digits.image_shape)
    for count in (0, 1438):
        with pytest.raises(UserError, match=f"--examples {count}: digits has 1437 training images; give at least 1"):
            digits.few(count)


# -- layouts of images that belong to others ------------------------------------------------------------------------------------------


def test_outlines_belong_together_where_they_are_tested():
    source = data.open("outlines", needs=("x", "y"))
    held, digits = source.some("test", 5), data.open("digits")
    assert set(held) == {"x", "y", "pair", "label_x", "label_y"} and source.keys == ("x", "y")
    where = [np.flatnonzero((digits.arrays("test")["image"] == image).all((1, 2, 3)))[0] for image in held["y"]]
    assert (digits.arrays("test")["label"][where] == held["label_y"]).all() and (held["label_x"] == held["label_y"]).all()
    inside = (held["x"] > 128).sum((1, 2, 3)) / (held["y"] > 128).sum((1, 2, 3))
    assert (inside > 0.15).all() and (inside < 1).all(), "an edge"
    trained = [set(map(bytes, part.arrays("train")["image"])) for part in (source.x, source.y)]
    assert source.some("train", 3).keys() == {"x", "y", "label_x", "label_y"} and len(trained[0]) > 700 and len(trained[1]) > 700
    pairs = data.open("outline_pairs", needs=("x", "y", "pair")).arrays("train")
    drawn = {bytes(x): bytes(y) for x, y in zip(pairs["x"], pairs["y"])}
    assert not {drawn[x] for x in trained[0]} & trained[1], "of other digits"


def test_the_network_that_reads_two_domains_learns_both():
    both = data.open("outlines", needs=("x", "y")).pictures()
    assert both.sizes == {"train": 1437, "test": 720} and both.class_names == data.open("digits").class_names
    assert both.arrays("train")["image"].shape == (1437, 32, 32, 1)


def test_two_domains_in_folders(tmp_path):
    for part, count in (("trainA", 3), ("trainB", 2), ("testA", 1), ("testB", 1)):
        for i in range(count):
            picture(tmp_path / part / f"{i}.png", color=(i + 1, 0, 100 * (part[-1] == "B")))
    source = data.open(f"folder:{tmp_path}", needs=("x", "y"))
    assert source.sizes == {"train": 2, "test": 1} and source.image_shape == (12, 12, 3)
    batch = next(iter(source.batches(2)))
    assert float(tf.reduce_max(batch["x"][..., 2])) == -1 and float(tf.reduce_min(batch["y"][..., 2])) > -1
    assert "pair" not in source.some("test", 1)
    assert sorted(source.pictures().arrays("train")["label"]) == [0, 0, 0, 1, 1], "without classes the domain is what there is to tell"


def test_two_domains_that_cannot_be_used(tmp_path):
    picture(tmp_path / "trainA" / "a.png")
    with pytest.raises(UserError, match="no pictures in .*trainB; two domains are trainA trainB"):
        data.open(f"folder:{tmp_path}", needs=("x", "y"))
    picture(tmp_path / "trainB" / "a.png", "L")
    with pytest.raises(UserError, match="domain B in .* are grey and the others are not; --image-shape HEIGHT WIDTH 3"):
        data.open(f"folder:{tmp_path}", needs=("x", "y"))
    assert data.open(f"folder:{tmp_path}", image_shape=(16, 16, 3), needs=("x", "y")).image_shape == (16, 16, 3)


def test_pairs_side_by_side(tmp_path, capsys):
    for split, count in (("train", 3), ("val", 2)):
        for i in range(count):
            both = Image.new("RGB", (24, 12), (10, 0, 0))
            both.paste((200, 0, i), (12, 0, 24, 12))
            (tmp_path / split).mkdir(exist_ok=True)
            both.save(tmp_path / split / f"{i}.png")
    source = data.open(f"folder:{tmp_path}", needs=("x", "y", "pair"))
    assert source.sizes == {"train": 3, "test": 2} and source.image_shape == (12, 12, 3)
    arrays = source.arrays("train")
    assert (arrays["x"][..., 0] == 10).all() and (arrays["y"][..., 0] == 200).all()
    assert (arrays["y"][:, 0, 0, 2] == arrays["pair"]).all()
    assert "side by side?" not in capsys.readouterr().err
    picture(tmp_path / "flat" / "high.png", size=(12, 12))
    data.open(f"folder:{tmp_path / 'flat'}", needs=("x", "y", "pair"))
    assert "1 not wider than high, halved all the same (high.png: 6x12): are they pairs, side by side?" in capsys.readouterr().err
    picture(tmp_path / "train" / "odd.png", size=(25, 12))
    with pytest.raises(UserError, match=r"odd.png \(25x12: halves of different sizes\)"):
        data.open(f"folder:{tmp_path}", needs=("x", "y", "pair"))


def test_identities_and_poses(tmp_path, capsys):
    for who in ("anna", "bert"):
        for pose in ("left", "right-2", "right_1", "front.a"):
            picture(tmp_path / who / f"{pose}.png")
    source = data.open(f"folder:{tmp_path}", needs=("image", "label", "pose"))
    assert source.pose_names == ("front", "left", "right") and source.class_names == ("anna", "bert")
    assert sorted(source.arrays("train")["pose"]) == [0, 0, 1, 1, 2, 2, 2, 2]
    assert "warning" not in capsys.readouterr().err
    for who in ("carl", "dora"):
        for i in range(4):
            picture(tmp_path / who / f"{who}{i}.png")
    data.open(f"folder:{tmp_path}", needs=("image", "label", "pose"))
    assert "warning: 8 of 11 poses" in capsys.readouterr().err
    for who in ("carl", "dora"):
        shutil.rmtree(tmp_path / who)
    for file in (tmp_path / "bert").iterdir():
        if not file.name.startswith("left"):
            file.unlink()
    with pytest.raises(UserError, match="bert has pictures of one pose only; .* there are: front, left, right"):
        data.open(f"folder:{tmp_path}", needs=("image", "label", "pose"))
    picture(tmp_path / "bert" / "_.png")
    with pytest.raises(UserError, match="_.png does not begin with a pose"):
        data.open(f"folder:{tmp_path}", needs=("image", "label", "pose"))
    with pytest.raises(UserError, match="no folders of identities"):
        data.open(f"folder:{tmp_path / 'anna'}", needs=("image", "label", "pose"))
    (tmp_path / "emil").mkdir()
    with pytest.raises(UserError, match="no pictures in .*emil; each identity has a folder of its own"):
        data.open(f"folder:{tmp_path}", needs=("image", "label", "pose"))


def test_poses_are_in_the_order_of_their_numbers(tmp_path):
    for who in "ab":
        for pose in (2, 10, 1):
            picture(tmp_path / who / f"pose{pose}.png", "L", color=pose)
    arrays = data.open(f"folder:{tmp_path}", needs=("image", "label", "pose")).arrays("train")
    assert {int(image.max()): int(pose) for image, pose in zip(arrays["image"], arrays["pose"])} == {1: 0, 2: 1, 10: 2}


def test_pictures_of_any_size_are_cut(tmp_path, monkeypatch):
    for i, size in enumerate([(20, 30), (40, 24), (22, 22)]):
        picture(tmp_path / f"{i}.png", size=size, color=(i + 1, i + 1, i + 1))

    def corner(example, seed, training):
        return {"high": tf.image.stateless_random_crop(example["picture"], (8, 8, 3), seed)}

    whole = data.open(f"folder:{tmp_path}", needs=("picture",))
    assert whole.image_shape == (None, None, 3) and [p.shape for p in whole.some()["picture"]] == [(30, 20, 3), (24, 40, 3), (22, 22, 3)]
    taken = {}
    for held in (True, False):
        if not held:
            monkeypatch.setattr(data.source, "IN_MEMORY", 0)
            monkeypatch.setattr(data.source, "WINDOW", 4)
        source = data.open(f"folder:{tmp_path}", needs=("picture",)).cuts(8, corner)
        assert source.sizes == {"train": 3 * 9} and source.in_memory("train") == held, "600 pixels over 64 are 9"
        batches = [b["high"].numpy() for b in source.batches(9, seed=1).take(6)]
        values = np.rint((np.stack(batches)[..., 0, 0, 0] + 1) * 127.5)
        assert values.shape == (6, 9) and sorted(np.bincount(values[:3].astype(int).ravel())) == [0, 9, 9, 9]
        again = next(iter(source.batches(9, seed=1, start=4)))["high"]
        np.testing.assert_array_equal(again, batches[4])
        taken[held] = values
    assert not np.array_equal(taken[True][:3], taken[True][3:])
    assert all(len(set(batch)) == 3 for batch in taken[False])  # crops of one picture do not come in a row


def test_a_model_that_needs_more_than_there_is_is_told_what_has_it():
    for name, needs, offer in [
        ("digits", ("x", "y"), "use data of two domains"),
        ("outlines", ("x", "y", "pair"), "use data in pairs"),
        ("outlines", ("picture",), "use pictures of any size"),
        ("digits", ("image", "label", "pose"), "use data with identities and poses"),
        ("outlines", ("image",), "outlines has only x and y; use data of single images"),
    ]:
        with pytest.raises(UserError, match=offer):
            data.open(name, needs=needs)


def test_identities_are_held_out_whole():
    source = data.open("turned_digits", needs=("image", "label", "pose"))
    assert source.pose_names == ("-60", "-45", "-30", "-15", "0", "15", "30", "45", "60") and source.num_classes == 200
    parted = source.split_by_label(60, seed=3)
    train, test = parted.arrays("train"), parted.arrays("test")
    assert parted.sizes == {"train": 140 * 9, "test": 60 * 9}
    assert set(train["label"]) == set(range(140)) and set(test["label"]) == set(range(140, 200))
    names = {bytes(image): source.class_names[label] for image, label in zip(*map(source.arrays("train").get, ("image", "label")))}
    assert all(names[bytes(image)] == parted.class_names[label] for image, label in zip(test["image"], test["label"]))
    assert parted.class_names != source.split_by_label(60, seed=4).class_names
    some = parted.some("test", 100)  # whole identities, the last one but for its last poses
    assert all(pose[0] == 0 for pose in (some["pose"][some["label"] == label] for label in set(some["label"])))
    assert sorted(np.bincount(some["label"])[140:])[-12:] == [1] + [9] * 11
    assert set(some["label"]) != set(parted.some("test", 100, seed=1)["label"])


def test_photographs_are_parted_by_columns():
    source = data.open("photographs", needs=("picture",))
    shapes = {split: sorted(picture.shape for picture in source.some(split)["picture"]) for split in source.sizes}
    assert shapes == {"train": [(427, 100, 3)] * 2 + [(427, 380, 3)] * 2, "test": [(427, 160, 3)] * 2}
