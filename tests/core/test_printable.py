"""Text from outside: what a terminal would interpret is escaped, in errors, names and records."""

import contextlib
import io
import json
import os
import sys

import pytest
from matplotlib.figure import Figure
from PIL import Image

from zoo import data
from zoo.cli import parsing
from zoo.errors import UserError, figure_text, printable, printable_values
from zoo.runs import Run
from zoo.runs.renames import upgrade_best, upgrade_row


@pytest.mark.parametrize(
    "text, expected",
    [
        ("plain", "plain"),
        ("日本語 é\xa0👩\u200d💻", "日本語 é\xa0👩\u200d💻"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\tc\r\x07", "a\\nb\\tc\\r\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("bad\udcff", "bad\\udcff"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_what_a_terminal_interprets_is_escaped(text, expected):
    assert printable(text) == expected
    assert printable(expected) == expected and printable_values({"a": [text, 1, None]}) == {"a": [printable(text, "\n"), 1, None]}


def test_deep_nesting_is_a_value_error():
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested too deeply"):
        printable_values(value)


def test_errors_are_printable(capsys):
    def fail():
        raise UserError("no class \x1b[31m in \udcff")

    with pytest.raises(SystemExit):
        parsing.run(fail, "zoo")
    assert capsys.readouterr().err == "zoo: error: no class \\x1b[31m in \\udcff\n"


def test_output_in_another_encoding(monkeypatch):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    with contextlib.suppress(SystemExit):
        parsing.run(lambda: print("é \udcff") or 0, "zoo")
    sys.stdout.flush()
    assert buffer.getvalue() == b"\\xe9 \\udcff\n"


def test_a_folder_with_names_that_are_not_text(tmp_path, capsys):
    """Its name in records and commands is text, with which it is opened again."""
    folder = os.fsencode(tmp_path) + b"/pictures\xff\x1b[31m"
    for name in (b"cat\x1b[32m", b"dog\xfe"):
        os.makedirs(folder + b"/" + name)
        for i in range(2):
            picture = io.BytesIO()
            Image.new("L", (8, 8 + i), 100).save(picture, "PNG")
            with open(os.path.join(folder, name, b"\xff%d.png" % i), "wb") as file:
                file.write(picture.getvalue())
    source = data.open_source(f"folder:{os.fsdecode(folder)}", keys=("image", "label"))
    assert source.name == f"folder:{tmp_path}/pictures\\udcff\\x1b[31m" and source.class_names == ("cat\\x1b[32m", "dog\\udcfe")
    assert "\x1b" not in capsys.readouterr().err
    again = data.open_source(source.name, keys=("image", "label"))
    assert (again.name, again.version) == (source.name, source.version)
    pictures = data.open_source(f"folder:{os.fsdecode(folder)}/{os.fsdecode(b'dog' + bytes([254]))}", keys=("picture",))
    assert len(pictures.load_examples()["picture"]) == 2
    (tmp_path / "\\x1b").mkdir()  # a folder that has such a name itself
    Image.new("L", (8, 8)).save(tmp_path / "\\x1b" / "a.png")
    assert data.open_source(f"folder:{tmp_path}/\\x1b").sizes == {"train": 1}


def test_the_record_of_a_stranger_is_printable(tmp_path):
    record = {"model": "gan", "config": {}, "precision": "\x1b[1m", "replicas": 1, "xla": False, "command": "a\n\x1bb", "schema": 2}
    record |= {"data": {"name": "folder:\x1b", "version": "\x07", "class_names": ["\x1b[31m"]}, "options": {"data_dir": "/a\x1b"}}
    (tmp_path / "config.json").write_text(json.dumps(record))
    made = Run(tmp_path).record
    assert (made.precision, made.command, made.data.class_names) == ("\\x1b[1m", "a\n\\x1bb", ["\\x1b[31m"])
    assert made.data.version == "\\x07" and made.options["data_dir"] == "/a\x1b"
    assert upgrade_row({"step": 1, "scores": {"\x1b": 1.0}})["scores"] == {"\\x1b": 1.0}
    assert upgrade_best({"name": "\x1b", "value": 1.0, "step": 1})["name"] == "\\x1b"


def test_the_path_of_a_run_is_text(tmp_path):
    with pytest.raises(UserError, match="must be valid UTF-8"):
        Run(os.fsdecode(os.fsencode(tmp_path) + b"/run\xff"))


@pytest.mark.parametrize("name", [r"$\frac$", "$a", "a$b$c", "\x1b$x$"])
def test_names_in_figures_start_no_formula(name):
    figure = Figure()
    text = figure.text(0, 0, figure_text(name))
    figure.savefig(io.BytesIO(), format="png")
    shown, is_formula = text._preprocess_math(text.get_text())
    assert (shown, bool(is_formula)) == (name.replace("\x1b", "\\x1b"), False)
