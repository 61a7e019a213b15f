"""What holds for all commands: words, messages, the terminal."""

import contextlib
import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import ROOT

from zoo.cli import parsing
from zoo.cli.generate import Generate
from zoo.cli.options import TrainOptions
from zoo.errors import UserError, shorten


def parse(*argv):
    return parsing.parse(Generate, ["run", *argv], "zoo generate", None)


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--count", "3", "--count", "4"], "--count is given 2 times; give it once"),
        (["--count=3", "--count", "4"], "--count is given 2 times"),
        (["--label", "3", "--label", "4"], "--label is given 2 times"),
        (["--out", ""], "--out is empty"),
        (["--out="], "--out is empty"),
        ([""], "an argument is empty"),
        (["--out", "a\0b"], "--out 'a.x00b': a path has no NUL"),
        (["--out", "x" * 5000], "--out 'xxx.*at most 4,095 bytes"),
        (["--out=folder/" + "ä" * 200 + ".png"], "each name in it 255"),
    ],
)
def test_words_are_checked_for_all_options(argv, message):
    with pytest.raises(UserError, match=message) as error:
        parse(*argv)
    assert len(str(error.value)) < 200


def test_other_words_are_parsed():
    assert parse("--label", "3", "4", "--seed", "-1", "--out", "x" * 255) == Generate(
        run=parse().run, label=("3", "4"), seed=-1, out=type(parse().out)("x" * 255)
    )


def test_a_switch_and_its_negation_are_one_option():
    with pytest.raises(UserError, match="--profile is given 2 times"):
        parsing.parse(TrainOptions, ["--profile", "--no-profile"], "train.py", None)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize(
    "argv, start",
    [
        (["--cuont", "3"], "unknown option --cuont; did you mean --count? All options: zoo generate --help"),
        (["--foo=3"], "unknown option --foo; all options: zoo generate --help"),
        (["more"], "unexpected argument 'more'; all options: zoo generate --help"),
        (["--count"], "--count needs a value; all options: zoo generate --help"),
        (["--count", "x"], "--count: expected an integer, got 'x' (number of images); all options: zoo generate --help"),
        (["--truncation", "x"], "--truncation: expected a number, got 'x' (truncation threshold of the latent vectors in "),
        (["--label"], "--label: needs at least one value (classes to cycle through"),
    ],
)
def test_messages_are_plain_sentences(monkeypatch, encoding, argv, start):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    with pytest.raises(UserError) as error:
        parse(*argv)
    text = str(error.value)
    assert text.startswith(start)
    assert not {"---", "─", "│"} & {part for part in ("---", "─", "│") if part in text}


@pytest.mark.parametrize("field", ["data", "data_dir", "run_dir", "resume", "init_from", "feature_extractor", "best"])
@pytest.mark.parametrize("value", ["", "a\0b", "x" * 5000], ids=["empty", "NUL", "long"])
def test_options_in_python_are_checked_as_well(field, value):
    with pytest.raises(UserError, match=f"^--{field.replace('_', '-')} "):
        TrainOptions(**{field: value}).validate()


@pytest.mark.parametrize("field, value", [("eval_samples", 10**9), ("eval_samples", -1), ("examples", 0), ("steps_per_execution", 10**9)])
def test_numbers_of_options_have_bounds(field, value):
    with pytest.raises(UserError, match=f"^--{field.replace('_', '-')} {value}: must be from [01] to 10,000,000"):
        TrainOptions(**{field: value}).validate()


def test_characters_that_the_output_lacks_are_escaped(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit) as stop:
        parsing.run(lambda: print("1 ± 2 \udcff"), "zoo")
    assert not stop.value.code and stream.buffer.getvalue() == b"1 \\xb1 2 \\udcff\n"


@pytest.mark.parametrize(
    "name, columns, fits", [("a.png", None, False), ("a.png", 10, True), ("folder", 10**7, True), ("a.png", 10**7, False)]
)
def test_a_grid_fits_into_memory(name, columns, fits):
    count = 10**6 if columns is None else 100
    command = Generate(run=Path("run"), out=Path(name), count=count, columns=columns)
    modality = SimpleNamespace(sample_shape=lambda config: (32, 32, 3))
    with contextlib.nullcontext() if fits else pytest.raises(UserError, match="a grid of .* cells is too large for one file"):
        command._check_size(SimpleNamespace(modality=modality, config=None))


@pytest.mark.parametrize("option", ["count", "columns"])
@pytest.mark.parametrize("value", [0, 10**9])
def test_numbers_of_images_have_bounds(option, value):
    with pytest.raises(UserError, match=f"^--{option} {value}: must be from 1 to 10,000,000"):
        Generate(**{"run": Path("run"), option: value})()


class BrokenOutput(io.StringIO):
    """A stdout that fails when its buffer is written, as a full disk or a closed pipe does."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def flush(self):
        raise OSError(self.number, os.strerror(self.number))

    def fileno(self):
        raise OSError("no descriptor")


@pytest.mark.parametrize(
    "number, status, message",
    [
        (errno.ENOSPC, 1, "zoo: error: standard output: No space left on device\n"),
        (errno.EIO, 1, "zoo: error: standard output: Input/output error\n"),
        (errno.EPIPE, 128 + signal.SIGPIPE, ""),
    ],
)
def test_output_that_cannot_be_written(monkeypatch, capsys, number, status, message):
    monkeypatch.setattr(sys, "stdout", BrokenOutput(number))
    with pytest.raises(SystemExit) as stop:
        parsing.run(lambda: 0, "zoo")
    assert stop.value.code == status and capsys.readouterr().err == message


@pytest.mark.parametrize(
    "error, status, message",
    [
        (OSError(errno.ENAMETOOLONG, "File name too long", "xx"), 2, "zoo: error: xx: File name too long\n"),
        (MemoryError("Unable to allocate 1 PiB"), 1, "zoo: error: out of memory (Unable to allocate 1 PiB); use smaller values\n"),
    ],
)
def test_limits_of_the_system_are_one_line(capsys, error, status, message):
    def fail():
        raise error

    with pytest.raises(SystemExit) as stop:
        parsing.run(fail, "zoo")
    assert stop.value.code == status and capsys.readouterr().err == message


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
@pytest.mark.parametrize("redirection, status", [("> /dev/full", 1), (">&- 2>&-", 0)])
def test_closed_and_full_outputs_of_a_process(redirection, status):
    command = f"{sys.executable} -m zoo --help {redirection}"
    process = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert process.returncode == status and len(process.stderr.splitlines()) == bool(status), process.stderr


def test_long_values_are_shortened():
    assert shorten([1] * 1000).endswith("...") and len(shorten([1] * 1000)) == 60
    assert shorten(10**5000) == "an integer of 16610 bits" and shorten("a\nb") == r"'a\nb'"
