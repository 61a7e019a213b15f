"""A short version of `benchmarks/torture.py`, which tries hundreds of kills, damaged files and bad inputs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(sys.platform != "linux", reason="faults are injected on Linux")
def test_nothing_goes_wrong(tmp_path):
    argv = ["--short", "--parts", "calls", "inputs", "--out", str(tmp_path / "table.json")]
    env = {name: value for name, value in os.environ.items() if name != "TFDS_DATA_DIR"}
    process = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "torture.py"), *argv], env=env, capture_output=True, text=True, timeout=900
    )
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert len(rows) == (2 if shutil.which("cc") else 1) and all(row["cases"] >= 3 for row in rows), process.stdout
    assert process.returncode == 0 and not any(row["wrong"] for row in rows), process.stdout
