"""`zoo video`, `zoo directions` and `zoo project` of a run, and edits of `zoo generate`."""

import numpy as np
import pytest
from command_line import list_files, read_error, small_acgan, small_gan
from PIL import Image

import zoo
from zoo import __main__ as tool
from zoo.latent import Directions


@pytest.fixture(scope="module")
def run():
    return small_acgan()


@pytest.fixture(scope="module")
def directions(run, tmp_path_factory):
    """The file of directions of the run."""
    folder = tmp_path_factory.mktemp("directions")
    argv = ["directions", str(run), "--out", str(folder), "--count", "2", "--samples", "30", "--label", "3"]
    assert tool.main(argv) == 0
    assert list_files(folder) == [str(folder / name) for name in ("directions.npz", "pca.png", "sefa.png")]
    return folder / "directions.npz"


def read_frames(path):
    with Image.open(path) as film:
        frames = []
        for i in range(film.n_frames):
            film.seek(i)
            frames.append(np.asarray(film.convert("L")))
        return np.stack(frames)


def test_a_walk_begins_and_ends_with_samples(run, working_directory, capsys):
    argv = ["video", str(run), "--seeds", "3", "4", "--label", "5", "--frames", "3", "--scale", "1", "--out", "films/walk.gif"]
    assert tool.main(argv) == 0
    assert "4 frames, 0.2 s, in films/walk.gif" in capsys.readouterr().out
    samples = zoo.load(run).sample([3, 4], label=[5, 5]).numpy()[..., 0]
    np.testing.assert_allclose(read_frames("films/walk.gif")[[0, -1]] / 255, samples, atol=1.01 / 255)
    assert list_files() == ["films", "films/walk.gif"]


def test_classes_morph_by_default(run, working_directory, capsys):
    assert tool.main(["video", str(run), "--frames", "1", "--scale", "2", "--out", "walk.gif"]) == 0
    assert "8 frames" in capsys.readouterr().out
    samples = zoo.load(run).sample(np.arange(8), label=np.arange(8)).numpy()[..., 0]
    np.testing.assert_allclose(read_frames("walk.gif")[:, ::2, ::2] / 255, samples, atol=1.01 / 255)


def test_the_film_of_a_training_run(working_directory, capsys):
    run = small_gan()
    assert tool.main(["video", str(run), "--training", "--out", "training.gif"]) == 0
    assert "2 frames, 0.5 s, in training.gif" in capsys.readouterr().out
    frames = read_frames("training.gif")
    for frame, step in zip(frames, (4, 6), strict=True):
        grid = np.asarray(Image.open(run / "samples" / f"step-{step:06d}.png"))
        np.testing.assert_array_equal(frame[: len(grid)], grid)
        assert len(frame) == len(grid) + 20


def test_damaged_grids_are_named(working_directory, capsys):
    import shutil

    shutil.copytree(small_gan(), "run")
    grid = sorted((working_directory / "run" / "samples").iterdir())[0]
    grid.write_bytes(b"")
    error = read_error(capsys, ["video", "run", "--training"], tool.main)
    assert f"{grid.name} cannot be read as an image" in error and not (working_directory / "walk.gif").exists()
    shutil.rmtree("run/samples")
    assert "run has no sample grids" in read_error(capsys, ["video", "run", "--training"], tool.main)


def test_edits_along_directions(run, directions, working_directory):
    edits = ["--directions", str(directions), "--edit", "sefa1=-2", "sefa1=2"]
    assert tool.main(["generate", str(run), "--count", "2", "--label", "3", "--out", "edited", *edits]) == 0
    assert tool.main(["video", str(run), "--seeds", "1", "--label", "3", "--frames", "2", "--scale", "1", "--out", "walk.gif", *edits]) == 0
    model, offsets = zoo.load(run), Directions.load(directions).offsets(["sefa1=-2", "sefa1=2"])
    images = model.serve("serving_default", latent=model.latents([0, 1]) + offsets, label=[3, 3])["image"].numpy()[..., 0]
    for i in range(2):
        np.testing.assert_allclose(np.asarray(Image.open(f"edited/seed{i}-label3.png")) / 255, images[i], atol=1.01 / 255)
    frames = read_frames("walk.gif") / 255
    np.testing.assert_allclose(frames[2], images[1], atol=1.01 / 255)
    np.testing.assert_allclose(frames[1], model.sample([1], label=[3])[0, ..., 0], atol=1.01 / 255)


