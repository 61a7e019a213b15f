"""Help texts and the table of models: fast, and without TensorFlow where it is not needed."""

import ast
import dataclasses
import inspect
import subprocess
import sys
import textwrap

import pytest
from command_line import ROOT

import zoo
from zoo import __main__ as tool
from zoo import registry
from zoo.cli import train

SCRIPT = """
import sys
try:
    {call}
except SystemExit as stop:
    assert not stop.code, stop.code
heavy = {{"tensorflow", "keras", "numpy", "PIL", "matplotlib", "scipy", "gradio"}} & set(sys.modules)
assert not heavy, heavy
"""
COMMANDS = sorted(["train", *(command.__name__.lower() for command in tool.COMMANDS)])


def run_script(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    return result.stdout


@pytest.mark.parametrize("argv", [["--help"], *([command, "--help"] for command in COMMANDS)], ids=" ".join)
def test_help_of_the_tool_imports_nothing_heavy(argv):
    output = run_script(SCRIPT.format(call=f"import zoo.__main__; zoo.__main__.main({argv!r})"))
    assert output.startswith("usage: zoo")
    if argv == ["--help"]:
        assert all(f"• {command} " in output for command in COMMANDS)


def test_help_of_train_imports_nothing_heavy():
    output = run_script(SCRIPT.format(call="from zoo.cli import train; train.main(['--help'])"))
    for part in ("--data-dir", "--resume", "--eval-samples", "--list", "--model NAME --help"):
        assert part in output


def test_importing_the_package_imports_nothing_heavy():
    assert run_script(SCRIPT.format(call="import os; before = dict(os.environ); import zoo; assert dict(os.environ) == before")) == ""


def test_list_and_help(capsys):
    assert tool.main(["list"]) == 0
    table = capsys.readouterr().out
    assert all(f"\n  {name} " in table for name in zoo.list_models()) and "arXiv:1610.09585" in table
    for argv in (["--list"], ["--model", "acgan", "--list"], ["--model", "acgan", "--help"]):
        with pytest.raises(SystemExit) as stop:
            train.main(argv)
        assert not stop.value.code
    output = capsys.readouterr().out
    assert output.count(table) == 2
    assert "--generator-widths" in output and "--dropout" in output and "--data-dir" in output


def test_train_is_a_command_of_the_tool(working_directory, capsys):
    assert tool.main(["train", "--model", "gan", "--dry-run"]) == 0
    assert "model      gan: " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        tool.main(["train", "--model", "gan", "--help"])
    assert capsys.readouterr().out.startswith("usage: zoo train --model gan ")


@pytest.mark.parametrize("old, new", [("analyse", "analyze"), ("usefulness", "utility")])
def test_old_names_of_commands(capsys, old, new):
    with pytest.raises(SystemExit):
        tool.main([old, "--help"])
    captured = capsys.readouterr()
    assert captured.err == f"warning: {old} is deprecated; use {new}\n" and captured.out.startswith(f"usage: zoo {new} ")


def test_every_field_of_a_configuration_has_a_comment_that_becomes_its_help_text():
    kinds = {kind for name in zoo.list_models() for kind in type(registry.get_entry(name).config).__mro__ if dataclasses.is_dataclass(kind)}
    for kind in kinds:
        source = textwrap.dedent(inspect.getsource(kind))
        lines = source.splitlines()
        for field in (node for node in ast.parse(source).body[0].body if isinstance(node, ast.AnnAssign)):
            if "ClassVar" in ast.unparse(field.annotation):
                continue
            above, last = lines[field.lineno - 2].strip(), lines[field.end_lineno - 1]
            assert above.startswith("#") or "  # " in last, f"{kind.__module__}: {ast.unparse(field)}"
