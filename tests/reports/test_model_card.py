"""The model card, of folders that are written here: nothing is trained."""

import dataclasses
import json
import math
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model
from PIL import Image
from run_folders import LARGE, PROTOCOL, changed, evaluated_row, score_rows, training_row, write_run

from zoo import files, registry
from zoo.cli.generate import Generate
from zoo.cli.parsing import parse_command
from zoo.core.images import Images
from zoo.core.signatures import Signature
from zoo.metrics.registry import Metric
from zoo.reports import curve, markdown
from zoo.reports.model_card import is_card_current, write_card
from zoo.reports.usage import tool_command
from zoo.runs import DataRecord, Run, RunRecord

ENTRY = SimpleNamespace(paper="ACGAN (Odena, Olah, Shlens 2016, arXiv:1610.09585)", summary="The discriminator also names the class")


@dataclasses.dataclass
class FakeModel:
    """What the card asks of a model."""

    inputs: tuple[str, ...] = ()  # inputs of `sample` in addition to the seed
    learning_stops_at: float = math.inf
    generates_from_noise: bool = True
    own_metrics: tuple[Metric, ...] = ()
    modality = Images()

    @property
    def config(self):
        return SimpleNamespace(image_shape=(28, 28, 1), num_classes=10, learning_stops_at=self.learning_stops_at)

    def preview(self, batch):
        """One row per class."""

    def signatures(self):
        image = tf.TensorSpec([None, 28, 28, 1], tf.float32, "image")
        if not self.generates_from_noise:
            files = Signature(None, [tf.TensorSpec([None], tf.string, "image_bytes")], ("image_bytes",))
            return {"encode": Signature(None, [image], ("code",)), "to_y": Signature(None, [image], ("image",)), "to_y_png": files}
        inputs = [tf.TensorSpec([None], tf.int64, name) for name in ("seed", *self.inputs)]
        return {"classify": Signature(None, [image], ("classes",)), "sample": Signature(None, inputs, ("image",))}


def card(run, *inputs, **model):
    """The text of the card."""
    path = write_card(run, ENTRY, FakeModel(inputs, **model))
    assert path == run.folder / "README.md"
    return path.read_text(encoding="utf-8")


def sections(text):
    """{heading: text} of the second level."""
    return dict(part.split("\n", 1) for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:])


