"""Bad input of the train command: one line that says what to change, and nothing is written."""

from pathlib import Path

import pytest
from command_line import SCORED_GAN, list_files, read_error
from PIL import Image

from zoo.cli import parsing


@pytest.mark.parametrize(
    "argv, parts",
    [
        ([], ["which model?", "`zoo list`"]),
        (["--model", "gan", "--model", "acgan"], ["--model is given 2 times; give it once"]),
        (["--model", "gan", "--model=gan"], ["--model is given 2 times"]),
        (["--resume", "a", "--resume", "b"], ["--resume is given 2 times"]),
        (["--model", "acgn"], ["unknown model 'acgn'", "did you mean 'acgan' or", "`zoo list`"]),
        (
            ["--model", "acgan", "--latent-dimm", "3"],
            ["unknown option --latent-dimm; did you mean --latent-dim? All options: train.py --model acgan --help"],
        ),
        (["--model", "acgan", "--latent-dim", "x"], ["--latent-dim: expected an integer, got 'x' ("]),
        (["--model", "gan", "--objective", "hinge"], ["hinge", "minimax"]),
        (["--model", "gan", "--data", "digit"], ["'digit'", "did you mean 'digits'", "folder:PATH"]),
        (["--model", "gan", "--data", "folder:nowhere"], ["folder", "nowhere"]),
        (["--model", "gan", "--batch-size", "0"], ["--batch-size 0", "more than 0"]),
        (["--model", "gan", "--batch-size", "5000"], ["5000 images", "digits has 1437 training images; --batch-size 1437 is the largest"]),
        (["--model", "gan", "--steps", "-1"], ["--steps -1"]),
        (["--model", "dcgan", "--image-shape", "4", "4", "1"], ["4x4 pixels", "8 to 1024"]),
        (["--model", "dcgan", "--image-shape", "32", "32", "2"], ["2 channels", "1, 3 or 4"]),
        (["--model", "gan", "--seed", "-1"], ["--seed -1"]),
        (["--model", "gan", "--dropout", "1.5"], ["--dropout 1.5", "less than 1"]),
        (["--model", "acgan", "--generator-widths"], ["--generator-widths", "at least one"]),
        (["--model", "acgan", "--num-classes", "3"], ["--num-classes 3", "digits has 10"]),
        (["--model", "acgan", "--num-classes", "12"], ["--num-classes 12", "digits has 10"]),
        (["--model", "drgan", "--num-poses", "3"], ["--num-poses 3: turned_digits has 9 poses; omit the option"]),
        (
            ["--model", "gan", "--generator-learning-rate", "1e39"],
            ["--generator-learning-rate 1e+39: must be 0 or from 1.2e-38 to 3.4e+38"],
        ),
        (["--model", "gan", "--decay-end", "5"], ["--decay-end 5 needs a learning rate that decays: --schedule linear or cosine"]),
        (["--model", "gan", "--augment", "color", "color"], ["--augment color color: give each value once"]),
        (["--model", "gan", "--steps", "3", "--steps=4"], ["--steps is given 2 times; give it once"]),
        (["--model", "gan", "--every", "3", "--eval-every", "4"], ["--eval-every is given 2 times"]),
        (["--model", "gan", "--resume", ""], ["--resume is empty"]),
        (["--model", "gan", "--data-dir", ""], ["--data-dir is empty"]),
        (["--model", "gan", "--dry-run", "--run-dir", "/proc/run"], ["cannot create the run's folder", "/proc/run"]),
        (["--model", "gan", "--dry-run", "--feature-extractor", "nothing"], ["unknown feature extractor 'nothing'"]),
        (["--model", "gan", "--dry-run", "--feature-extractor", "file:no.keras"], ["file:no.keras: no such file"]),
        (["--model", "gan", "--eval-samples", "1000000000"], ["--eval-samples 1000000000: must be from 0 to 10,000,000"]),
        (
            ["--model", "gan", "--batch-size", "2048", "--gradient-accumulation", "8", "--discriminator-steps", "2"],
            ["takes 4096 images (2 times --batch-size 2048)", "--batch-size 712 is the largest"],
        ),
        (["--model", "gan", "--steps-per-execution", "0"], ["--steps-per-execution 0"]),
        (["--model", "gan", "--xla", "on", "--strategy", "mirrored"], ["--xla on", "--strategy none"]),
        (["--model", "pggan", "--image-shape", "24", "24", "1"], ["24x24 pixels", "4x4", "--image-shape 16 16 1"]),
        (["--model", "sgan", "--labels", "5"], ["--labels 5", "the 10 classes"]),
        (["--model", "sgan", "--labels", "9999"], ["--labels 9999", "digits has 1437 training"]),
        (["--model", "autoencoder", "--discriminator-steps", "2"], ["--discriminator-steps", "no discriminator"]),
        (["--model", "vae", "--augment", "color"], ["--augment", "no discriminator"]),
        (["--model", "gan", "--decay-start", "0.5"], ["--decay-start", "--schedule linear or cosine"]),
        (["--model", "gan", "--schedule", "linear", "--final-rate", "2"], ["--final-rate 2", "at most 1"]),
        (["--model", "dcgan", "--gradient-accumulation", "5"], ["--batch-size 64", "--gradient-accumulation 5"]),
        (["--model", "dcgan", "--decay-start", "1"], ["--decay-start 1", "less than 1"]),
        (["--model", "dcgan", "--augment", "colour"], ["colour", "color"]),
        (["--model", "dcgan", "--learning-rate-decay", "0"], ["--learning-rate-decay 0", "more than 0"]),
        (["--model", "dcgan", "--optimizer", "rmsprop", "--beta-1", "0.9"], ["--beta-1 0.9", "rmsprop"]),
        (["--model", "lsgan_112", "--generator-widths", "8", "8", "8"], ["one less than --generator-widths, of which there are 3"]),
        (["--model", "r3gan_32", "--widths", "100"], ["--group 16: must divide 200"]),
        (["--model", "sgan_32", "--image-shape", "8", "8", "1"], ["images of 8x8 pixels", "at least 9"]),
        (["--model", "gan", "--data", "cifar10:9.9.9"], ["TFDS cannot", "cifar10:9.9.9"]),
        (
            ["--model", "gan", "--image-shape", "8", "8"],
            ["--image-shape: expected INT INT INT, got 8 8 (height, width and channels", "train.py --model gan --help"],
        ),
        (["--model", "infogan", "--latent-dim", "12"], ["--latent-dim 12", "12"]),
        (["--model", "gan", "--labels", "100"], ["--labels", "--labels is an option of sgan, sgan_32, sgan_mnist"]),
        (["--resume", "nowhere"], ["nowhere is not a run"]),
        (["--resume"], ["which run?"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(working_directory, capsys, argv, parts):
    error = read_error(capsys, argv)
    assert all(part in error for part in parts), error
    assert list_files() == []


@pytest.mark.parametrize(
    "argv, parts",
    [
        (["--best", "freshet"], ["unknown metric 'freshet'", "did you mean 'frechet'?"]),
        (["--best", "lpips"], ["unknown metric 'lpips'", "Available: ", "frechet"]),
        (["--best", "class_accuracy"], ["class_accuracy needs a model with classes"]),
        (["--eval-samples", "1"], ["--eval-samples 1: must be at least 10, or 0 to disable scores"]),
        (["--feature-extractor", "keras:Nothing"], ["keras.applications", "Nothing"]),
    ],
)
def test_bad_input_of_scores(working_directory, capsys, argv, parts):
    error = read_error(capsys, [*SCORED_GAN, *argv])
    assert all(part in error for part in parts), error
    assert not Path("runs").exists()


@pytest.mark.parametrize("fault", ["no network", "no server"])
def test_a_data_set_that_cannot_be_downloaded(working_directory, capsys, monkeypatch, fault):
    def fail(*args, **kwargs):
        raise ConnectionError("no route to host")

    if fault == "no network":
        monkeypatch.setattr("socket.getaddrinfo", fail)
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setattr("zoo.data.builders.is_online", lambda: True)
        monkeypatch.setattr("tensorflow_datasets.core.DatasetBuilder.download_and_prepare", fail)
    error = read_error(capsys, ["--model", "gan", "--data", "mnist", "--data-dir", str(working_directory / "tfds")])
    for part in ("'mnist' is not in", "tfds/mnist/3.0.1", "could not be downloaded", "--data-dir", "digits"):
        assert part in error
    assert list_files() == []


def test_a_data_set_without_labels(working_directory, capsys):
    for i in range(4):
        Image.new("L", (16, 16)).save(working_directory / f"{i}.png")
    before = list_files()
    error = read_error(capsys, ["--model", "acgan", "--data", f"folder:{working_directory}"])
    for part in ("is a flat folder", "needs class labels", "one folder per class"):
        assert part in error
    assert list_files() == before


def test_one_image_is_too_few(working_directory, capsys):
    Image.new("L", (16, 16)).save(working_directory / "alone.png")
    error = read_error(capsys, ["--model", "gan", "--data", f"folder:{working_directory}", "--batch-size", "1"])
    assert "has 1 training image; at least 2 are needed" in error and list_files() == ["alone.png"]


def test_an_empty_folder(working_directory, capsys):
    assert "no pictures in" in read_error(capsys, ["--model", "gan", "--data", f"folder:{working_directory}"])


def test_a_bug_is_a_traceback():
    with pytest.raises(ZeroDivisionError):
        parsing.run(lambda: 1 / 0, "train.py")
