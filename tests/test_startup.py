"""The benchmark of the first minute: what it writes. Nothing is timed here."""

import json

import pytest
from conftest import import_benchmark

from zoo.errors import UserError


@pytest.fixture(scope="module")
def startup():
    return import_benchmark("startup")


def test_the_parts_of_the_first_minute_add_up(startup, tmp_path, capsys):
    assert startup.main(["--models", "gan", "--data", "digits", "--rows", str(tmp_path / "startup.jsonl")]) == 0
    (measured,) = map(json.loads, (tmp_path / "startup.jsonl").open())
    assert all(measured[part] > 0 for part in startup.PARTS) and 100 < measured["operations"] < 3000
    line = next(line for line in (tmp_path / "startup.md").read_text().splitlines() if line.startswith("| gan | digits |"))
    assert line in capsys.readouterr().out
    *parts, total = map(float, line.split(" | ")[2:9])
    assert total == pytest.approx(sum(parts), abs=0.4), "each is rounded to a tenth"


def test_a_model_that_does_not_exist_is_refused(startup, capfd):
    with pytest.raises(UserError, match="measuring stylegan failed with status 2"):
        startup.main(["--models", "stylegan"])
    assert "stylegan" in capfd.readouterr().err
