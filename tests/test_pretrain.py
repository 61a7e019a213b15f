"""benchmarks/pretrain.py makes a pretrained model from its recipe: trained, scored by two extractors, published, on the page."""

import json

import numpy as np
import pytest
from conftest import import_benchmark
from PIL import Image

import zoo
from zoo.cli.request import parse_request
from zoo.errors import UserError
from zoo.pretrained import open_model

pretrain = import_benchmark("pretrain")
fashion = import_benchmark("fashion")
fine_tuning = import_benchmark("fine_tuning")
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


def test_every_recipe_is_a_valid_command(monkeypatch):
    monkeypatch.setattr("zoo.cli.request._inherit_settings", lambda entry, init_from: entry.config)  # that model may not be made yet
    for name, recipe in pretrain.RECIPES.items():
        command = pretrain.training_command(pretrain.Options(folders=pretrain.TOP), recipe)
        request = parse_request(command[1:], command[0])
        assert request.options.model == recipe.model and recipe.summary, name
        request.config.validate()
        images = request.config.steps * request.config.batch_size * request.config.discriminator_steps
        assert recipe.images * 0.99 < images <= recipe.images


def test_mistakes_are_one_line(working_directory):
    with pytest.raises(UserError, match="no recipe for nothing"):
        pretrain.main(["nothing"])
    with pytest.raises(UserError, match="needs the folder"):
        pretrain.training_command(pretrain.Options(), pretrain.Recipe("gan", "folder:x", 64, "", "x"))
    (working_directory / "big").mkdir()
    (working_directory / "big/generator.safetensors").write_bytes(bytes(9_000_000))
    with pytest.raises(UserError, match=r"9.0 MB; at most 8"):
        pretrain.check_sizes(working_directory)


def test_folders_of_fruits_are_made_from_their_photographs(working_directory):
    y, x = np.mgrid[:100, :100] - 50
    for i, (name, axis) in enumerate([("Apple Red 1", "r0_"), ("Apple Golden 1", ""), ("Tomato 1", ""), ("Banana 1", "")]):
        for split, step in (("Training", 2), ("Test", 5)):
            (working_directory / "checkout" / split / name).mkdir(parents=True)
            for index in range(0, 328, step):
                pixels = np.where((np.hypot(y, x) < 32)[..., None], [200 - 40 * i, index // 2, 20], 255).astype(np.uint8)
                Image.fromarray(pixels).save(working_directory / "checkout" / split / name / f"{axis}{index}_100.jpg")
    assert fruits.main(["checkout", "out"]) == 0
    out = working_directory / "out"
    assert sorted(path.name for path in (out / "fruits_rot").iterdir()) == ["Apple_Golden_1", "Apple_Red_1", "Tomato_1"]
    poses = sorted((out / "fruits_rot" / "Apple_Red_1").iterdir())
    assert [path.name for path in poses] == [f"pose{i:02d}.jpg" for i in range(48)]
    turn = [np.asarray(Image.open(path))[32, 32, 1] for path in poses]
    np.testing.assert_allclose(turn, np.arange(48) * 328 / 48 / 2, atol=5)  # equal angles
    counts = {path.name: len(list(path.iterdir())) for path in (out / "apples").iterdir()}
    assert counts == {"trainA": 65, "testA": 17, "trainB": 65, "testB": 17}
    assert (out / "apples/testA/Apple_Red_1_r0_20.jpg").exists() and (out / "apples/trainB/Apple_Golden_1_4.jpg").exists()
    assert [len(list((out / "edges" / split).iterdir())) for split in ("train", "test")] == [3 * 42, 3 * 6]
    pair = np.asarray(Image.open(out / "edges/train/Tomato_1-pose09.png"))
    assert pair.shape == (64, 128, 3)
    black = np.argwhere(pair[:, :64, 0] == 0)
    distance = np.hypot(*(black - 31.5).T)
    assert 60 < len(black) < 500 and np.mean(abs(distance - 20.5) < 3) > 0.9
    with pytest.raises(UserError, match="give the checkout of Fruits-360"):
        fruits.main(["out", "again"])


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


@pytest.mark.slow
def test_fine_tuning_is_compared_with_training_from_scratch(working_directory):
    draw = np.random.RandomState(0)
    for variety in ("Apple_1", "Cherry_1", "Tomato_1", "Pear_1"):
        (working_directory / "fruits" / variety).mkdir(parents=True)
        for i in range(70):
            Image.fromarray(draw.randint(0, 256, (32, 32, 3), np.uint8)).save(working_directory / "fruits" / variety / f"{i}.png")
    words = ["fruits", "--examples", "64", "--steps", "4", "--base-steps", "2", "--evaluations", "2", "--seeds", "1", "--runs", "runs"]
    assert fine_tuning.main([*words, "--count", "64", "--frozen", "1", "--rows", "page.jsonl"]) == 0
    assert {path.name for path in (working_directory / "runs" / fine_tuning.TARGET).iterdir()} == {"Cherry_1", "Tomato_1"}
    rows = list(map(json.loads, (working_directory / "page.jsonl").read_text().splitlines()))
    starts = ["from scratch", "from dcgan-fashion (clothes)", "from apples", "from apples, 1 layers frozen"]
    assert [row["start"] for row in rows] == starts
    for row in rows:
        assert [point["step"] for point in row["curve"]] == [2, 4] and all(len(point["frechet"]) == 2 for point in row["curve"])
    assert len({row["curve"][0]["frechet"][0] for row in rows[:3]}) == 3
    page = (working_directory / "page.md").read_text()
    assert "64 grayscale images of cherries" in page and str(working_directory) not in page and "--freeze-discriminator 1" in page
    with pytest.raises(UserError, match="has no folders of Apple"):
        fine_tuning.main([str(working_directory / "runs" / fine_tuning.TARGET)])