def test_pictures_are_projected(working_directory, capsys):
    run, pixels = small_gan(), np.random.RandomState(0).randint(0, 256, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(pixels).save("large.png")  # of another size: center-cropped and resized
    image = zoo.load(run).sample([5]).numpy()[0, ..., 0]
    Image.fromarray(np.uint8(np.rint(image * 255))).save("own.png")
    argv = ["project", str(run), "large.png", "own.png", "--steps", "30", "--feature-extractor", "none"]
    assert tool.main([*argv, "--out", "first"]) == 0
    assert "own      0." in capsys.readouterr().out
    parts = [f"{name}-{part}.png" for name in ("large", "own") for part in ("projection", "target", "way")]
    assert list_files("first") == [f"first/{name}" for name in sorted(["latents.npz", *parts])]
    assert Image.open("first/large-target.png").size == (32, 32)
    np.testing.assert_allclose(np.asarray(Image.open("first/own-target.png")) / 255, image, atol=1.01 / 255)
    assert tool.main([*argv, "--out", "second"]) == 0
    assert all((working_directory / "first" / name).read_bytes() == (working_directory / "second" / name).read_bytes() for name in parts)
    argv = ["project", str(run), "first/own-target.png", "own.png", "--feature-extractor", "none", "--out", "first"]
    assert "own-target.png is one of the pictures" in read_error(capsys, argv, tool.main)
    with np.load("first/latents.npz") as arrays:
        model = zoo.load(run)
        projections = model.serve("serving_default", latent=arrays["latents"])["image"].numpy()[..., 0]
    np.testing.assert_allclose(np.asarray(Image.open("first/own-projection.png")) / 255, projections[1], atol=1.01 / 255)


@pytest.mark.parametrize(
    "argv, parts",
    [
        (["video", "RUN", "--out", "walk.avi"], ["walk.avi: films are written as GIF or MP4"]),
        (["video", "RUN", "--frames", "0"], ["--frames 0: must be from 1"]),
        (["video", "RUN", "--fps", "0"], ["0 frames per second"]),
        (["video", "RUN", "--scale", "0"], ["--scale 0"]),
        (["video", "RUN", "--seeds", "1"], ["at least two keyframes"]),
        (["video", "RUN", "--out", "new/walk.gif", "--label", "11"], ["--label 11: no such class. Available: 0 = 0"]),
        (["video", "RUN", "--truncation", "2", "0.5"], ["--truncation: this model does not support it"]),
        (["video", "RUN", "--seeds", "1", str(2**64)], [f"--seed {2**64}: must be from"]),
        (["video", "RUN", "--training", "--label", "1"], ["--label belongs to a walk"]),
        (["video", "RUN", "--edit", "sefa1=1"], ["--edit needs --directions FILE"]),
        (["video", "RUN", "--directions", "nowhere.npz", "--edit", "sefa1=1"], ["nowhere.npz cannot be read as directions (No such file"]),
        (["generate", "RUN", "--directions", "FILE"], ["--directions needs --edit"]),
        (["generate", "RUN", "--directions", "FILE", "--edit", "sefa7=1"], ["edit sefa7=1: no such direction; did you mean 'sefa"]),
        (["generate", "GAN", "--directions", "FILE", "--edit", "sefa1=1"], ["these directions are of ACGAN, not of GAN"]),
        (["directions", "RUN", "--count", "0"], ["--count 0"]),
        (["directions", "RUN", "--layer", "nowhere", "--out", "here"], ["layer nowhere"]),
        (["project", "RUN", "--label", "1"], ["which pictures?"]),
        (["project", "RUN", "nowhere.png", "--out", "here"], ["--label: this model is class-conditional", "0, 1, 2"]),
        (["project", "RUN", "nowhere.png", "--label", "1", "--out", "here"], ["nowhere.png cannot be read as an image: No such file"]),
        (["project", "RUN", "a/x.png", "b/x.png", "--label", "1"], ["would both be named x; rename one"]),
        (["project", "RUN", "x.png", "--label", "1", "2"], ["give one class for each of the 1 pictures"]),
        (["project", "GAN", "x.png", "--label", "1"], ["--label: this model is not class-conditional"]),
        (["project", "GAN", "x.png", "--steps", "0"], ["--steps 0"]),
    ],
)
def test_bad_input(run, directions, working_directory, capsys, argv, parts):
    values = {"RUN": str(run), "GAN": str(small_gan()), "FILE": str(directions)}
    error = read_error(capsys, [values.get(word, word) for word in argv], tool.main)
    assert all(part in error for part in parts), error
    assert list_files() == []


def test_output_that_cannot_be_written(run, working_directory, capsys):
    (working_directory / "file").write_text("before")
    (working_directory / "folder.gif").mkdir()
    for argv in (
        ["video", str(run), "--out", "folder.gif"],
        ["video", str(run), "--out", "file/walk.gif"],
        ["directions", str(run), "--count", "1", "--method", "sefa", "--out", "file"],
        ["directions", str(run), "--count", "1", "--method", "sefa", "--out", str(small_gan())],
    ):
        assert "file" in (error := read_error(capsys, argv, tool.main)) or "folder" in error
    assert list_files() == ["file", "folder.gif"] and (working_directory / "file").read_text() == "before"
