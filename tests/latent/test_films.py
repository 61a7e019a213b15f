"""Films: GIF and MP4 files with all frames at their times, written in full or not at all."""

import sys

import numpy as np
import pytest
from PIL import Image, ImageSequence

from zoo.errors import UserError
from zoo.latent import enlarge, write_film
from zoo.latent.films import add_caption


def make_frames(count, shape=(16, 24, 1)):
    """Frames of different grays, with a pattern."""
    return [np.full(shape, 10 * i, np.uint8) + np.arange(shape[1], dtype=np.uint8)[:, None] for i in range(count)]


@pytest.mark.parametrize("rate, durations", [(25, [40] * 7), (30, [30, 40, 30, 30, 40, 30, 30])])
def test_a_gif_has_the_frames_and_durations(tmp_path, rate, durations):
    frames = make_frames(7)
    assert write_film(tmp_path / "film.gif", iter(frames), rate) == 7
    with Image.open(tmp_path / "film.gif") as film:
        pictures = [(np.asarray(one.convert("L")), one.info["duration"]) for one in ImageSequence.Iterator(film)]
        assert film.info["loop"] == 0
    assert [duration for _, duration in pictures] == durations
    np.testing.assert_array_equal(np.stack([pixels for pixels, _ in pictures]), np.stack(frames)[..., 0])


def test_transparent_frames_are_on_white(tmp_path):
    frame = np.zeros((8, 8, 4), np.uint8)
    frame[:, :4, 3] = 255
    write_film(tmp_path / "film.gif", [frame, frame[:, ::-1]])
    with Image.open(tmp_path / "film.gif") as film:
        pixels = np.asarray(film.convert("RGB"))
    assert (pixels[:, :4] == 0).all() and (pixels[:, 4:] == 255).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_an_mp4_has_the_frames(tmp_path, channels):
    av = pytest.importorskip("av")
    frames = make_frames(9, (33, 47, channels))  # odd sides
    assert write_film(tmp_path / "film.mp4", frames, 10) == 9
    with av.open(str(tmp_path / "film.mp4")) as film:
        decoded = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert film.streams.video[0].average_rate == 10
    assert len(decoded) == 9 and decoded[0].shape == (34, 48, 3)
    difference = np.stack(decoded)[:, :33, :47].astype(float) - np.stack(frames)
    assert np.abs(difference).mean() < 3


def fail_after(frames):
    yield from frames
    raise KeyboardInterrupt


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_an_interrupted_film_leaves_what_was_there(tmp_path, suffix):
    if suffix == "mp4":
        pytest.importorskip("av")
    path = tmp_path / f"film.{suffix}"
    path.write_text("the film before")
    with pytest.raises(KeyboardInterrupt):
        write_film(path, fail_after(make_frames(3)))
    assert path.read_text() == "the film before" and list(tmp_path.iterdir()) == [path]


def test_mp4_without_pyav_is_explained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"need PyAV: pip install 'gan-zoo\[video\]'; or write a GIF file: .*film.gif"):
        write_film(tmp_path / "film.mp4", make_frames(2))
    assert write_film(tmp_path / "film.gif", make_frames(2)) == 2


@pytest.mark.parametrize(
    "name, frames, rate, message",
    [
        ("film.avi", make_frames(2), 25, "written as GIF or MP4"),
        ("film", make_frames(2), 25, "written as GIF or MP4"),
        ("film.gif", make_frames(2), 60, "from 1 to 50"),
        ("film.gif", [], 25, "at least one frame"),
        ("film.gif", [*make_frames(1), *make_frames(1, (8, 8, 1))], 25, "a film has one size"),
        ("file/film.gif", make_frames(2), 25, "cannot be written"),
        (".", make_frames(2), 25, "written as GIF or MP4"),
    ],
)
def test_bad_films(tmp_path, name, frames, rate, message):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=message):
        write_film(tmp_path / name, frames, rate)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_enlarged_pixels_are_squares():
    np.testing.assert_array_equal(enlarge(np.uint8([[[1], [2]]]), 2)[..., 0], [[1, 1, 2, 2], [1, 1, 2, 2]])


def test_captions_are_below():
    captioned = add_caption(Image.new("L", (80, 30), 7), "step 1,200")
    assert captioned.shape == (50, 80, 1) and (captioned[:30] == 7).all()
    assert 0 <= captioned[30:].min() < 80 and captioned[30:].max() == 255
