"""Private folders in the temporary folder, and the folder for what is derived from data."""

import os
from pathlib import Path

import pytest

from zoo.data.paths import default_data_dir, find_cache_dir, private_temporary_folder
from zoo.errors import UserError


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    return tmp_path


def test_a_private_folder_can_be_accessed_by_its_user_only(temporary):
    folder = Path(private_temporary_folder("zoo-data"))
    assert folder == temporary / f"zoo-data-{os.getuid()}" and folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    assert private_temporary_folder("zoo-data") == str(folder) and folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_another_user_is_refused(temporary, monkeypatch):
    private_temporary_folder("zoo-data")
    user = os.getuid()
    (temporary / f"zoo-data-{user}").rename(temporary / f"zoo-data-{user + 1}")
    monkeypatch.setattr("os.getuid", lambda: user + 1)
    with pytest.raises(UserError, match="is not a folder owned by the current user; remove it, or set TMPDIR"):
        private_temporary_folder("zoo-data")


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_what_is_no_folder_is_refused(temporary, kind):
    path = temporary / f"zoo-data-{os.getuid()}"
    if kind == "file":
        path.touch()
    else:
        target = temporary / "target"
        if kind == "link":
            target.mkdir(mode=0o755)
        path.symlink_to(target)
    with pytest.raises(UserError, match="is not a folder owned by the current user"):
        private_temporary_folder("zoo-data")
    assert kind != "link" or (temporary / "target").stat().st_mode & 0o777 == 0o755


def test_a_folder_that_cannot_be_created_is_one_line(temporary, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(temporary / "missing"))
    with pytest.raises(UserError, match=r"zoo-data-\d+ cannot be created .*; set TMPDIR to a folder that is writable"):
        private_temporary_folder("zoo-data")


def test_the_cache_is_next_to_the_data_if_that_is_writable(temporary, monkeypatch):
    assert find_cache_dir("gs://bucket", str(temporary / "new" / "data")) == str(temporary / "new" / "data" / "zoo_extractors")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    folder = find_cache_dir(str(temporary))
    assert folder == str(temporary / f"zoo-extractors-{os.getuid()}") and os.stat(folder).st_mode & 0o777 == 0o700


def test_the_default_folder_is_that_of_tfds(monkeypatch):
    import tensorflow_datasets as tfds

    assert default_data_dir() == tfds.core.constants.get_default_data_dir()
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert default_data_dir() == tfds.core.constants.get_default_data_dir()
