"""The model card, of folders that are written here: nothing is trained."""

import json
import math
import re
import shlex

import numpy as np
import pytest
from conftest import tiny
from PIL import Image
from test_compare import FRECHET, MORE, PROTOCOL, evaluated, falling, look, made

from zoo import __main__ as tool
from zoo import card, command, registry, results
from zoo.runs import Run

PAPER = "ACGAN (Odena, Olah, Shlens 2016, arXiv:1610.09585)"
LINE = "The discriminator also names the class"


def offered(*asked):
    """Signatures of a model whose `sample` takes a seed and these."""
    return {"classify": ["image float32 [n, 28, 28, 1]"], "sample": ["seed int64 [n]", *(f"{name} int64 [n]" for name in asked)]}


def written(run, by_class=False, until=math.inf):
    """The card's text."""
    path = card.write(run, PAPER, LINE, offered(*["label"] * by_class), until)
    assert path == run.folder / "README.md"
    return path.read_text()


def sections(text):
    """{heading: text} of the second level."""
    return dict(part.split("\n", 1) for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:])


def tables(text):
    """Each table as rows of cells, without the line under its header."""
    found = re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE)
    rows = [[re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()] for table in found]
    return [[[cell.strip() for cell in row] for i, row in enumerate(table) if i != 1] for table in rows]


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)\n```", text, re.DOTALL)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with scores by two protocols, a best checkpoint and an export, below the current folder."""
    monkeypatch.chdir(tmp_path)
    after = [evaluated(400, {FRECHET: 40.0}, checkpoint="best"), evaluated(600, {FRECHET: 70.0})]
    rows = [look(200 * i, {FRECHET: value, "recall[x]": 0.1 * i}) for i, value in enumerate((90.0, 50.0, 60.0), 1)]
    made(tmp_path / "runs" / "acgan-mnist-0001", [*rows, *after], {"steps": 600})
    best = tmp_path / "runs" / "acgan-mnist-0001" / "checkpoints" / "best"
    best.mkdir(parents=True)
    (best / "ckpt-400.index").touch()
    (best / "score.json").write_text(json.dumps({"name": FRECHET, "value": 50.0, "round": 400}))
    for version in ("1", "2", "10"):
        (best.parents[1] / "export" / "acgan" / version).mkdir(parents=True)
    return Run("runs/acgan-mnist-0001")


def test_every_section_is_there(run):
    text = written(run)
    assert text.startswith("# acgan-mnist-0001\n")
    assert list(sections(text)) == ["Scores", "How it was made", "Data", "What went wrong", "Limits and misuse", "Use", "Versions"]
    assert PAPER in text and f"{LINE}." in text and "28x28x1" in text
    assert "600 rounds, 38,400 images seen, 60 s." in text
    made = sections(text)["How it was made"]
    assert blocks(made, "sh") == ["python train.py --model acgan --data mnist"]
    assert "float32" in made and "1,234,567" in made and "round 400" in made and f"{FRECHET} 50.0" in made
    assert ["generator_learning_rate", "0.0005"] in tables(made)[0]
    assert len(tables(made)[0]) == 1 + len(run.record["config"])
    assert "tensorflow 2.21.0" in sections(text)["Versions"]


def test_what_it_points_to_is_there(run):
    text = written(run)
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")]
    assert sorted(links) == ["curve.png", "samples/round-000800.png"]
    for link in links:
        with Image.open(run.folder / link) as image:
            assert np.asarray(image.convert("L")).std() > 10


def test_scores_of_two_protocols_stand_in_two_tables(run):
    text = sections(written(run))["Scores"]
    more, fewer = tables(text)
    assert more[1:] == [["frechet", "lower", "40.0", "400", "70.0", "600"]]
    assert fewer[1:] == [["frechet", "lower", "50.0", "400", "60.0", "600"], ["recall", "higher", "0.300", "600", "0.300", "600"]]
    protocols = re.findall(r"^Protocol: (.*)\.$", text, re.MULTILINE)
    assert ["fake images 10000" in line for line in protocols] == [True, False]
    for value in ("classifier-mnist-1a2b", "1a2b1a2b1a2b", "mnist 3.0.1", "split test", "28x28x1", "seed 0", "averaged", "truncation none"):
        assert value in protocols[1], value
    assert text.index("### 10,000 samples") < text.index("40.0") < text.index("### 1,000 samples") < text.index("50.0")
    assert "by the protocol of 1,000 samples" in text, "the curve's"


def test_protocols_of_one_size_are_not_mixed_either(tmp_path):
    other = {**PROTOCOL, "seed": 1}
    first, second = tables(sections(written(made(tmp_path / "one", [*falling(9.0), *falling(5.0, protocol=other)])))["Scores"])
    assert (first[1][2], second[1][2]) == ("9.00", "5.00")


def test_an_error_stands_beside_its_score(tmp_path):
    run = made(tmp_path / "one", [evaluated(200, {"kid[x]": 0.0021, "kid_error[x]": 0.0003}, MORE)])
    assert tables(written(run))[0][1:] == [["kid", "lower", "0.00210 ± 0.00030", "200", "0.00210 ± 0.00030", "200"]]


def test_a_run_without_scores_has_no_such_section(tmp_path):
    text = written(made(tmp_path / "one", [look(200), look(400)]))
    assert "Scores" not in sections(text) and "Protocol" not in text
    assert "Nothing was measured" in sections(text)["Limits and misuse"]
    assert "curve.png" in text, "of the loss terms"
    measured = written(made(tmp_path / "two", falling(9, 5)))
    assert "Nothing was measured" not in measured


def test_a_panel_a_kind_of_curve(tmp_path):
    def width(*rows):
        run = made(tmp_path / str(len(list(tmp_path.iterdir()))), rows)
        written(run)
        return Image.open(run.folder / "curve.png").size[0]

    one = width(look(200), look(400))
    assert width(*falling(9, 5)) == 2 * one
    assert width(*(look(200 * i, {FRECHET: 1.0, "recall[x]": 0.5}) for i in (1, 2))) == 3 * one


def test_the_curves_are_of_scores_and_of_what_is_minimised(tmp_path, monkeypatch):
    drawn, draw = [], card._drawn
    monkeypatch.setattr(card, "_drawn", lambda panels: drawn.extend(panels) or draw(panels))
    logged = {"g_class": 0.2, "d_accuracy": 0.9, "d_real_logit": 1.0, "g_gradient_norm": 3.0, "variety": 0.8}
    rows = [look(200 * i, {FRECHET: 9.0 - i, "recall[x]": 0.5, "kid[x]": 1.5}, **logged) for i in (1, 2)]
    written(made(tmp_path / "one", [*rows, evaluated(400, {FRECHET: 70.0})]))
    panels = dict(drawn)
    assert {title: list(lines) for title, lines in panels.items()} == {
        "frechet": ["frechet"],
        "other scores": ["recall"],
        "loss terms": ["d_adversarial", "g_class"],
    }
    assert panels["frechet"]["frechet"] == [(64 * 200, 8.0), (64 * 400, 7.0)], "of one protocol"
    assert panels["loss terms"]["g_class"] == [(64 * 200, 0.2), (64 * 400, 0.2)]


def test_a_run_that_has_just_begun(tmp_path):
    run = made(tmp_path / "one")
    (run.folder / "metrics.jsonl").unlink()
    (run.folder / "samples" / "round-000800.png").unlink()
    text = written(run)
    assert "![" not in text and not (run.folder / "curve.png").exists()
    assert "no look was written yet" in text and "Use" in sections(text)


def test_what_was_cut_short_is_survived(tmp_path):
    run = made(tmp_path / "one", falling(9.0, 5.0))
    with open(run.folder / "metrics.jsonl", "a") as file:
        file.write('{"round": 600, "scores": {"fre')
    (run.folder / "samples" / "round-000900.png").write_bytes((run.folder / "samples" / "round-000800.png").read_bytes()[:900])
    text = written(run)
    assert tables(sections(text)["Scores"])[0][1][2:] == ["5.00", "400", "5.00", "400"]
    assert "samples/round-000800.png" in text and "900" not in text


def test_values_that_are_not_finite_are_said_and_never_the_best(tmp_path):
    rows = [*falling(float("nan"), 9.0, float("-inf"), float("nan")), look(1000, d_adversarial=float("nan"))]
    text = written(made(tmp_path / "one", rows))
    assert tables(sections(text)["Scores"])[0][1][2:] == ["9.00", "400", "nan", "800"]


def test_what_went_wrong(tmp_path):
    text = "round 400: collapse: two samples differ 3% as much. What usually helps: a larger --batch-size"
    rows = [look(200), look(400, warnings=[text]), look(600, warnings=["no *scores*"]), look(800, warnings=["no *scores*"])]
    wrong = sections(written(made(tmp_path / "one", rows)))["What went wrong"]
    assert f"- {text}" in wrong and "- at round 600, 800: no \\*scores\\*" in wrong
    assert "Nothing was warned of" in sections(written(made(tmp_path / "two", [look(200)])))["What went wrong"]
    many = [look(200 * i, warnings=[f"trouble {i}"]) for i in range(1, 30)]
    assert "and 21 more" in written(made(tmp_path / "three", many))


def test_a_run_that_was_stopped_says_so(tmp_path):
    assert "stopped before its 800 rounds" in written(made(tmp_path / "one", [look(200)]))
    assert "stopped" not in written(made(tmp_path / "two", [look(800)])).partition("## ")[0]


@pytest.mark.parametrize(
    "name, said",
    [
        ("mnist", "CC BY-SA 3.0"),
        ("fashion_mnist", "MIT"),
        ("cifar10", "state no licence"),
        ("digits", "CC BY 4.0"),
        ("celeb_a", "https://www.tensorflow.org/datasets/catalog/celeb_a"),
        ("cycle_gan/horse2zebra", "https://www.tensorflow.org/datasets/catalog/cycle_gan)"),
        ("folder:/home/me/my_pictures", "their rights are with those who made them"),
    ],
)
def test_the_datas_licence(tmp_path, name, said):
    run = made(tmp_path / "one", [look(200)], data={"name": name, "version": "1.0.0", "class_names": None})
    data = sections(written(run))["Data"]
    assert said in data and "No classes." in data and "may hold for generated images" in data


def test_names_of_classes_break_nothing(tmp_path):
    names = ["a|b", "<script>", "*x*", "[y](z)", *map(str, range(996))]
    run = made(tmp_path / "one", [look(200)], data={"name": "folder:x|y", "version": "1", "class_names": names})
    data = sections(written(run))["Data"]
    assert "1,000 classes: a\\|b, \\<script\\>, \\*x\\*, \\[y\\](z), 0, 1" in data and ", ..." in data and "995" not in data


def test_memorisation_is_told_where_it_was_measured(tmp_path):
    measured = written(made(tmp_path / "one", [look(200, {"memorisation[x]": 0.97})]))
    assert "Memorisation is 0.970" in measured and "not measured" not in sections(measured)["Limits and misuse"]
    assert "--metrics memorisation" in written(made(tmp_path / "two", falling(9)))


def test_what_it_says_to_type_is_understood(run, monkeypatch):
    use = sections(written(run, by_class=True))["Use"]
    (shell,), (python,) = blocks(use, "sh"), blocks(use, "python")
    generate, docker, curl, resume = (shlex.split(line, comments=True) for line in shell.splitlines())
    assert generate[:5] == ["python", "-m", "zoo", "generate", "runs/acgan-mnist-0001"] and generate[-2:] == ["--checkpoint", "best"]
    parsed = command.chosen(tool.COMMANDS, generate[3:], "zoo", "")
    assert (run.folder / "config.json").samefile(parsed.run / "config.json")
    assert "$PWD/runs/acgan-mnist-0001/export/acgan:/models/acgan" in docker and "serves version 10" in shell
    assert json.loads(curl[2])["instances"] == [{"seed": 7, "label": 0}]
    assert resume == ["python", "train.py", "--resume", "runs/acgan-mnist-0001", "--steps", "1200"]
    assert 'zoo.load("runs/acgan-mnist-0001", checkpoint="best")' in python and "label=[0, 1, 2]" in python
    compile(python, "card", "exec")
    card.write(run, PAPER, LINE, offered("label", "truncation"), math.inf)
    assert '"instances": [{"seed": 7, "label": 0, "truncation": 2.0}]' in (run.folder / "README.md").read_text()


def test_what_there_is_not_is_not_offered(tmp_path):
    run = made(tmp_path / "my run's", [look(800)])
    use = sections(written(run))["Use"]
    assert "docker" not in use and "best" not in use and "label" not in use
    lines = [shlex.split(line, comments=True) for line in blocks(use, "sh")[0].splitlines()]
    assert lines[1] == ["python", "-m", "zoo", "export", str(run.folder)]
    compile(blocks(use, "python")[0], "card", "exec")
    (signatures,) = tables(use)
    assert signatures[1:] == [["`classify`", "`image float32 [n, 28, 28, 1]`"], ["`sample`", "`seed int64 [n]`"]]
    assert str(run.folder) in blocks(use, "python")[0]


@pytest.mark.parametrize("until, offered_on", [(601, True), (600, False), (300, False)])
def test_a_training_whose_rates_have_fallen_is_not_offered_to_go_on(run, until, offered_on):
    assert ("--resume" in sections(written(run, until=until))["Use"]) == offered_on


@pytest.mark.parametrize("schedule, offered_on", [("constant", True), ("linear", False)])
def test_it_is_renewed_of_the_model_itself(run, schedule, offered_on):
    card.renew(run, registry.entry("gan"), tiny("gan", schedule=schedule, steps=600))
    use = sections((run.folder / "README.md").read_text())["Use"]
    assert ("--resume" in use) == offered_on and "| `discriminate` | `image float32 [n, 16, 16, 1]` |" in use


def test_it_is_written_whole_and_again(run):
    first = written(run)
    assert written(run) == first
    assert not list(run.folder.glob(".*"))
    with open(run.folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps(evaluated(600, {"kid[x]": 0.5})) + "\n")
    assert "| kid |" in written(run) and "| kid |" not in first


def test_what_fails_leaves_the_card_that_there_was(run, monkeypatch):
    first = written(run)
    monkeypatch.setattr(results.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError):
        written(run)
    assert (run.folder / "README.md").read_text() == first
