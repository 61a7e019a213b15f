"""Scores during training, `zoo evaluate`, `zoo analyze`, `zoo utility` and `zoo compare` of a run."""

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from command_line import GAN, SCORED_GAN, read_error, scored_acgan
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import zoo
from zoo import __main__ as tool
from zoo.cli import train
from zoo.errors import UserError
from zoo.metrics import Evaluation
from zoo.runs import Run


@pytest.fixture(scope="module")
def run():
    return Run(scored_acgan())


def read_text(events, tag):
    (event,) = events.Tensors(tag)
    return event.step, tf.make_ndarray(event.tensor_proto).item().decode()


# -- during training ----------------------------------------------------------------------------------------------------


def test_evaluations_are_scored_and_the_best_checkpoint_saved(run):
    rows = run.rows()
    assert [row["step"] for row in rows] == [4, 8, 12]
    scored = [row for row in rows if "scores" in row]
    assert rows[-1] in scored and all(row["protocol"] == scored[0]["protocol"] and row["scores_seconds"] > 0 for row in scored)
    values = {row["step"]: row["scores"]["recall"] for row in scored}
    best = run.best()
    assert best.name == "recall" and best.value == pytest.approx(max(values.values()), abs=1e-6)
    assert values[best.step] == pytest.approx(best.value, abs=1e-6) and best.extractor == scored[0]["protocol"]["extractor"]
    assert set(scored[0]["scores"]) == {"frechet", "precision", "recall", "class_accuracy"}
    events = EventAccumulator(str(run.folder), size_guidance={"tensors": 0}).Reload()
    assert "scores of 40/recall" in events.Tags()["tensors"]
    text = tf.make_ndarray(events.Tensors("protocol")[0].tensor_proto).item().decode()
    assert scored[0]["protocol"]["extractor_sha256"] in text


def test_best_last_and_numbered_checkpoints_are_loaded(run):
    best, last = (zoo.load(run, which) for which in ("best", "last"))
    assert best.completed_steps == run.best().step and last.completed_steps == 12 and zoo.load(run, 8).completed_steps == 8
    with pytest.raises(UserError, match=r"no checkpoint 7. Available: 0?,? ?4, 8, 12, best \(step"):
        zoo.load(run, 7)


def test_a_resumed_run_keeps_the_better_checkpoint(run, working_directory):
    folder = shutil.copytree(run.folder, working_directory / "run")
    score = folder / "checkpoints/best/score.json"
    score.write_text(json.dumps({**json.loads(score.read_text()), "value": 2.0}))  # no later one can be better
    assert train.main(["--resume", str(folder), "--steps", "16", "--eval-samples", "40", "--best", "recall"]) == 0
    assert Run(folder).best() == run.best()._replace(value=2.0) and Run(folder).rows()[-1]["step"] == 16


def test_scores_can_be_disabled(working_directory):
    assert train.main([*SCORED_GAN, "--eval-samples", "0"]) == 0
    (folder,) = Path("runs").iterdir()
    assert all("scores" not in row for row in Run(folder).rows()) and Run(folder).best() is None


def test_training_writes_the_model_card(run):
    card = (run.folder / "README.md").read_text()
    assert "ACGAN (Odena" in card and "samples/step-000012.png" in card and "recall" in card and (run.folder / "curve.png").exists()
    assert "| `discriminate` | `image float32 [n, 32, 32, 1]` |" in card and "| `sample` | `seed int64 [n]`, `label int64 [n]` |" in card


# -- afterwards -----------------------------------------------------------------------------------------------------------


def test_evaluate(run, working_directory, capsys):
    folder = shutil.copytree(run.folder, working_directory / "run")
    assert tool.main(["evaluate", str(folder), "--count", "60", "--checkpoint", "best", "--metrics", "frechet", "recall"]) == 0
    output = capsys.readouterr().out
    row = Run(folder).rows()[-1]
    assert row["evaluated"] and row["checkpoint"] == "best" and row["step"] == run.best().step and row["protocol"]["fake_images"] == 60
    assert set(row["scores"]) == {"frechet", "recall"}
    assert all(name in output for name in row["scores"]) and "extractor_sha256" in output
    events = EventAccumulator(str(folder / "evaluated"), size_guidance={"tensors": 0}).Reload()
    step, text = read_text(events, "evaluated, best")
    assert step == row["step"] and row["protocol"]["extractor_sha256"] in text and all(name in text for name in row["scores"])
    assert len(Run(folder).rows()) == len(run.rows()) + 1


def test_scores_are_written_elsewhere_for_a_run_that_cannot_be_written(run, working_directory, capsys, monkeypatch):
    """On a read-only disk, or while it is trained."""
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    argv = ["evaluate", str(run.folder), "--count", "40", "--metrics", "recall"]
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != run.folder)
    assert "cannot be written to; write the scores elsewhere: --out FOLDER" in read_error(capsys, argv, tool.main)
    with run.own():
        assert tool.main([*argv, "--out", "scores/here"]) == 0
    (row,) = map(json.loads, Path("scores/here/metrics.jsonl").read_text().splitlines())
    assert row["evaluated"] and row["step"] == 12 and set(row["scores"]) == {"recall"}
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before
    Path("file").touch()
    assert "--out file" in read_error(capsys, [*argv, "--out", "file"], tool.main)


def test_uncertainties_are_recorded_apart(run, working_directory, capsys):
    folder = shutil.copytree(run.folder, working_directory / "run")
    assert tool.main(["evaluate", str(folder), "--count", "60", "--metrics", "kid"]) == 0
    row = Run(folder).rows()[-1]
    assert set(row["scores"]) == set(row["errors"]) == {"kid"} and " ± " in capsys.readouterr().out


