"""What the tests of the command line share: small training runs, and the message after a mistake."""

import functools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from zoo.cli import parsing, train

ROOT = Path(__file__).parents[2]
SMALL = ["--generator-units", "8", "--discriminator-units", "4", "--maxout-pieces", "2", "--latent-dim", "4", "--batch-size", "16"]
UNSCORED = ["--eval-samples", "0"]
SCORED_GAN = ["--model", "gan", *SMALL, "--steps", "6", "--eval-every", "4"]
GAN = [*SCORED_GAN, *UNSCORED]
SCORED_ACGAN = ["--model", "acgan", "--generator-widths", "8", "4", "--discriminator-widths", "4", "8", "--batch-size", "16"]
ACGAN = [*SCORED_ACGAN, *UNSCORED]


def read_error(capsys, argv, main=train.main, status=2):
    """The one line that is printed for a mistake; checks the exit status."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        parsing.run(lambda: main(argv), "train.py")
    stderr = capsys.readouterr().err
    assert stop.value.code == status
    lines = stderr.strip().splitlines()
    assert lines[-1].startswith("train.py: error: ") and sum("error:" in line for line in lines) == 1, stderr
    return lines[-1]


def list_files(folder="."):
    return sorted(str(path) for path in Path(folder).rglob("*"))


def start(argv, **kwargs):
    """`python train.py` in a process of its own."""
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.Popen([sys.executable, str(ROOT / "train.py"), *argv], env=env, stderr=subprocess.PIPE, text=True, **kwargs)


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@functools.cache
def small_gan():
    """The folder of six steps of a small GAN, evaluated after four; not to be changed."""
    folder = Path(tempfile.mkdtemp()) / "complete"
    assert train.main([*GAN, "--run-dir", str(folder)]) == 0
    return folder


@functools.cache
def small_acgan():
    """The folder of six steps of a small ACGAN, in the first folder below runs/; its export folder may grow."""
    previous = Path.cwd()
    os.chdir(tempfile.mkdtemp())
    try:
        assert train.main([*ACGAN, "--steps", "6", "--eval-every", "4", "--profile"]) == 0
        return Path("runs/acgan-digits-0001").resolve()
    finally:
        os.chdir(previous)


@functools.cache
def scored_acgan():
    """The folder of twelve steps of a small ACGAN, scored every four, whose best checkpoint is by recall."""
    folder = Path(tempfile.mkdtemp()) / "run"
    argv = [*SCORED_ACGAN, "--steps", "12", "--eval-every", "4", "--eval-samples", "40", "--best", "recall", "--run-dir", str(folder)]
    assert train.main(argv) == 0
    return folder
