"""README and documentation: commands parse, snippets compile and run, links resolve, and the language stays the field's."""

import ast
import importlib
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo import __main__ as program
from zoo import registry
from zoo.cli import train as training
from zoo.cli.list import format_models
from zoo.cli.request import parse_request
from zoo.errors import UserError

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks" / "results.md",
]
CUSTOM_MODEL = "path/to/mygan.py"
COMMAND = re.compile(r"^(?:python train\.py|python -m zoo|zoo|python benchmarks/\w+\.py) ")
NOT_RUN = ("grpc", "serving.client", "runs/cyclegan")  # snippets that need a server, or a run that takes long to trace
RUNS = ("acgan", "sgan")  # models of the runs that snippets load
BRITISH = re.compile(
    r"\b(?:\w*(?:colour|neighbour|behaviour|favour|centre|normalis|minimis|penalis|regularis|memoris)\w*|optimis(?:e|ed|es|ing|er|ers)|grey|analyse)\b"
)
INVENTED = re.compile(r"\b(?:rounds?|a look|each look|there is not|is asked for|was asked for|known again|embedded digits)\b")

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page, language):
    """The fenced code blocks of a page."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands(page):
    """The commands of a page, in code blocks and in the text, without comments."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", "").splitlines()]
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines += [code for code in re.findall(r"`([^`\n]+)`", prose) if " -" in code or "RUN" in code]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return dict.fromkeys(part for part in parts if COMMAND.match(part))


def slug(heading):
    """The anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.fixture
def custom_model(working_directory, monkeypatch):
    """The documented model, in a file of the working directory that has not been executed yet."""
    (code,) = (block for block in blocks(ROOT / "docs" / "adding-a-model.md", "python") if "@register(" in block)
    path = working_directory / CUSTOM_MODEL
    path.parent.mkdir(parents=True)
    path.write_text(code, encoding="utf-8")
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(registry, "_loaded_files", {})
    return f"{CUSTOM_MODEL}:mygan"


# -- the README ---------------------------------------------------------------------------------------------------------


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 200


def test_the_readme_has_the_lines_that_ci_runs():
    for start in ("pip install -e . && python train.py", "pip install -e '.[test]' && pytest"):
        assert len([line for line in README.splitlines() if line.startswith(start)]) == 1


def test_every_model_is_in_the_readme():
    assert not [name for name in zoo.list_models() if f"`{name}`" not in README]


def test_the_request_fits_the_signature(trained):
    body = json.loads(re.search(r"curl -d '(.*?)'", README).group(1))
    row = body["instances"][0]
    row["label"] %= trained("acgan").model.config.num_classes  # the digits have more
    image = trained("acgan").model.serve(body["signature_name"], **{key: [value] for key, value in row.items()})["image"]
    assert image.shape == (1, 16, 16, 1)


# -- all pages ----------------------------------------------------------------------------------------------------------


@by_page
def test_commands_have_real_options(page, custom_model, monkeypatch, capsys):
    for kind in program.COMMANDS:
        monkeypatch.setattr(kind, "__call__", lambda self: 0)
    monkeypatch.setattr("zoo.cli.request._inherit_settings", lambda entry, init_from: entry.config)  # the runs do not exist
    for command in commands(page):
        try:
            check_command(shlex.split(command.replace("NAME", "acgan"), comments=True))
        except UserError as error:
            pytest.fail(f"{page.name}: {command}: {error}")
    assert "deprecated" not in capsys.readouterr().err


def check_command(words):
    """Parses a command; raises UserError if it is not valid."""
    if words[:2] == ["python", "train.py"] or words[:2] == ["zoo", "train"]:
        check_training(words[2:])
    elif words[:2] == ["zoo", "launch"]:
        assert program.main(words[1:]) == 0
        check_training(words[words.index("train") + 1 :])
    elif words[0] == "zoo" or words[:3] == ["python", "-m", "zoo"]:
        assert program.main(words[1:] if words[0] == "zoo" else words[3:]) == 0
    else:
        text = (ROOT / words[1]).read_text(encoding="utf-8")
        for word in words[2:]:
            assert not word.startswith("--") or word.removeprefix("--").replace("-", "_") in text, words


def check_training(words):
    """The same of the words after `python train.py`."""
    if "--resume" in words:  # the run does not exist: its folder names the model
        i = words.index("--resume")
        name = words[i + 1].removeprefix("runs/").partition("-")[0]
        model = [] if "--model" in words else ["--model", name]
        words = [*words[:i], *words[i + 2 :], *model]
    if {"--list", "--help"} & set(words):
        with pytest.raises(SystemExit) as stop:
            training.main(words)
        assert not stop.value.code
    else:
        parse_request(words, "train.py")


@by_page
def test_snippets_use_real_names(page):
    for block in blocks(page, "python"):
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "zoo":
                module = importlib.import_module(node.module)
                assert not [alias.name for alias in node.names if not hasattr(module, alias.name)], block
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "zoo":
                assert hasattr(zoo, node.attr), block


@by_page
def test_links_resolve(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{page.name}: {target}"


@by_page
def test_the_language_is_the_fields(page):
    text = page.read_text(encoding="utf-8")
    assert "MEASURE" not in text, "put in the output of benchmarks/throughput.py"
    if page.name != "CHANGELOG.md":  # which lists the old names
        assert not BRITISH.findall(text)
        assert not INVENTED.findall(text)


def test_the_changelog_describes_this_version():
    assert f"\n## {zoo.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# -- what the pages show works ------------------------------------------------------------------------------------------


def test_the_documented_model_passes_all_checks(custom_model):
    zoo.testing.check_model(custom_model, units=16)
    assert "\n  mygan " in format_models()
    assert "penalty_weight" in vars(registry.get_entry("mygan").config)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the runs that snippets load, each after two steps."""
    folder = tmp_path_factory.mktemp("pages")
    for model in RUNS:
        zoo.train(model, run_dir=folder / "runs" / f"{model}-digits-0001", steps=2, eval_every=2, eval_samples=0)
    for file_format in ("onnx", "litert"):
        program.main(["export", str(folder / "runs" / f"{RUNS[0]}-digits-0001"), "--format", file_format])
    return folder


SNIPPETS = [
    pytest.param(block, id=f"{page.stem}-{i}")
    for page in PAGES
    for i, block in enumerate(blocks(page, "python"))
    if not any(word in block for word in (*NOT_RUN, "@register("))
]


@pytest.mark.slow
@pytest.mark.parametrize("block", SNIPPETS)
def test_snippets_run(block, runs, custom_model, monkeypatch):
    """With fewer steps, without scores (and so without a best checkpoint), and random images in the place of a download."""
    import keras

    shutil.copytree(runs / "runs", "runs")
    digits = np.random.RandomState(0).randint(0, 256, (1024, 28, 28)).astype(np.uint8), np.arange(1024) % 10
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: (digits, digits))
    train = zoo.train
    monkeypatch.setattr(zoo, "train", lambda *args, **options: train(*args, **{"eval_samples": 0, **options}))
    changes = (
        ("steps=200", "steps=2"),
        ("steps=400", "steps=4"),
        ("eval_every=100", "eval_every=2"),
        ('checkpoint="best"', 'checkpoint="last"'),
    )
    for documented, tested in changes:
        block = block.replace(documented, tested)
    exec(compile(block, "snippet", "exec"), {"__name__": "snippet"})