def tables(text):
    """Each table as rows of cells, without the line under its header."""
    matches = re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE)
    rows = [[re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()] for table in matches]
    return [[[cell.strip() for cell in row] for i, row in enumerate(table) if i != 1] for table in rows]


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)\n```", text, re.DOTALL)


@pytest.fixture(autouse=True)
def started_as_module(monkeypatch):
    """Commands name the program as it was started."""
    monkeypatch.setattr("zoo.runs.commands._program", "python -m zoo train")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with scores by two protocols, a best checkpoint and an export, below the current folder."""
    monkeypatch.chdir(tmp_path)
    later = [evaluated_row(400, {"frechet": 40.0}, checkpoint="best"), evaluated_row(600, {"frechet": 70.0})]
    rows = [training_row(200 * i, {"frechet": value, "recall": 0.1 * i}) for i, value in enumerate((90.0, 50.0, 60.0), 1)]
    write_run(tmp_path / "runs" / "acgan-mnist-0001", [*rows, *later], {"steps": 600})
    best = tmp_path / "runs" / "acgan-mnist-0001" / "checkpoints" / "best"
    best.mkdir(parents=True)
    (best / "ckpt-400.index").touch()
    (best / "score.json").write_text(json.dumps({"name": "frechet", "value": 50.0, "step": 400}), encoding="utf-8")
    for version in ("1", "2", "10"):
        (best.parents[1] / "export" / "acgan" / version).mkdir(parents=True)
    return Run("runs/acgan-mnist-0001")


def test_every_section_is_there(run):
    text = card(run)
    assert text.startswith("# acgan-mnist-0001\n")
    headings = ["Scores", "How it was trained", "Data", "Warnings during training", "Limitations and misuse", "Usage", "Versions"]
    assert list(sections(text)) == headings
    assert ENTRY.paper in text and f"{ENTRY.summary}." in text and "28x28x1 images" in text
    assert "600 steps (38,400 images seen), 60 s." in text
    training = sections(text)["How it was trained"]
    assert blocks(training, "sh") == ["python train.py --model acgan --data mnist"]
    assert "float32" in training and "1,234,567" in training and "step 400" in training and "frechet 50.0" in training
    assert ["generator_learning_rate", "0.0005"] in tables(training)[0]
    assert len(tables(training)[0]) == 1 + len(run.record.config)
    assert "tensorflow 2.21.0" in sections(text)["Versions"] and "gan-zoo" not in sections(text)["Versions"]
    assert "One row per class." in text


def test_the_version_and_commit_are_listed(tmp_path):
    versions = sections(card(write_run(tmp_path / "one", zoo_version="0.2.0", git_commit="abc1234")))["Versions"]
    assert "gan-zoo 0.2.0 (commit abc1234)" in versions


def test_linked_files_exist(run):
    text = card(run)
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")]
    assert sorted(links) == ["curve.png", "samples/step-000800.png"]
    for link in links:
        with Image.open(run.folder / link) as image:
            assert np.asarray(image.convert("L")).std() > 10


def test_each_protocol_has_a_table(run):
    text = sections(card(run))["Scores"]
    large, small = tables(text)
    assert large[1:] == [["frechet", "lower", "40.0", "400", "70.0", "600"]]
    assert small[1:] == [["frechet", "lower", "50.0", "400", "60.0", "600"], ["recall", "higher", "0.300", "600", "0.300", "600"]]
    protocols = re.findall(r"^Protocol: (.*)\.$", text, re.MULTILINE)
    assert ["fake images 10000" in line for line in protocols] == [True, False]
    for value in (
        "classifier-mnist-1a2b",
        "1a2b1a2b1a2b",
        "mnist 3.0.1",
        "split test",
        "28x28x1",
        "seed 0",
        "generator ema",
        "precision float32",
        "truncation none",
    ):
        assert value in protocols[1], value
    assert text.index("### 10,000 samples") < text.index("40.0") < text.index("### 1,000 samples") < text.index("50.0")
    assert "the protocol with 1,000 samples" in text, "the curve's"


def test_protocols_of_the_same_size_are_not_mixed_either(tmp_path):
    other = changed(PROTOCOL, seed=1)
    run = write_run(tmp_path / "one", [*score_rows(9.0), *score_rows(5.0, protocol=other)])
    first, second = tables(sections(card(run))["Scores"])
    assert (first[1][2], second[1][2]) == ("9.00", "5.00")


def test_an_uncertainty_is_shown_beside_its_score(tmp_path):
    run = write_run(tmp_path / "one", [evaluated_row(200, {"kid": 0.0021}, LARGE, errors={"kid": 0.0003})])
    assert tables(card(run))[0][1:] == [["kid", "lower", "0.00210 ± 0.00030", "200", "0.00210 ± 0.00030", "200"]]


def test_a_score_of_unknown_direction_has_no_best(tmp_path):
    run = write_run(tmp_path / "one", score_rows(0.5, 0.1, name="lpips"))
    assert tables(card(run))[0][1:] == [["lpips", "–", "–", "–", "0.100", "400"]]
    own = Metric("lpips", "lower", ("held_out",), lambda evaluation, model: {})
    assert tables(card(run, own_metrics=(own,)))[0][1:] == [["lpips", "lower", "0.100", "400", "0.100", "400"]]


def test_a_run_without_scores_has_no_such_section(tmp_path):
    text = card(write_run(tmp_path / "one", [training_row(200), training_row(400)]))
    assert "Scores" not in sections(text) and "Protocol" not in text
    assert "has not been evaluated" in sections(text)["Limitations and misuse"]
    assert "curve.png" in text, "of the loss terms"
    assert "has not been evaluated" not in card(write_run(tmp_path / "two", score_rows(9, 5)))


def test_each_kind_of_curve_has_a_panel(tmp_path):
    def width(*rows):
        run = write_run(tmp_path / str(len(list(tmp_path.iterdir()))), rows)
        card(run)
        return Image.open(run.folder / "curve.png").size[0]

    one = width(training_row(200), training_row(400))
    assert width(*score_rows(9, 5)) == 2 * one
    assert width(*(training_row(200 * i, {"frechet": 1.0, "recall": 0.5}) for i in (1, 2))) == 3 * one


def test_the_curves_are_scores_and_loss_terms(tmp_path, monkeypatch):
    drawn, draw = [], curve.draw_panels
    monkeypatch.setattr(curve, "draw_panels", lambda panels: drawn.extend(panels) or draw(panels))
    logged = {"g_class": 0.2, "d_pairwise_accuracy": 0.9, "d_real_logit": 1.0, "g_gradient_norm": 3.0, "diversity": 0.8}
    rows = [training_row(200 * i, {"frechet": 9.0 - i, "recall": 0.5, "kid": 1.5}, **logged) for i in (1, 2)]
    card(write_run(tmp_path / "one", [*rows, evaluated_row(400, {"frechet": 70.0})]))
    panels = dict(drawn)
    assert {title: list(lines) for title, lines in panels.items()} == {
        "frechet": ["frechet"],
        "other scores": ["recall"],
        "loss terms": ["d_adversarial", "g_class"],
    }
    assert panels["frechet"]["frechet"] == [(64 * 200, 8.0), (64 * 400, 7.0)], "of one protocol"
    assert panels["loss terms"]["g_class"] == [(64 * 200, 0.2), (64 * 400, 0.2)]


def test_a_run_that_has_just_begun(tmp_path):
    run = write_run(tmp_path / "one")
    (run.folder / "metrics.jsonl").unlink()
    (run.folder / "samples" / "step-000800.png").unlink()
    text = card(run)
    assert "![" not in text and not (run.folder / "curve.png").exists()
    assert "no evaluation yet" in text and "Usage" in sections(text)


def test_truncated_files_are_skipped(tmp_path):
    run = write_run(tmp_path / "one", score_rows(9.0, 5.0))
    with open(run.folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 600, "scores": {"fre')
    (run.folder / "samples" / "step-000900.png").write_bytes((run.folder / "samples" / "step-000800.png").read_bytes()[:900])
    text = card(run)
    assert tables(sections(text)["Scores"])[0][1][2:] == ["5.00", "400", "5.00", "400"]
    assert "samples/step-000800.png" in text and "900" not in text


def test_values_that_are_not_finite_are_shown_and_never_the_best(tmp_path):
    rows = [*score_rows(math.nan, 9.0, -math.inf, math.nan), training_row(1000, d_adversarial=math.nan)]
    text = card(write_run(tmp_path / "one", rows))
    assert tables(sections(text)["Scores"])[0][1][2:] == ["9.00", "400", "nan", "800"]


def test_warnings_are_listed_once(tmp_path):
    text = "step 400: mode collapse: two samples differ 3% as much. What usually helps: a larger --batch-size"
    rows = [
        training_row(200),
        training_row(400, warnings=[text]),
        training_row(600, warnings=["no *scores*"]),
        training_row(800, warnings=["no *scores*"]),
    ]
    listed = sections(card(write_run(tmp_path / "one", rows)))["Warnings during training"]
    assert f"- {text}" in listed and "- at step 600, 800: no \\*scores\\*" in listed
    assert "No warnings." in sections(card(write_run(tmp_path / "two", [training_row(200)])))["Warnings during training"]
    many = [training_row(200 * i, warnings=[f"trouble {i}"]) for i in range(1, 30)]
    assert "and 21 more" in card(write_run(tmp_path / "three", many))


def test_an_interrupted_run_is_called_so(tmp_path):
    assert "stopped before its 800 steps" in card(write_run(tmp_path / "one", [training_row(200)]))
    assert "stopped" not in card(write_run(tmp_path / "two", [training_row(800)])).partition("## ")[0]


@pytest.mark.parametrize(
    "name, text",
    [
        ("mnist", "CC BY-SA 3.0"),
        ("fashion_mnist", "MIT"),
        ("cifar10", "state no license"),
        ("digits", "CC BY 4.0"),
        ("celeb_a", "non-commercial research only"),
        ("cycle_gan/horse2zebra", "https://www.tensorflow.org/datasets/catalog/cycle_gan)"),
        ("folder:/home/me/my_pictures", "the rights belong to their authors"),
    ],
)
def test_the_license_of_the_data(tmp_path, name, text):
    run = write_run(tmp_path / "one", [training_row(200)], data={"name": name, "version": "1.0.0", "class_names": None})
    data = sections(card(run))["Data"]
    assert text in data and "No classes." in data and "may also apply to outputs" in data


def test_names_of_classes_are_escaped(tmp_path):
    names = ["a|b", "<script>", "*x*", "[y](z)", *map(str, range(996))]
    run = write_run(tmp_path / "one", [training_row(200)], data={"name": "folder:x|y", "version": "1", "class_names": names})
    data = sections(card(run))["Data"]
    listed = "1,000 classes: 0 = a\\|b, 1 = \\<script\\>, 2 = \\*x\\*, 3 = \\[y\\](z), 4 = 0, 5 = 1"
    assert listed in data and ", ..." in data and "995" not in data


def test_whatever_a_record_holds_is_escaped(tmp_path):
    tag = "<img src=x onerror=alert(1)>"
    row = {**training_row(200, {f"{tag}": 1.0}, changed(PROTOCOL, extractor=tag, precision=tag)), "warnings": [tag]}
    texts = {"precision": tag, "created": tag, "parameters": {tag: 3}, "versions": {tag: tag}, "zoo_version": tag, "git_commit": tag}
    data = {"name": tag, "version": tag, "class_names": [tag], "pose_names": [tag]}
    run = write_run(tmp_path / "one", [row], {"augment": [tag], tag: tag}, command=tag, data=data, **texts)
    best = run.folder / "checkpoints" / "best"
    best.mkdir(parents=True)
    (best / "ckpt-200.index").touch()
    (best / "score.json").write_text(json.dumps({"name": tag, "value": 1.0, "step": 200}), encoding="utf-8")
    text = re.sub(r"```.*?```", "", card(run), flags=re.DOTALL)  # code is shown as it is
    assert text.count("\\<img") >= 12 and not re.search(r"(?<!\\)<(?!/?(details|summary)>)", text)


def test_the_step_is_that_of_the_newest_checkpoint(tmp_path):
    """And not that of the last line, which a kill may have prevented."""
    run = write_run(tmp_path / "one", [training_row(600)])
    (run.folder / "checkpoints").mkdir()
    for step in (600, 800):
        (run.folder / "checkpoints" / f"ckpt-{step}.index").touch()
    text = card(run)
    assert ": 800 steps (51,200 images seen), 60 s." in text and "stopped before" not in text
    assert is_card_current(run, 800) and not is_card_current(run, 600)
    (run.folder / "README.md").write_text("my own words", encoding="utf-8")
    assert is_card_current(run, 800), "it stays"
    (run.folder / "README.md").unlink()
    assert not is_card_current(run, 800)


def test_shapes_are_written_the_same_in_a_new_and_in_a_resumed_run(tmp_path):
    new = Run.create(
        RunRecord("acgan", {"image_shape": (8, 8, 1), "steps": 4}, DataRecord("digits", "1"), "float32", 1, False), tmp_path / "one"
    )
    texts = [sections(card(run))["How it was trained"] for run in (new, Run(new.folder))]
    assert texts[0] == texts[1] and ["image_shape", "8x8x1"] in tables(texts[0])[0]


def test_memorization_is_reported_if_it_was_measured(tmp_path):
    text = card(write_run(tmp_path / "one", [training_row(200, {"memorization": 0.97})]))
    assert "Memorization is 0.970" in text and "not measured" not in sections(text)["Limitations and misuse"]
    assert "--metrics memorization" in card(write_run(tmp_path / "two", score_rows(9)))


def test_its_commands_work(run):
    usage = sections(card(run, "label"))["Usage"]
    (shell,), (python,) = blocks(usage, "sh"), blocks(usage, "python")
    generate, docker, curl, resume = (shlex.split(line, comments=True) for line in shell.splitlines())
    assert generate[:5] == ["python", "-m", "zoo", "generate", "runs/acgan-mnist-0001"] and generate[-2:] == ["--checkpoint", "best"]
    parsed = parse_command((Generate,), generate[3:], "zoo", "")
    assert (run.folder / "config.json").samefile(Path(parsed.run, "config.json"))
    assert "$PWD/runs/acgan-mnist-0001/export/acgan:/models/acgan" in docker and "serves version 10" in shell
    assert json.loads(curl[2])["instances"] == [{"seed": 7, "label": 0}]
    assert resume == ["python", "-m", "zoo", "train", "--resume", "runs/acgan-mnist-0001", "--steps", "1200"]
    assert 'zoo.load("runs/acgan-mnist-0001", checkpoint="best")' in python and "label=[0, 1, 2]" in python
    assert "float32 [3, 28, 28, 1]" in python
    compile(python, "card", "exec")
    assert '"instances": [{"seed": 7, "label": 0, "truncation": 2.0}]' in card(run, "label", "truncation")


def test_only_what_exists_is_offered(tmp_path):
    run = write_run(tmp_path / "my run's", [training_row(800)])
    usage = sections(card(run))["Usage"]
    assert "docker" not in usage and "best" not in usage and "label" not in usage
    lines = [shlex.split(line, comments=True) for line in blocks(usage, "sh")[0].splitlines()]
    assert lines[1] == ["python", "-m", "zoo", "export", str(run.folder)]
    compile(blocks(usage, "python")[0], "card", "exec")
    (signatures,) = tables(usage)
    assert signatures[1:] == [
        ["`classify`", "`image float32 [n, 28, 28, 1]`", "`classes`"],
        ["`sample`", "`seed int64 [n]`", "`image`"],
    ]
    assert str(run.folder) in blocks(usage, "python")[0]


def test_an_image_to_image_model_is_described_as_one(tmp_path):
    protocol = changed(PROTOCOL, fake_images=0, real_images=360)
    run = write_run(tmp_path / "one", score_rows(0.2, name="psnr_x", protocol=protocol))
    text = card(run, generates_from_noise=False)
    assert "was trained on 28x28x1 images of mnist 3.0.1" in text and "generates 28x28x1" not in text
    assert "The scores are means over 360 held-out examples." in text and "Memorization" not in text
    usage = sections(text)["Usage"]
    assert f"python -m zoo translate {run.folder} input.png output.png" in usage and "generate" not in usage and "curl" not in usage
    assert 'image = model.serve("to_y", image=...)["image"]' in blocks(usage, "python")[0]
    assert "x is the domain of trainA" in usage
    assert tool_command({"upscale": None}) == "upscale"


@pytest.mark.parametrize("learning_stops_at, offered", [(601, True), (600, False), (300, False)])
def test_continuing_is_offered_only_while_the_learning_rates_are_not_zero(run, learning_stops_at, offered):
    assert ("--resume" in sections(card(run, learning_stops_at=learning_stops_at))["Usage"]) == offered


@pytest.mark.parametrize("schedule, offered", [("constant", True), ("linear", False)])
def test_the_card_of_a_real_model(run, schedule, offered):
    write_card(run, registry.get_entry("gan"), tiny_model("gan", schedule=schedule, steps=600))
    usage = sections((run.folder / "README.md").read_text(encoding="utf-8"))["Usage"]
    assert ("--resume" in usage) == offered and "| `discriminate` | `image float32 [n, 16, 16, 1]` |" in usage


def test_it_is_written_atomically_and_can_be_renewed(run):
    first = card(run)
    assert card(run) == first
    assert not list(run.folder.glob(".*"))
    with open(run.folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(evaluated_row(600, {"kid": 0.5})) + "\n")
    assert "| kid |" in card(run) and "| kid |" not in first


def test_a_failure_leaves_the_previous_card(run, monkeypatch):
    first = card(run)
    monkeypatch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError):
        card(run)
    assert (run.folder / "README.md").read_text(encoding="utf-8") == first


@pytest.mark.parametrize("seconds, text", [(52, "52 s"), (240, "4 min"), (12_000, "3 h 20 min")])
def test_durations(seconds, text):
    assert markdown.format_duration(seconds) == text
