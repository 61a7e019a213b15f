"""What the page of `zoo demo` computes, without a browser; see test_browser.py for the page itself."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import read_error
from conftest import tiny_model
from PIL import Image

from zoo import __main__ as tool
from zoo.cli.demo_gallery import RunGallery
from zoo.cli.demo_images import ImageTool
from zoo.cli.demo_noise import NoiseTool, SampleRequest, write_settings
from zoo.errors import UserError
from zoo.runs import DataRecord, Run, RunRecord

needs_gradio = pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="gradio is not installed")


def record(name, **fields):
    return RunRecord(name, {}, DataRecord("digits", "1", **fields), "float32", 1, False)


def image_tool(name, **fields):
    return ImageTool(tiny_model(name), record(name, **fields))


@pytest.fixture
def upload(tmp_path):
    """The path of a color image, of another size than any model takes."""
    path = tmp_path / "upload.png"
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (20, 24, 3)).astype(np.uint8)).save(path)
    return str(path)


# -- models that generate from noise --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_class():
    return NoiseTool(tiny_model("acgan"))


def test_a_sample_is_the_one_of_generate(by_class):
    image = by_class.model.sample([7], label=[2]).numpy()
    np.testing.assert_array_equal(by_class.sample(SampleRequest(7, 2)), by_class.model.modality.render(image, 1))


def test_sliders_change_the_latent_vector_along_directions(by_class):
    start, moved = by_class.latent(SampleRequest(3, 0)), by_class.latent(SampleRequest(3, 0, steps=(0.0, 2.0, 0.0)))
    directions = by_class.directions
    np.testing.assert_allclose(moved - start, 2 * directions.deviations[1] * directions.vectors[1:2], rtol=1e-4, atol=1e-5)
    assert by_class.direction_names == ("sefa1", "sefa2", "sefa3", "sefa4", "sefa5")


def test_a_walk_leads_to_the_other_sample_and_back(by_class, tmp_path):
    path = by_class.write_walk(tmp_path / "walk.gif", SampleRequest(1, 0), SampleRequest(2, 1), 5)
    with Image.open(path) as film:
        assert film.n_frames == 8 and film.size == (256, 256)
        film.seek(4)
        last = np.asarray(film.convert("L"))[::16, ::16]
    np.testing.assert_allclose(last, by_class.sample(SampleRequest(2, 1))[..., 0], atol=2)


@pytest.mark.parametrize(
    "request_, message",
    [
        (SampleRequest(2**63, 0), "--seed 9223372036854775808: must be from"),
        (SampleRequest(0, 3), "class 3: must be from 0 to 2"),
        (SampleRequest(0, 0, truncation=0.5), "--truncation: this model does not support it"),
    ],
)
def test_values_out_of_range_are_explained(by_class, request_, message):
    with pytest.raises(UserError, match=message):
        by_class.sample(request_)
    with pytest.raises(UserError, match="1 frames: must be from 2 to"):
        by_class.write_walk("walk.gif", SampleRequest(0, 0), SampleRequest(1, 0), 1)


def test_the_settings_of_a_sample_can_be_downloaded(tmp_path):
    path = write_settings(tmp_path / "settings.json", "runs/a", SampleRequest(5, 1, steps=(0.0, 1.5)), ("sefa1", "sefa2"))
    values = json.loads(path.read_text(encoding="utf-8"))
    assert values == {"model": "runs/a", "seed": 5, "label": 1, "steps": {"sefa2": 1.5}}


def test_a_latent_code_has_controls():
    noise = NoiseTool(tiny_model("infogan"))
    category, numbers = noise.codes_of(4)
    default = noise.latent(SampleRequest(4))
    np.testing.assert_array_equal(noise.latent(SampleRequest(4, category=category, codes=numbers)), default)
    changed = noise.latent(SampleRequest(4, category=2, codes=(1.5, -1.5)))[0]
    assert changed[noise.code.category].tolist() == [0, 0, 1] and changed[noise.code.numbers].tolist() == [1.5, -1.5]
    with pytest.raises(UserError, match="category 3: must be from 0 to 2"):
        noise.latent(SampleRequest(category=3))
    assert NoiseTool(tiny_model("dcgan")).code is None


def test_a_model_without_a_generator_has_no_directions():
    noise = NoiseTool(tiny_model("ebm"))
    assert noise.directions is None and "no generator" in noise.reason
    assert noise.sample(SampleRequest(1)).shape == (16, 16, 1)


# -- uploads ------------------------------------------------------------------------------------------------------------


def test_the_sections_follow_from_the_signatures():
    rotation, upscaling, classifier, by_label = map(image_tool, ("drgan", "srresnet", "sgan", "cgan"))
    assert rotation.translations() == ["rotate"] and rotation.inputs("rotate") == ["image", "pose"] and rotation.fusions() == ["fuse"]
    assert upscaling.upscales() and not upscaling.translations() and not upscaling.fusions()
    assert classifier.classification().signature == "classify" and not classifier.upscales()
    assert by_label.classification() is None and not by_label.translations()
    assert image_tool("infogan").classification().probabilities == "category"
    assert image_tool("cyclegan").translations() == ["to_y", "to_x"]


def test_an_upload_is_translated_and_rotated(upload):
    translation, rotation = image_tool("pix2pix"), image_tool("drgan", pose_names=["left", "right"])
    assert translation.translate("translate", upload, seed=1).shape == translation.model.config.image_shape
    assert rotation.translate("rotate", upload, pose=1).shape == (16, 16, rotation.model.config.image_shape[-1])
    assert rotation.pose_names() == ["left", "right"]
    with pytest.raises(UserError, match="pose is out of range"):
        rotation.translate("rotate", upload, pose=99)


def test_an_upload_is_upscaled(upload):
    before, after = image_tool("srresnet").upscale(upload)
    assert before.shape == after.shape == (80, 96, 3)


def test_uploads_are_fused(upload):
    picture, similarities = image_tool("drgan").fuse("fuse", [upload, upload], 0)
    assert picture.shape[:2] == (16, 16) and len(similarities) == 2
    with pytest.raises(UserError, match="choose 1 to 16 images"):
        image_tool("drgan").fuse("fuse", [], 0)


def test_an_upload_is_classified(upload):
    classifier, codes = image_tool("sgan"), image_tool("infogan")
    probabilities, _ = classifier.classify(classifier.classification(), upload)
    assert list(probabilities) == ["0", "1", "2"] and sum(probabilities.values()) == pytest.approx(1)
    _, numbers = codes.classify(codes.classification(), upload)
    assert len(numbers.split(", ")) == 2


def test_uploads_that_are_not_images_are_explained(tmp_path):
    path = tmp_path / "text.png"
    path.write_text("no image", encoding="utf-8")
    translation = image_tool("cyclegan")
    with pytest.raises(UserError, match="cannot be read as an image"):
        translation.translate("to_y", str(path))
    with pytest.raises(UserError, match="upload an image first"):
        translation.translate("to_y", None)
    Image.new("RGB", (2000, 1000)).save(path)
    with pytest.raises(UserError, match="2000x1000 pixels; this page takes up to 1,048,576"):
        translation.translate("to_y", str(path))


# -- the gallery and the command ------------------------------------------------------------------------------------------


@pytest.fixture
def runs(tmp_path):
    """A folder with a run, and a folder whose record is damaged."""
    run = Run.create(record("gan"), tmp_path / "runs" / "first")
    protocol = {"extractor": "classifier", "data": "digits 1", "split": "test", "real_images": 100, "fake_images": 50}
    for step, value in ((2, 8.0), (4, 5.25)):
        run.append({"step": step, "images": 4 * step, "d_adversarial": 1.0, "scores": {"frechet": value}, "protocol": protocol})
    (run.folder / "samples").mkdir(exist_ok=True)
    Image.new("L", (8, 8)).save(run.folder / "samples" / "step-000004.png")
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / "config.json").write_text("{", encoding="utf-8")
    return tmp_path / "runs"


def test_the_gallery_lists_runs_with_scores_and_curves(runs, tmp_path):
    gallery = RunGallery.open(runs)
    assert gallery.table() == [["first", "gan", "digits", "4", "frechet 5.25"]]
    assert gallery.scores("first") == [["frechet", "5.25", "4", "50", "classifier"]]
    assert gallery.grid("first").name == "step-000004.png"
    with Image.open(gallery.draw_curves("first", tmp_path / "curves.png")) as picture:
        assert picture.width > picture.height
    with pytest.raises(UserError, match="not a run of this gallery"):
        gallery.scores("../first")


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--port", "0"], "--port 0: must be from 1 to 65535"),
        (["--gallery", "nowhere"], "--gallery nowhere: not a folder"),
        (["nothing"], "nothing is not a run, and no pretrained model has this name"),
    ],
)
@needs_gradio
def test_mistakes_are_explained(argv, message, capsys, working_directory, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    assert message in read_error(capsys, ["demo", *argv], tool.main)


def test_a_missing_package_is_named(capsys, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "gradio" else find_spec(name, *rest))
    assert read_error(capsys, ["demo"], tool.main).endswith("zoo demo needs the package gradio: pip install 'gan-zoo[demo]'")


@needs_gradio
def test_the_gallery_shows_the_run_whose_samples_are_clicked(runs, tmp_path):
    import types

    from zoo.cli.demo_downloads import Downloads
    from zoo.cli.demo_page import GalleryTab

    tab = GalleryTab(RunGallery.open(runs), Downloads(tmp_path))
    ((sheet, name),) = tab.list_sheets()
    assert tab.choose(types.SimpleNamespace(value={"image": {"path": sheet}, "caption": name})) == "first"
    grid, scores, curves = tab.show("first")
    assert Path(grid).name == "step-000004.png" and Path(curves).name == "curves.png" and len(scores) == 1


@needs_gradio
def test_the_tabs_show_mistakes_as_messages(by_class, tmp_path, upload):
    import gradio as gr

    from zoo.cli.demo_downloads import Downloads
    from zoo.cli.demo_image_tab import ImageTab
    from zoo.cli.demo_noise_tab import NoiseTab

    with gr.Blocks(analytics_enabled=False) as page:
        tab = NoiseTab("runs/a", by_class, Downloads(tmp_path))
        tab.build(page)
    image, png, settings = tab.draw(7, 1, 0, 0, 1.0, 0, 0)
    assert image.shape == (256, 256) and png.endswith("runs-a-seed7-label1.png")
    assert json.loads(Path(settings).read_text(encoding="utf-8"))["steps"] == {"sefa3": 1.0}
    with Image.open(png) as picture:
        assert picture.size == (16, 16)
    assert tab.walk(3, 9, 2, 7, 1, 0, 0, 0, 0, 0).endswith("runs-a-seed7-label1-to-seed9-label2.gif")
    with pytest.raises(gr.Error, match="seed: give an integer"):
        tab.draw(None, 1, 0, 0, 0, 0, 0)
    uploads = ImageTab("runs/b", image_tool("drgan"), Downloads(tmp_path))
    assert uploads.translate("rotate", None) == (None, None) and uploads.fuse("fuse", [], 0) == (None, None, "")
    assert uploads.translate("rotate", upload, pose=1)[0].shape[:2] == (256, 256)


def test_old_downloads_are_removed(tmp_path, monkeypatch):
    from zoo.cli import demo_downloads

    monkeypatch.setattr(demo_downloads, "MAX_FOLDERS", 2)
    downloads = demo_downloads.Downloads(tmp_path)
    paths = [downloads.path("a.png") for _ in range(4)]
    assert [path.parent.exists() for path in paths] == [False, False, True, True]
