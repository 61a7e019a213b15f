"""Files of data that are damaged or missing: named in one line, before the start with --verify, otherwise when they are read."""

import functools
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from zoo import data
from zoo.data import limits, memory
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
def test_a_damaged_picture_is_named(pictures, damage, reason, monkeypatch):
    source = data.open_source(f"folder:{pictures}", keys=("picture",))
    data.check_files(source.name, source.find_damage)
    monkeypatch.setattr(limits, "MEMORY_BYTES", 0)  # read in every epoch
    crops = source.with_crops(40.0, crop)
    fresh = data.open_source(f"folder:{pictures}", keys=("picture",))
    damage(pictures / "3.jpg")
    with (
        pytest.raises(UserError, match=rf"3\.jpg \(.*{reason}.*repair or remove it; go on"),
        data.explain_read_errors(source.name, source.find_damage, "; go on"),
    ):
        list(crops.batches(2).take(5))
    monkeypatch.undo()
    for read in (source.load_examples, functools.partial(source.with_crops, 8.0, crop), functools.partial(fresh.in_memory, "train")):
        with pytest.raises(UserError, match=rf"3\.jpg \(.*{reason}"):
            read()
    damage(pictures / "4.jpg")
    with pytest.raises(UserError, match=rf"2 damaged or missing: .*3\.jpg \(.*{reason}.*, .*4\.jpg \(.*{reason}"):
        data.check_files(source.name, source.find_damage)


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


# -- memory ---------------------------------------------------------------------------------------------------------------------------


def test_a_folder_that_does_not_fit_in_memory_is_refused(pictures, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 400_000)
    assert data.open_source(f"folder:{pictures}", None, (40, 40, 3)).sizes == {"train": 6}
    with pytest.raises(UserError) as raised:
        data.open_source(f"folder:{pictures}", None, (80, 80, 3))
    assert f"reading the 6 pictures in {pictures} at 80x80x3 takes 691,200 bytes of memory, and 400,000 are available" in str(raised.value)
    monkeypatch.setattr(memory, "available_memory", lambda: None)  # unknown
    assert data.open_source(f"folder:{pictures}", None, (80, 80, 3)).sizes == {"train": 6}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    "files, expected",
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    8 kB\n"}, 8192),
        ({"proc/self/cgroup": "0::/a/b\n", "g/a/memory.max": "1000\n", "g/a/memory.current": "900\n"}, 100),
        ({"proc/self/cgroup": "0::/\n", "g/memory.max": "1000", "g/memory.current": "900", "g/memory.stat": "inactive_file 50\n"}, 150),
        ({"proc/self/cgroup": "0::/a\n", "g/a/memory.max": "max\n", "g/a/memory.current": "900\n"}, None),
        ({"proc/self/cgroup": "4:cpu,memory:/a\n", "g/memory/a/memory.limit_in_bytes": "70", "g/memory/a/memory.usage_in_bytes": "60"}, 10),
    ],
)
def test_available_memory(files, expected, tmp_path, monkeypatch):
    for name, text in files.items():
        write(tmp_path / name, text)
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "g")
    assert memory.available_memory() == expected
