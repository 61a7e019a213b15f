"""Files of data that are damaged or missing: named in one line, before the start with --verify, otherwise when they are read."""

import functools
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from zoo import data
from zoo.data import limits
from zoo.data.damage import describe_read_error
from zoo.errors import UserError


@pytest.fixture
def pictures(tmp_path):
    """A folder of six pictures of any size."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(6):
        Image.fromarray(np.random.RandomState(i).randint(0, 256, (40, 50 + i, 3), np.uint8)).save(folder / f"{i}.jpg")
    return folder


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def crop(example, seed, training):
    return {"image": example["picture"][:8, :8]}


@pytest.mark.parametrize("damage, reason", [(truncate, "truncated"), (lambda path: path.unlink(), "No such file")])
def test_damaged_pictures_are_named_before_training(pictures, damage, reason, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(limits, "MEMORY_BYTES", 0)  # decoded into files
    source = data.open_source(f"folder:{pictures}", keys=("picture",))
    data.check_files(source.name, source.find_damage)
    for name in ("3.jpg", "4.jpg"):
        damage(pictures / name)
    named = rf"3\.jpg \(.*{reason}.*\), .*4\.jpg \(.*{reason}"
    for read in (source.load_examples, functools.partial(source.with_crops, 8.0, crop), functools.partial(source.batches, 2)):
        with pytest.raises(UserError, match=f"2 of 6 pictures cannot be used: .*{named}"):
            read()
    assert not list(tmp_path.rglob(".writing-*")) and not list(tmp_path.rglob("arrays.json"))
    with pytest.raises(UserError, match=f"2 damaged or missing: .*{named}"):
        data.check_files(source.name, source.find_damage)


def test_pictures_that_are_decoded_are_not_needed_again(pictures, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(limits, "MEMORY_BYTES", 0)
    source = data.open_source(f"folder:{pictures}", image_shape=(8, 8, 3))
    images = np.array(source.arrays()["image"])
    monkeypatch.setattr("zoo.data.image_files.open_upright", lambda *args: pytest.fail("decoded again"))
    again = data.open_source(f"folder:{pictures}", image_shape=(8, 8, 3))
    np.testing.assert_array_equal(again.arrays()["image"], images)
    (file,) = (tmp_path / "cache").rglob("image.bin")
    truncate(file)  # by a full disk, for example
    monkeypatch.undo()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(limits, "MEMORY_BYTES", 0)
    np.testing.assert_array_equal(data.open_source(f"folder:{pictures}", image_shape=(8, 8, 3)).arrays()["image"], images)
    assert data.clear_cache() > images.nbytes and not list((tmp_path / "cache").rglob("*.bin"))


def test_a_cache_that_does_not_fit_is_refused(pictures, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(limits, "MEMORY_BYTES", 0)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match=r"decoding 6 pictures in .* takes 1,152 bytes in .*, and 1,000 are free; .*zoo data --clear"):
        data.open_source(f"folder:{pictures}", image_shape=(8, 8, 3)).arrays()


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of TFDS with prepared data; not to be changed."""
    folder = tmp_path_factory.mktemp("tfds")
    data.open_source("photographs", folder, keys=("picture",))
    return folder


@pytest.mark.parametrize("damage", [truncate, flip, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_damaged_shard_of_tfds_is_named(damage, photographs, tmp_path):
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    source = data.open_source("photographs", tmp_path, keys=("picture",))
    data.check_files(source.name, source.find_damage)
    (shard,) = (tmp_path / "photographs" / "1.0.0").glob("*-test.*")
    damage(shard)
    with pytest.raises(UserError, match=f"photographs cannot be read: {shard} "):
        source.load_examples("test")
    assert len(source.load_examples("train")["picture"]) == 4
    with pytest.raises(UserError, match=f"photographs: 1 damaged or missing: {shard} "):
        data.check_files(source.name, source.find_damage)


@pytest.mark.parametrize(
    "old, new", [("{SPLIT}", "{SPMIT}"), ('"shardLengths": [', '"shardLengths": ["0",'), ('"2"', '"-2"'), ("splits", "splat")]
)
def test_damaged_metadata_of_tfds_are_one_line(old, new, photographs, tmp_path):
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    info = tmp_path / "photographs" / "1.0.0" / "dataset_info.json"
    text = info.read_text()
    assert old in text
    info.write_text(text.replace(old, new))
    with pytest.raises(UserError):
        data.open_source("photographs", tmp_path, keys=("picture",)).load_examples("test")


@pytest.mark.parametrize("error", [tf.errors.InvalidArgumentError, tf.errors.ResourceExhaustedError])
def test_errors_that_no_file_causes_are_not_changed(error):
    with pytest.raises(error), data.explain_read_errors("n", lambda: iter(())):
        raise error(None, None, "a bug")
    with pytest.raises(error), data.explain_read_errors("n", None):
        raise error(None, None, "a bug")


def test_the_reason_has_no_names_of_nodes():
    error = tf.errors.DataLossError(
        None, None, "{{function_node __wrapped__IteratorGetNext}} corrupted record at 57 [Op:IteratorGetNext] name: "
    )
    assert describe_read_error(error) == "corrupted record at 57"
