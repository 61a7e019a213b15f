"""`zoo publish`, and the commands that use what it writes, or a pretrained model, in place of a run."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import yaml
from command_line import read_error
from conftest import tiny_model
from PIL import Image

import zoo
from zoo import __main__ as tool
from zoo.cli.request import parse_request
from zoo.pretrained import published
from zoo.runs import DataRecord, Run, RunRecord

SETTINGS = {"image_shape": (16, 16, 1), "num_classes": 10}


def write_run(folder, name, data="digits", **settings):
    model = tiny_model(name, **settings)
    class_names = [str(i) for i in range(model.config.num_classes)] if "label" in model.batch_keys else None
    record = RunRecord(
        name, dataclasses.asdict(model.config), DataRecord(data, "1.0.0", class_names), "float32", 1, False, command="python x"
    )
    run = Run.create(record, folder)
    run.manager(model).save(checkpoint_number=0)
    (folder / "samples").mkdir()
    Image.new("L", (8, 8)).save(folder / "samples" / "step-000000.png")
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a published model of noise, one of images, and their runs."""
    folder = tmp_path_factory.mktemp("published")
    for name in ("acgan", "pix2pix", "srresnet"):
        write_run(folder / f"run-{name}", name, **(SETTINGS if name == "acgan" else {}))
        words = ["--license", "mit", "--limit", "It is | not trained.", "A second one."]
        assert tool.main(["publish", str(folder / f"run-{name}"), "--to", str(folder / f"{name}-tiny"), *words]) == 0
    return folder


@pytest.fixture
def shipped(folder, monkeypatch):
    """The published models have names, as those of this package."""
    monkeypatch.setattr(published, "SHIPPED", folder)
    return folder


