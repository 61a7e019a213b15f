"""`zoo upscale`, a training run of SRGAN that is initialized from SRResNet, and the comparison of both with the bicubic filter."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import same_arrays, tiny_model, weights
from PIL import Image

import zoo
from zoo import __main__ as tool
from zoo import registry, runs
from zoo.cli.fine_tuning import start_from
from zoo.cli.train import main as train_main
from zoo.data.image_files import open_upright, to_pixels
from zoo.errors import UserError
from zoo.metrics import super_resolution
from zoo.training.initialization import initialize_from

TINY = ["--width", "4", "--blocks", "1", "--steps", "2", "--eval-every", "2", "--batch-size", "2"]
TINY += ["--precision", "float32", "--eval-samples", "0"]
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "upscaling.py"


def noise(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run of `srresnet` on the built-in photographs."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    assert train_main(["--model", "srresnet", "--run-dir", str(folder), *TINY]) == 0
    return folder


def test_srgan_starts_from_a_run_of_srresnet(run):
    trained = weights(zoo.load(run).ema_generator)
    model = tiny_model("srgan", width=4, blocks=1)
    assert not same_arrays(weights(model.generator), trained)
    lines = initialize_from(model, zoo.load(run), "it")
    assert same_arrays(weights(model.generator), trained) and same_arrays(weights(model.ema_generator), trained)
    assert len(lines) == 1 and "initialized anew" not in lines[0], "there is no discriminator to copy"
    with pytest.raises(
        UserError, match=r"differs from this model's \([\d,]+\) in every layer; .*width 4 there, 6 here; the architectures must be equal"
    ):
        initialize_from(tiny_model("srgan", width=6), zoo.load(run), "it")


def test_the_home_folder_of_a_run_is_expanded(run, monkeypatch):
    monkeypatch.setenv("HOME", str(run.parent))
    model = tiny_model("srgan", width=4, blocks=1)
    start_from(model, f"~/{run.name}", with_optimizers=False)
    assert same_arrays(weights(model.generator), weights(zoo.load(f"~/{run.name}").ema_generator))


@pytest.mark.parametrize("mode, size", [("RGB", (37, 21)), ("L", (9, 14)), ("RGBA", (16, 8)), ("P", (12, 12))])
def test_a_picture_of_any_size_and_mode_is_upscaled(run, working_directory, mode, size):
    Image.fromarray(noise(size[1], size[0], 4)).convert("RGB" if mode == "P" else mode).convert(mode).save("small.png")
    assert tool.main(["upscale", str(run), "small.png", "out/large.png"]) == 0
    upscaled = np.asarray(Image.open("out/large.png"))
    assert upscaled.shape == (4 * size[1], 4 * size[0], 3)
    np.testing.assert_array_equal(upscaled, zoo.load(run).upscale(to_pixels(open_upright("small.png"), 3)))


def test_a_model_needs_only_the_signature(run, working_directory, monkeypatch):
    Image.fromarray(noise(150, 20, 3)).save("small.png")
    expected = zoo.load(run).upscale(np.asarray(Image.open("small.png")))
    for name in ("upscale", "upscale_factor"):
        monkeypatch.delattr(registry.get_entry("srresnet").model, name)
    assert tool.main(["upscale", str(run), "small.png", "large.png"]) == 0
    np.testing.assert_allclose(np.asarray(Image.open("large.png")).astype(int), expected, atol=1)


def test_mistakes_are_one_line(run, working_directory):
    Image.fromarray(noise(8, 8, 3)).save("good.png")
    Image.fromarray(noise(3, 9, 3)).save("thin.png")
    Path("text.png").write_text("no picture")
    for words, message in (
        (["missing.png", "out.png"], "missing.png cannot be read"),
        (["text.png", "out.png"], "text.png cannot be read"),
        (["thin.png", "out.png"], "thin.png has 9x3 pixels; at least 8x8"),
        (["good.png", "out.jpg"], "out.jpg: .*PNG"),
        (["good.png", "good.png/out.png"], "cannot be written"),
    ):
        with pytest.raises(UserError, match=message):
            tool.main(["upscale", str(run), *words])
    other = tiny_model("gan")
    record = {"model": "gan", "config": dataclasses.asdict(other.config), "data": {"name": "digits", "version": "1.0.0"}}
    record |= {"precision": "float32", "replicas": 1, "xla": False, "schema": runs.record.SCHEMA}
    gan = runs.Run.create(runs.RunRecord.from_dict(record), str(working_directory / "gan"))
    gan.manager(other).save(checkpoint_number=0)
    with pytest.raises(UserError, match="does not upscale images"):
        tool.main(["upscale", "gan", "good.png", "out.png"])


def test_runs_are_compared_with_the_bicubic_filter_and_the_truth(run, working_directory, capsys, monkeypatch):
    spec = importlib.util.spec_from_file_location("upscaling", BENCHMARK)
    upscaling = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, upscaling)  # dataclasses look their module up
    spec.loader.exec_module(upscaling)
    Path("pictures").mkdir()
    target = noise(48, 64, 3)
    for name in "ab":
        Image.fromarray(target).save(f"pictures/{name}.png")
    assert upscaling.main([str(run), "--pictures", "pictures", "--out", "grid.png", "--side", "40"]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[2:4]}
    low = super_resolution.bicubic_resize(target, (12, 16)).numpy()
    upscaled = {"bicubic": super_resolution.bicubic_resize(low, (48, 64)).numpy(), run.name: zoo.load(run).upscale(low)}
    for name, picture in upscaled.items():
        planes = [super_resolution.luma(image)[0, ..., 0].numpy() for image in (picture, target)]
        contrasts = [np.abs(np.diff(plane, axis=0)).mean() + np.abs(np.diff(plane, axis=1)).mean() for plane in planes]
        expected = [*super_resolution.compare_luma(picture, target).values(), contrasts[0] / contrasts[1]]
        np.testing.assert_allclose(np.float64(rows[name]), expected, atol=2e-3)
    assert float(rows["bicubic"][2]) < 0.5  # noise, downsampled
    grid = np.asarray(Image.open("grid.png"))
    assert grid.shape == (2 * 42 - 2, 3 * 42 - 2, 3)
    np.testing.assert_array_equal(grid[:40, 84:], target[4:44, 12:52])


def test_a_folder_is_upscaled(run, tmp_path, capsys):
    folder = tmp_path / "small"
    folder.mkdir()
    for name, size in (("a.png", (12, 9)), ("b.png", (8, 8))):
        Image.fromarray(noise(*size[::-1], 3)).save(folder / name)
    assert tool.main(["upscale", str(run), str(folder), str(tmp_path / "large")]) == 0
    assert "2 images of" in capsys.readouterr().out
    assert [Image.open(tmp_path / "large" / name).size for name in ("a.png", "b.png")] == [(48, 36), (32, 32)]
