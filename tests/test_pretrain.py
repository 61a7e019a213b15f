"""benchmarks/pretrain.py makes a pretrained model from its recipe: trained, scored by two extractors, published, on the page."""

import json

import numpy as np
import pytest
from conftest import import_benchmark
from PIL import Image

import zoo
from zoo.errors import UserError
from zoo.pretrained import open_model

pretrain = import_benchmark("pretrain")
fashion = import_benchmark("fashion")
fruits = import_benchmark("fruits")


@pytest.fixture
def recipes(monkeypatch):
    tiny = pretrain.Recipe("gan", "digits", 64 * 4, "--eval-samples 64 --batch-size 64", "digits, badly", ("It is not trained.",))
    monkeypatch.setattr(pretrain, "RECIPES", {"gan-digits": tiny})
    monkeypatch.setattr(pretrain, "EVALUATIONS", 2)


@pytest.mark.slow
def test_a_recipe_gives_a_model_its_scores_and_its_page(recipes, tmp_path, monkeypatch):
    monkeypatch.chdir(pretrain.TOP)  # the extractors are named by their paths from there
    (tmp_path / "docs").mkdir()
    folders = {"--runs": "runs", "--models": "models", "--rows": "docs/pages.jsonl", "--extractors": "extractors"}
    arguments = [word for option, name in folders.items() for word in (option, str(tmp_path / name))]
    assert pretrain.main([*arguments, "--count", "64"]) == 0
    (row,) = map(json.loads, (tmp_path / "docs/pages.jsonl").read_text().splitlines())
    assert row["command"].startswith("python train.py --model gan") and row["images"] == 256 and row["minutes"] >= 0
    assert len(row["scores"]["last"]) == 2 and all(one["scores"]["frechet"] > 0 for one in row["scores"]["last"].values())
    manifest = open_model(tmp_path / "models/gan-digits").manifest
    assert manifest.step == 4 and manifest.license == "cc-by-4.0" and manifest.limits == ["It is not trained."]
    assert [scores.protocol["fake_images"] for scores in manifest.scores] == [64, 64, 64]
    page = (tmp_path / "docs/pages.md").read_text()
    assert "frechet" in page and "(pages/gan-digits.png)" in page and (tmp_path / "docs/pages/gan-digits.png").exists()
    assert 'zoo.load("gan-digits")' in (tmp_path / "models/gan-digits/README.md").read_text()
    assert zoo.load(tmp_path / "models/gan-digits").sample([1]).shape == (1, 32, 32, 1)


def test_every_recipe_is_of_a_model_and_of_data_that_exist():
    for name, recipe in pretrain.RECIPES.items():
        command = pretrain.training_command(pretrain.Options(folders=pretrain.TOP), recipe)
        assert recipe.model in zoo.list_models() and command[0] == "train.py" and recipe.summary, name


def test_mistakes_are_one_line(working_directory):
    with pytest.raises(UserError, match="no recipe for nothing"):
        pretrain.main(["nothing"])
    with pytest.raises(UserError, match="needs the folder"):
        pretrain.training_command(pretrain.Options(), pretrain.Recipe("gan", "folder:x", 64, "", "x"))
    (working_directory / "big").mkdir()
    (working_directory / "big/generator.safetensors").write_bytes(bytes(9_000_000))
    with pytest.raises(UserError, match=r"9.0 MB; at most 8"):
        pretrain.check_sizes(working_directory)


def test_edges_are_drawn_around_a_fruit(working_directory):
    pixels = np.full((64, 64, 3), 255, np.uint8)
    y, x = np.mgrid[:64, :64]
    inside = (y - 32) ** 2 + (x - 32) ** 2 < 20**2
    pixels[inside] = (200, 30, 40)
    for fruit in "ab":
        (working_directory / "fruits" / fruit).mkdir(parents=True)
        for pose in range(9):
            Image.fromarray(pixels).save(working_directory / "fruits" / fruit / f"pose{pose}.jpg")
    assert fruits.main(["fruits", "edges"]) == 0
    files = {split: sorted((working_directory / "edges" / split).iterdir()) for split in ("train", "test")}
    assert [len(files[split]) for split in ("train", "test")] == [14, 4]
    pair = np.asarray(Image.open(files["train"][0]))
    assert pair.shape == (64, 128, 3)
    black = np.argwhere(pair[:, :64, 0] == 0)
    distance = np.hypot(*(black - 32).T)
    assert 60 < len(black) < 500 and np.mean(abs(distance - 20) < 3) > 0.9
    with pytest.raises(UserError, match="has no FRUIT"):
        fruits.main(["edges", "out"])


@pytest.mark.slow
def test_interpolations_run_from_one_class_to_another(working_directory):
    run = zoo.train("gan", data="digits", steps=2, eval_samples=0, run_dir="run")
    arguments = ["--model", str(run.folder), "--start", "0", "--end", "1", "--data", "digits", "--feature-extractor", "classifier:2"]
    assert fashion.main([*arguments, "--rows", "2", "--columns", "3", "--candidates", "40", "--page", "page.md"]) == 0
    with Image.open("page.png") as picture:
        assert picture.size == (2 * (3 * 34 - 2), 2 * (2 * 34 - 2))  # 32 pixels and a gap of 2
    assert "(page.png)" in (working_directory / "page.md").read_text()
    with pytest.raises(UserError, match="no class Coat. Available: 0, 1"):
        fashion.main([*arguments[:2], *arguments[6:], "--page", "page.md"])


def test_interpolations_keep_the_length_of_latent_vectors():
    start, end = np.array([1, 0, 0], np.float32), np.array([0, 0, 1], np.float32)
    points = fashion.interpolate(start, end, np.linspace(0, 1, 3, dtype=np.float32)).numpy()
    np.testing.assert_allclose(points, [start, [0.5**0.5, 0, 0.5**0.5], end], atol=1e-6)