def test_a_card_has_the_head_of_the_hub_and_every_section(folder):
    _, head, text = (folder / "acgan-tiny" / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(head) == {
        "license": "mit",
        "library_name": "gan-zoo",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["generative-adversarial-network", "acgan", "digits"],
    }
    for part in (
        "# acgan-tiny",
        "## Usage",
        "## Data and license",
        "Alpaydin",
        "## Scores",
        "python x",
        "It is \\| not trained.",
        "misuse",
    ):
        assert part in text, part
    assert "samples.png" in text and Image.open(folder / "acgan-tiny" / "samples.png").size == (8, 8)
    head = (folder / "pix2pix-tiny" / "README.md").read_text().split("---\n", 2)[1]
    assert yaml.safe_load(head)["pipeline_tag"] == "image-to-image"


def test_a_model_is_used_by_its_name(shipped, working_directory, capsys):
    assert tool.main(["generate", "acgan-tiny", "--label", "3", "--count", "4", "--out", "threes.png"]) == 0
    assert Image.open("threes.png").size[0] > 32
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save("x.png")
    assert tool.main(["translate", "pix2pix-tiny", "x.png", "y.png"]) == 0 and Image.open("y.png").size == (16, 16)
    assert tool.main(["upscale", "srresnet-tiny", "x.png", "z.png"]) == 0 and Image.open("z.png").size == (64, 64)
    assert tool.main(["export", "acgan-tiny", "--out", "export"]) == 0 and (working_directory / "export/1/saved_model.pb").exists()
    capsys.readouterr()
    assert tool.main(["list", "--pretrained"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("acgan-tiny", "srresnet-tiny", "digits", "mit", "0.")) and "run-acgan" not in listed
    assert zoo.list_models(pretrained=True) == ["acgan-tiny", "pix2pix-tiny", "srresnet-tiny"]
    assert zoo.list_models("ac*", pretrained=True) == ["acgan-tiny"] and "acgan-tiny" not in zoo.list_models()


@pytest.mark.slow
def test_a_model_is_scored_by_its_name(shipped, working_directory, capsys):
    words = ["evaluate", "acgan-tiny", "--data", "digits", "--count", "64", "--metrics", "frechet"]
    assert tool.main([*words, "--out", "scores"]) == 0
    (row,) = map(json.loads, (working_directory / "scores/metrics.jsonl").read_text().splitlines())
    assert row["scores"]["frechet"] > 0 and row["step"] == 0


@pytest.mark.parametrize(
    "argv, parts",
    [
        (["generate", "acgan-tony"], ["acgan-tony is not a run", "did you mean 'acgan-tiny'?"]),
        (["generate", "acgan-tiny", "--checkpoint", "best"], ["no checkpoint best", "step 0"]),
        (["generate", "pix2pix-tiny"], ["image-to-image model"]),
        (["export", "acgan-tiny"], ["acgan-tiny is not a run", "--out FOLDER"]),
        (["evaluate", "acgan-tiny"], ["acgan-tiny is not a run", "--out FOLDER"]),
        (["analyze", "acgan-tiny"], ["acgan-tiny is not a run", "--out FOLDER"]),
        (["utility", "acgan-tiny"], ["acgan-tiny is not a run", "--out FOLDER"]),
        (["generate", "https://127.0.0.1:1/x.zip"], ["needs the SHA-256"]),
        (["generate", "s3://bucket/x"], ["s3:// addresses are not supported"]),
        (["publish", "nowhere"], ["nowhere is not a run"]),
        (["publish", "acgan-tiny"], ["acgan-tiny is not a run"]),
        (["publish", "RUN", "--to", "taken"], ["--to taken already exists"]),
        (["publish", "RUN", "--to", "file"], ["--to file already exists"]),
        (["publish", "RUN", "--to", "hf://name"], ["expected hf://USER/NAME"]),
        (["publish", "RUN", "--to", "https://host/x"], ["--to https://host/x: expected a folder, or hf://USER/NAME"]),
        (["publish", "RUN", "--license", "CC BY"], ["--license 'CC BY'", "SPDX"]),
        (["evaluate", "acgan-tiny", "--live", "--out", "x", "--data", "digits"], ["--live", "only the moving average"]),
        (["publish", "RUN", "--name", "No Name"], ["--name No Name"]),
        (["publish", "RUN", "--checkpoint", "7"], ["no checkpoint 7"]),
    ],
)
def test_bad_input(shipped, working_directory, capsys, argv, parts):
    (working_directory / "taken").mkdir()
    (working_directory / "taken" / "x").write_text("")
    (working_directory / "file").write_text("")
    before = sorted(working_directory.rglob("*"))
    error = read_error(capsys, [str(shipped / "run-acgan") if word == "RUN" else word for word in argv], tool.main)
    assert all(part in error for part in parts), error
    assert sorted(working_directory.rglob("*")) == before


def test_data_without_a_known_license_need_one(folder, working_directory, capsys):
    run = working_directory / "run"
    shutil.copytree(folder / "run-acgan", run)
    record = json.loads((run / "config.json").read_text())
    record["data"]["name"] = "folder:/home/someone/faces"
    (run / "config.json").write_text(json.dumps(record))
    assert "--license" in read_error(capsys, ["publish", str(run), "--to", "out"], tool.main)
    assert tool.main(["publish", str(run), "--to", "out", "--license", "cc0-1.0", "--attribution", "By me."]) == 0
    assert "By me." in (working_directory / "out/README.md").read_text()
    assert all("/home/someone" not in path.read_text() for path in (working_directory / "out").glob("*.[jm][sd]*"))


def test_the_networks_are_those_of_the_model_that_training_starts_from(folder):
    source = Run(folder / "run-acgan").record.config
    request = parse_request(["--model", "acgan_32", "--init-from", str(folder / "acgan-tiny"), "--latent-dim", "7"], "train.py")
    preset = request.entry.config
    assert request.config.generator_widths == tuple(source["generator_widths"]) != preset.generator_widths
    assert request.config.image_shape == (16, 16, 1)
    assert request.config.latent_dim == 7 != source["latent_dim"]  # typed
    assert (request.config.batch_size, request.config.steps) == (preset.batch_size, preset.steps)  # of the training, not of the networks
    other = parse_request(["--model", "dcgan", "--init-from", str(folder / "acgan-tiny")], "train.py")
    assert other.config == other.entry.config  # of another paper