def test_old_names_of_scores_and_options(run, working_directory, capsys):
    folder = shutil.copytree(run.folder, working_directory / "run")
    argv = ["evaluate", str(folder), "--count", "60", "--metrics", "memorisation", "--extractor", "classifier"]
    assert tool.main(argv) == 0
    assert set(Run(folder).rows()[-1]["scores"]) == {"memorization"}
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    assert sorted(warnings) == [
        "warning: --extractor is deprecated; use --feature-extractor",
        "warning: memorisation is deprecated; use memorization",
    ]


@pytest.mark.parametrize(
    "argv, parts",
    [
        (["--metrics", "freshet"], ["unknown metric 'freshet'"]),
        (["--metrics", "lpips"], ["unknown metric 'lpips'", "Available: frechet"]),
        (["--count", "1"], ["--count 1", "use 2 to"]),
        (["--checkpoint", "5"], ["no checkpoint 5", "Available:"]),
        (["--seed", "-1"], ["--seed -1"]),
        (["--split", "validation"], ["--split validation"]),
        (["--feature-extractor", "nothing"], ["'nothing'"]),
        (["--data", "nothing"], ["'nothing'"]),
    ],
)
def test_bad_input_of_evaluate(run, capsys, argv, parts):
    before = (run.folder / "metrics.jsonl").read_text()
    error = read_error(capsys, ["evaluate", str(run.folder), *argv], tool.main)
    assert all(part in error for part in parts), error
    assert (run.folder / "metrics.jsonl").read_text() == before


@pytest.mark.parametrize(
    "argv, parts",
    [
        (["--count", "4", "--metrics", "precision"], ["at least 6", "4"]),
        (["--count", "3", "--metrics", "kid"], ["KID", "at least 4", "3"]),
    ],
)
def test_too_few_images_for_a_metric(run, capsys, monkeypatch, argv, parts):
    def draw_noise(self, model, count, conditions=None):
        return np.random.RandomState(0).randint(0, 256, (count, *model.config.image_shape)).astype(np.uint8)

    monkeypatch.setattr(Evaluation, "generate_images", draw_noise)  # samples of a generator after 12 steps may all be the same
    test_bad_input_of_evaluate(run, capsys, argv, parts)


@pytest.mark.parametrize("name", ["evaluate", "analyze", "utility", "compare"])
def test_runs_that_do_not_exist(working_directory, capsys, name):
    assert "nowhere is not a run" in read_error(capsys, [name, "nowhere"], tool.main)
    assert not list(working_directory.iterdir())


def test_a_checkpoint_of_another_model(run, working_directory, capsys):
    folder = shutil.copytree(run.folder, working_directory / "run")
    assert train.main([*GAN, "--run-dir", "other"]) == 0
    shutil.rmtree(folder / "checkpoints")
    shutil.copytree("other/checkpoints", folder / "checkpoints")
    assert "belongs to another model" in read_error(capsys, ["evaluate", str(folder), "--count", "10"], tool.main)


@pytest.fixture
def linear_classifiers(monkeypatch):
    """Linear classifiers in place of convolutional ones, which are tested with the analyses."""
    from zoo.metrics.extractors import small_classifier

    def build(shape, classes, seed=0):
        inputs = keras.Input(shape)
        features = keras.layers.Flatten()(inputs)
        probabilities = keras.layers.Dense(classes, "softmax")(features)
        return keras.Model(inputs, {"features": features, "probabilities": probabilities})

    monkeypatch.setattr(small_classifier, "build_classifier", build)


def test_analyze(run, working_directory, capsys, linear_classifiers):
    folder = shutil.copytree(run.folder, working_directory / "run")
    assert tool.main(["analyze", str(folder), "--count", "100"]) == 0
    output = capsys.readouterr().out
    assert all(word in output for word in ("Discriminability", "Diversity", "Memorization"))
    names = ("discriminability", "diversity", "neighbors")
    assert {path.name for path in (folder / "analysis").iterdir()} == {f"{name}.{suffix}" for name in names for suffix in ("png", "txt")}
    texts = [(folder / "analysis" / f"{name}.txt").read_text() for name in names]
    assert all(text in output and "(step 12); extractor classifier-digits" in text and "fake images 100" in text for text in texts)


def test_utility(run, working_directory, capsys, linear_classifiers):
    folder = shutil.copytree(run.folder, working_directory / "run")
    with pytest.raises(UserError, match="--sizes 5000: digits has 1437 training images"):
        tool.main(["utility", str(folder), "--count", "100", "--sizes", "50", "5000"])
    argv = ["utility", str(folder), "--count", "100", "--sizes", "50", "--repeats", "1", "--updates", "40", "--out", "plots"]
    assert tool.main(argv) == 0
    output = capsys.readouterr().out
    assert "GAN-train" in output and "GAN-test" in output
    files = {"traintest.png", "traintest.txt", "augmentation.png", "augmentation.txt"}
    assert {path.name for path in Path("plots").iterdir()} == files
    assert "checkpoint last (step 12); data digits 1.0.0; split test; image shape" in Path("plots/traintest.txt").read_text()


def test_compare(run, working_directory, capsys):
    folder = shutil.copytree(run.folder, working_directory / "other")
    assert tool.main(["compare", str(run.folder), str(folder), "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3 and Path("compare.png").stat().st_size > 10_000
    text = (folder / "metrics.jsonl").read_text().replace('"fake_images": 40', '"fake_images": 50')
    (folder / "metrics.jsonl").write_text(text)
    assert "fake_images 40" in read_error(capsys, ["compare", str(run.folder), str(folder)], tool.main)
