"""`zoo generate` and `zoo export` of a run."""

import types

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from command_line import list_files, read_error, small_acgan, small_gan
from PIL import Image

import zoo
from zoo import __main__ as tool
from zoo.cli import conditions
from zoo.errors import UserError


@pytest.fixture(scope="module")
def run():
    return small_acgan()


def test_generate(run, working_directory, capsys):
    assert tool.main(["generate", str(run), "--count", "6", "--label", "3", "--seed", "7", "--out", "threes.png"]) == 0
    assert "6 images in threes.png" in capsys.readouterr().out
    grid = np.asarray(Image.open("threes.png"))
    assert grid.shape == (2 * 34 - 2, 3 * 34 - 2)
    expected = zoo.load(run).sample([7, 8], label=[3, 3])[..., 0]
    np.testing.assert_allclose(grid[:32, 34:66] / 255, expected[1], atol=1.01 / 255)
    assert tool.main(["generate", str(run), "--count", "3", "--label", "1", "2", "--out", "each"]) == 0
    assert list_files("each") == ["each/seed0-label1.png", "each/seed1-label2.png", "each/seed2-label1.png"]


def test_the_largest_seed(run, working_directory, capsys):
    assert tool.main(["generate", str(run), "--count", "1", "--seed", str(2**63 - 2), "--out", "one"]) == 0
    assert "1 image in one\n" in capsys.readouterr().out
    assert list_files("one") == [f"one/seed{2**63 - 2}-label0.png"]


def test_generate_more_than_one_batch(run, working_directory):
    assert tool.main(["generate", str(run), "--count", "101", "--columns", "1", "--out", "deep/column.png"]) == 0
    assert Image.open("deep/column.png").size == (32, 101 * 34 - 2)


def test_export_writes_the_next_version(run, capsys):
    assert tool.main(["export", str(run), "--checkpoint", "4"]) == 0
    assert capsys.readouterr().out.strip().endswith("export/acgan/2")
    assert "serves version 2" in (run / "README.md").read_text()
    latent, label = tf.zeros([1, 100]), tf.constant([1], tf.int64)
    two, one = (tf.saved_model.load(str(run / "export" / "acgan" / version)).signatures["serving_default"] for version in ("2", "1"))
    assert np.abs(two(latent=latent, label=label)["image"] - one(latent=latent, label=label)["image"]).max() > 0
    assert not [path for path in (run / "export" / "acgan").iterdir() if path.name.startswith(".")]


def test_export_writes_files_for_other_runtimes(run, capsys):
    before = list_files(run / "export" / "acgan"), (run / "README.md").read_text()
    assert tool.main(["export", str(run), "--format", "onnx", "--batch", "2", "--quantize", "dynamic"]) == 0
    output = capsys.readouterr()
    version = run / "export" / "acgan-onnx" / "1"
    assert output.out.strip() == str(version)
    assert sorted(path.name for path in version.iterdir()) == ["discriminate.onnx", "serving_default.onnx"]
    assert "serving_default.onnx: " in output.err and "sample: omitted, because the format lacks StatelessRandomNormalV2" in output.err
    assert (list_files(run / "export" / "acgan"), (run / "README.md").read_text()) == before
    session = onnxruntime.InferenceSession(version / "serving_default.onnx")
    inputs = {"latent": np.zeros((2, 100), np.float32), "label": np.array([3, 4])}
    expected = zoo.load(run).serve("serving_default", **inputs)["image"]
    np.testing.assert_allclose(session.run(["image"], inputs)[0], expected, atol=0.05)


def test_labels_are_refused_by_an_unconditional_model(capsys):
    for label in ("0", "3"):
        error = read_error(capsys, ["generate", str(small_gan()), "--label", label], tool.main)
        assert error.endswith("--label: this model is not class-conditional; omit it")


@pytest.mark.parametrize(
    "argv, parts",
    [
        (["generate", "nowhere"], ["nowhere is not a run"]),
        (["generate"], ["run"]),
        (["generat", "x"], ["generat", "generate"]),
        (["export", "RUN", "--checkpoint", "5"], ["no checkpoint 5", "4", "6"]),
        (["export", "RUN", "--batch", "1"], ["--batch is an option of ONNX and LiteRT files; add --format onnx or --format litert"]),
        (["export", "RUN", "--quantize", "dynamic"], ["--quantize is an option of ONNX and LiteRT files"]),
        (
            ["export", "RUN", "--format", "onnx", "--max-pixels", "9"],
            ["--max-pixels is an option of SavedModels for TensorFlow Serving; omit it, or --format"],
        ),
        (["export", "RUN", "--format", "tflite"], ["--format", "tflite", "saved_model", "onnx", "litert"]),
        (["export", "RUN", "--format", "litert", "--batch", "0"], ["batch 0: expected the number of rows of a request"]),
        (["export", "RUN", "--format", "litert", "--signature", "png"], ["LiteRT lacks operations", "EncodePng", "omit --format"]),
        (["export", "RUN", "--format", "litert", "--signature", "x"], ["unknown signature 'x'. Available: serving_default"]),
        (["generate", "RUN", "--label", "10"], ["--label 10: no such class. Available: 0 = 0, 1 = 1"]),
        (["generate", "RUN", "--count", "0"], ["--count 0"]),
        (["generate", "RUN", "--seed", str(2**63 - 64)], [f"--seed {2**63 - 64}: must be from", f"to {2**63 - 65}"]),
        (["generate", "RUN", "--seed", str(2**70)], [f"--seed {2**70}: must be from"]),
        (["translate", "RUN", "a.png", "b.png", "--seed", str(2**63)], [f"--seed {2**63}: must be from"]),
        (["generate", "RUN", "--cout", "3"], ["unknown option --cout; did you mean --count or --out? All options: zoo generate --help"]),
        (["generate", "RUN", "--label", "a"], ["--label a: no such class", "0 = 0"]),
        (["generate", "RUN", "--columns", "0"], ["--columns 0"]),
        (["generate", "RUN", "--out", "x.jpg"], ["--out x.jpg", "PNG"]),
        (["generate", "RUN", "--truncation", "0"], ["--truncation 0.0", "more than 0"]),
        (["generate", "RUN", "--truncation", "-1"], ["--truncation -1.0", "more than 0"]),
        (["generate", "RUN", "--truncation", "1"], ["--truncation", "does not support it", "biggan"]),
        (["evaluate", "RUN", "--truncation", "nan"], ["--truncation nan", "more than 0"]),
    ],
)
def test_bad_input(run, working_directory, capsys, argv, parts):
    error = read_error(capsys, [str(run) if word == "RUN" else word for word in argv], tool.main)
    assert all(part in error for part in parts), error
    assert list_files() == []


@pytest.mark.parametrize("command", ["translate", "upscale"])
def test_commands_that_the_model_does_not_offer(capsys, command):
    error = read_error(capsys, [command, str(small_gan()), "in.png", "out.png"], tool.main)
    assert f"zoo {command}: this model does not {command} images" in error and "zoo list" in error


def test_classes_are_given_by_name_in_any_case_or_by_number():
    model = types.SimpleNamespace(class_names=("Bag", "Ankle boot", "a", "A", "0"), config=types.SimpleNamespace(num_classes=5))
    for label, number in {"Bag": 0, "bag": 0, "ANKLE BOOT": 1, "a": 2, "A": 3, "0": 4, "1": 1}.items():
        assert conditions.find_class(label, model) == number
    with pytest.raises(UserError, match="did you mean 'Ankle boot'"):
        conditions.find_class("Ankleboot", model)
