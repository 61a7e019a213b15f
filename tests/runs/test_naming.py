"""Whether a run's folder can be made is checked without making it."""

import pytest

from zoo.errors import UserError
from zoo.runs import Run


def test_a_folder_that_can_be_made_is_not_made(working_directory):
    (working_directory / "empty").mkdir()
    for folder in (None, "new", "a/b/c", "empty"):
        Run.check_free(folder)
    assert [path.name for path in working_directory.rglob("*")] == ["empty"]


def test_a_folder_that_cannot_be_made(working_directory):
    (working_directory / "file").touch()
    for folder in ("file/run", "/proc/run", "/proc/a/b"):
        with pytest.raises(UserError, match=f"^cannot create the run's folder: .*{folder}.*--run-dir"):
            Run.check_free(folder)
