"""A whole run of a translator from the command line: its scores and card, `zoo translate`, and `--init-from`."""

import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from conftest import same_arrays, to_numpy, weights
from PIL import Image

import zoo
from zoo import __main__ as tool
from zoo import data, registry
from zoo.cli.session import TrainingSession
from zoo.cli.train import main as train_main
from zoo.errors import UserError

SMALL = ["--width", "4", "--blocks", "1", "--discriminator-width", "4", "--image-shape", "16", "16", "3", "--batch-size", "2"]
CYCLEGAN = ["--model", "cyclegan", "--data", "folder:colors", *SMALL]
SHORT = ["--steps", "2", "--eval-every", "2", "--eval-samples", "0"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Four steps of a small CycleGAN between red and blue pictures."""
    previous, folder = os.getcwd(), tmp_path_factory.mktemp("domains")
    draw = np.random.RandomState(0)
    for part in ("trainA", "trainB", "testA", "testB"):
        (folder / "colors" / part).mkdir(parents=True)
        for i in range(25):
            pixels = draw.randint(0, 90, (16, 16, 3)).astype(np.uint8)
            pixels[4:12, 4:12, 0 if part[-1] == "A" else 2] = 250
            tf.io.write_file(str(folder / "colors" / part / f"{i}.png"), tf.io.encode_png(pixels))
    os.chdir(folder)
    try:
        assert train_main([*CYCLEGAN, "--steps", "4", "--eval-every", "2", "--data-dir", str(folder)]) == 0
        yield folder / "runs" / "cyclegan-colors-0001"
    finally:
        os.chdir(previous)


def test_a_run_has_its_scores_and_a_card(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    scores = rows[-1]["scores"]
    assert set(scores) == {"cycle_error", "translation_accuracy"}
    assert 0 < scores["cycle_error"] < 1 and 0 <= scores["translation_accuracy"] <= 1
    protocol = rows[-1]["protocol"]
    assert protocol["fake_images"] == 0 and protocol["real_images"] == 25 and protocol["split"] == "test"
    assert json.loads((run / "checkpoints" / "best" / "score.json").read_text())["name"] == "translation_accuracy"
    card = (run / "README.md").read_text()
    for text in (
        "25 held-out examples",
        "| cycle error | lower |",
        "| `to_x` | `image float32 [n, height, width, 3]` |",
        'model.serve("to_y", image=...)',
        "below them their translations, and below these the translations back",
    ):
        assert text in card, text
    assert "zoo generate" not in card


def test_evaluate_computes_the_models_own_scores(run, capsys):
    assert tool.main(["evaluate", str(run)]) == 0
    assert "cycle_error" in capsys.readouterr().out
    assert tool.main(["evaluate", str(run), "--metrics", "cycle_error"]) == 0
    output = capsys.readouterr().out
    assert "cycle_error" in output and "translation_accuracy " not in output
    with pytest.raises(UserError, match="does not support psnr_x"):
        tool.main(["evaluate", str(run), "--metrics", "psnr_x"])
    with pytest.raises(UserError, match="unknown metric 'cycle_err'; did you mean 'cycle_error'"):
        tool.main(["evaluate", str(run), "--metrics", "cycle_err"])
    with pytest.raises(UserError, match="--live: image-to-image models are evaluated by their EMA networks"):
        tool.main(["evaluate", str(run), "--live"])


@pytest.mark.parametrize("command", [["generate"], ["analyze"], ["utility"], ["evaluate", "--metrics", "frechet"]])
def test_commands_that_need_samples_are_refused(run, command):
    with pytest.raises(UserError, match=f"zoo {command[0]}.*image-to-image model.*translate RUN IMAGE OUT.png.*cycle_error"):
        tool.main([command[0], str(run), *command[1:]])


def test_an_image_is_translated_as_the_model_is_served(run, working_directory, capsys):
    pixels = np.random.RandomState(0).randint(0, 255, (13, 18, 3)).astype(np.uint8)  # sides that are not multiples of 4
    Image.fromarray(pixels).save("in.png")
    model, written = zoo.load(run), {}
    for words, signature in ((), "to_y"), (("--signature", "to_x"), "to_x"):
        assert tool.main(["translate", str(run), "in.png", "out/out.png", *words]) == 0
        assert f"in.png (18x13) by {signature} in out/out.png" in capsys.readouterr().out
        written[signature] = np.asarray(Image.open("out/out.png"))
        served = to_numpy(model.serve(signature, image=pixels[None] / 255)["image"])[0]
        np.testing.assert_array_equal(written[signature], np.rint(served * 255))
    assert np.abs(written["to_x"].astype(int) - written["to_y"]).max() > 5
    for words, message in (
        (["none.png", "out.png"], "none.png cannot be read"),
        (["in.png", "out.gif"], "out.gif: images are written as PNG"),
        (["in.png", "out.png", "--signature", "sideways"], "--signature sideways: this model translates by to_y and to_x"),
        (["in.png", "out.png", "--pose", "1"], "--pose: to_y of this model does not take a pose"),
    ):
        with pytest.raises(UserError, match=message):
            tool.main(["translate", str(run), *words])
    for signature, inputs, message in (
        ("to_z", {}, "unknown signature 'to_z'. Available: serving_default, to_y, "),
        ("to_y", {"picture": pixels}, "to_y takes image: image is missing, picture is unknown"),
        ("to_y", {"image": pixels / 255}, r"image has shape \[13, 18, 3\]; to_y takes \[None, None, None, 3\]"),
    ):
        with pytest.raises(UserError, match=message):
            model.serve(signature, **inputs)


def test_a_training_that_stopped_before_its_first_checkpoint_still_starts_from_the_other_run(run, tmp_path, monkeypatch):
    folder = tmp_path / "second"
    starts = []
    monkeypatch.setattr(TrainingSession, "_fit", lambda self, run: starts.append(weights(self.model.generator)) or 1)
    train_main([*CYCLEGAN, *SHORT, "--seed", "3", "--init-from", str(run), "--run-dir", str(folder)])
    train_main(["--resume", str(folder)])
    expected = weights(zoo.load(run).ema_generator)
    assert len(starts) == 2 and same_arrays(starts[0], expected) and same_arrays(starts[1], expected)
    with pytest.raises(UserError, match="init"):
        train_main(["--resume", str(folder), "--init-from", str(folder)])


def test_a_training_starts_from_the_generator_of_another_run(run, tmp_path):
    arguments = [*CYCLEGAN, *SHORT, "--init-from", str(run), "--generator-learning-rate", "1e-12"]
    wider = [word if before != "--width" else "8" for before, word in zip(["", *arguments], arguments, strict=False)]
    assert train_main([*arguments, "--run-dir", str(tmp_path / "second")]) == 0
    first, second = zoo.load(run), zoo.load(tmp_path / "second")
    for weight, start in zip(second.generator.weights, first.ema_generator.weights, strict=True):
        np.testing.assert_allclose(to_numpy(weight), to_numpy(start), atol=1e-5)
    with pytest.raises(UserError, match="--init-from .*: its generator .* differs from this model's"):
        train_main([*wider, "--run-dir", str(tmp_path / "third")])
    with pytest.raises(UserError, match="nowhere is not a run"):
        train_main(["--model", "cyclegan", "--init-from", "nowhere", "--run-dir", str(tmp_path / "fourth")])
    assert not (tmp_path / "third").exists() and not (tmp_path / "fourth").exists()


def test_settings_that_a_translator_does_not_support_are_refused(run):
    with pytest.raises(UserError, match="frechet.*Available: translation_accuracy, cycle_error"):
        train_main([*CYCLEGAN, "--best", "frechet"])
    with pytest.raises(UserError, match="the model needs pair, but .* has only x and y"):
        train_main(["--model", "pix2pix", "--data", "outlines"])


def test_a_folder_is_translated(run, tmp_path, capsys):
    """Each image of it, in folders within it as well, under its name as PNG, at its own size; what is left out or converted is counted."""
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "deeper").mkdir(parents=True)
    Image.new("RGB", (20, 12), "red").save(folder / "a.jpg")
    Image.new("RGBA", (16, 16), (255, 0, 0, 128)).save(folder / "deeper" / "b.png")
    (folder / "notes.txt").write_text("no image")
    assert tool.main(["translate", str(run), str(folder), str(out), "--signature", "to_y"]) == 0
    captured = capsys.readouterr()
    assert f"2 images of {folder} in {out}" in captured.out
    assert f"warning: pictures in {folder}: 1 of another type (.txt); 1 with transparency, composited onto white\n" in captured.err
    assert {str(file.relative_to(out)) for file in out.rglob("*.png")} == {"a.png", "deeper/b.png"}
    assert Image.open(out / "a.png").size == (20, 12)
    assert tool.main(["translate", str(run), str(folder / "a.jpg"), str(tmp_path / "a.png"), "--signature", "to_y"]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), np.asarray(Image.open(out / "a.png")))
    assert tool.main(["translate", str(run), str(folder), str(tmp_path / "small"), "--size", "8", "8"]) == 0
    assert {Image.open(file).size for file in (tmp_path / "small").rglob("*.png")} == {(8, 8)}


@pytest.mark.parametrize("crop", ["center", "pad", "none"])
def test_images_are_resized_like_those_that_the_run_was_trained_on(run, tmp_path, monkeypatch, crop):
    copy, folder = tmp_path / "run", tmp_path / "pictures"
    shutil.copytree(run, copy)
    record = json.loads((copy / "config.json").read_text())
    record["options"]["crop"] = crop
    (copy / "config.json").write_text(json.dumps(record))
    folder.mkdir()
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 255, (20, 13, 29, 3), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    model = registry.get_entry("cyclegan").model
    inputs, serve = [], model.serve
    monkeypatch.setattr(model, "serve", lambda self, name, image: inputs.append(image) or serve(self, name, image=image))
    assert tool.main(["translate", str(copy), str(folder), str(tmp_path / "out"), "--size", "8", "12"]) == 0
    source = data.open_source(f"folder:{folder}", image_shape=(8, 12, 3), reading=data.Reading(crop=crop))
    trained = np.concatenate([source.load(split)["image"] for split in source.sizes])
    translated = np.concatenate(inputs) * 255
    assert len(trained) == 20 and sorted(map(bytes, trained)) == sorted(map(bytes, translated.round().astype(np.uint8)))


@pytest.mark.parametrize(
    ("picture", "out", "message"),
    [
        ("folder", "x.png", "is a folder; give the name of a folder to write"),
        ("empty", "x", "no images in"),
        ("a.png", "x", "as PNG; give"),
    ],
)
def test_folders_and_files_are_not_confused(run, tmp_path, capsys, picture, out, message):
    from command_line import read_error

    for name in ("folder", "empty"):
        (tmp_path / name).mkdir()
    for name in ("folder/a.png", "a.png"):
        Image.new("RGB", (16, 16)).save(tmp_path / name)
    assert message in read_error(capsys, ["translate", str(run), str(tmp_path / picture), str(tmp_path / out)], tool.main)


def test_results_do_not_overwrite_images(run, tmp_path, capsys):
    from command_line import read_error

    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "a.jpg"):
        Image.new("RGB", (16, 16)).save(folder / name)
    error = read_error(capsys, ["translate", str(run), str(folder), str(tmp_path / "out")], tool.main)
    assert "a.jpg and a.png" in error and "rename one" in error
    (folder / "a.jpg").rename(folder / "b")  # recognized by its content
    for out in (folder, folder / "out"):
        assert "would be mixed with their results" in read_error(capsys, ["translate", str(run), str(folder), str(out)], tool.main)
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes()[:40])
    assert "c.png" in read_error(capsys, ["translate", str(run), str(folder), str(tmp_path / "out")], tool.main)
    assert not (tmp_path / "out").exists()
    (folder / "c.png").unlink()
    assert tool.main(["translate", str(run), str(folder), str(tmp_path / "out")]) == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]
