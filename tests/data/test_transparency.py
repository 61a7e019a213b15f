"""Images with four channels: in folders, resized, generated, written, served and scored on white."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from zoo import data
from zoo.cli.data import draw_sheet
from zoo.core.images import encode_png, tile_grid, write_png
from zoo.data.transforms import resize
from zoo.errors import UserError
from zoo.metrics.extractors.base import on_white
from zoo.metrics.image_set import ImageSet
from zoo.registry import get_entry

HALF_RED, HIDDEN_GREEN = (255, 0, 0, 128), (0, 255, 0, 0)


@pytest.fixture
def sprites(tmp_path):
    """A folder of 8x8 sprites: left half of each is half-transparent red, right half fully transparent green."""
    image = Image.new("RGBA", (8, 8), HIDDEN_GREEN)
    image.paste(HALF_RED, (0, 0, 4, 8))
    for name in "abcd":
        image.save(tmp_path / f"{name}.png")
    Image.new("L", (8, 8), 7).save(tmp_path / "opaque.png")
    return tmp_path


def test_transparency_is_kept_on_request(sprites, capsys):
    source = data.open_source(f"folder:{sprites}", image_shape=(8, 8, 4))
    images = source.arrays()["image"]
    assert images.shape == (5, 8, 8, 4) and "composited" not in capsys.readouterr().err
    assert images[0, 0, 0].tolist() == list(HALF_RED) and images[0, 0, 7].tolist() == [255, 255, 255, 0]  # no hidden colors
    assert images[4, 0, 0].tolist() == [7, 7, 7, 255]
    opaque = data.open_source(f"folder:{sprites}").arrays()["image"]
    assert opaque[0, 0, 0].tolist() == [255, 127, 127] and opaque[0, 0, 7].tolist() == [255] * 3
    assert "4 with transparency, composited onto white" in capsys.readouterr().err


def test_hidden_colors_do_not_bleed(sprites):
    images = data.open_source(f"folder:{sprites}", image_shape=(4, 4, 4)).arrays()["image"]
    assert images[0, ..., 1][images[0, ..., 3] > 0].max() == 0  # no green
    pixels = np.zeros([8, 8, 4], np.uint8)
    pixels[:, :3], pixels[:, 3:] = HALF_RED, HIDDEN_GREEN
    for crop in ("center", "none", "pad"):
        resized = resize(tf.constant(pixels), (4, 4, 4), crop).numpy()
        assert resized[..., 1][resized[..., 3] > 0].max() == 0 and 0 < resized[0, 1, 3] < 128


def test_what_is_padded_is_transparent_white():
    pixels = np.full([4, 8, 4], 9, np.uint8)
    padded = resize(tf.constant(pixels), (8, 8, 4), "pad").numpy()
    assert padded[0, 0].tolist() == [255, 255, 255, 0] and padded[4, 4].tolist() == [9] * 4
    assert resize(tf.constant(pixels[..., :3]), (8, 8, 3), "pad").numpy()[0, 0].tolist() == [255] * 3


@pytest.mark.parametrize(("channels", "expected"), [(1, [1]), (3, [1, 1, 1]), (4, [1, 1, 1, 255])])
def test_grayscale_becomes_anything(channels, expected):
    assert resize(tf.ones([4, 4, 1], tf.uint8), (4, 4, channels)).numpy()[0, 0].tolist() == expected


def test_scores_are_of_images_on_white(sprites):
    images = data.open_source(f"folder:{sprites}", image_shape=(8, 8, 4)).arrays()["image"]
    assert on_white(images)[0, 0, 0].tolist() == [255, 127, 127] and on_white(images)[0, 0, 7].tolist() == [255] * 3
    assert ImageSet(images, None, None).images.shape == (5, 8, 8, 3)


def test_pictures_have_four_channels(tmp_path):
    images = np.float32([[[[1, 0, 0, 128 / 255]]]] * 2)
    grid = tile_grid(images, 2)
    assert grid[0, 0].tolist() == [255, 0, 0, 128] and grid[0, 1].tolist() == [128, 128, 128, 255]  # the gap is opaque
    write_png(tmp_path / "grid.png", grid)
    assert Image.open(tmp_path / "grid.png").mode == "RGBA"
    assert tf.io.decode_png(encode_png(images)[0]).numpy().tolist() == [[[255, 0, 0, 128]]]


def test_the_sheet_is_on_white(sprites):
    source = data.open_source(f"folder:{sprites}", image_shape=(8, 8, 4))
    colors = np.asarray(draw_sheet(source, 5)).reshape(-1, 3)
    assert any((colors == [255, 127, 127]).all(1)) and not any((colors == [0, 255, 0]).all(1))


def test_color_augmentation_leaves_opacity():
    from zoo.core.augment import color

    images = tf.random.stateless_uniform([3, 4, 4, 4], [1, 2]) * 2 - 1
    changed = color(images, tf.constant([1, 2]))
    np.testing.assert_array_equal(changed[..., 3], images[..., 3])
    assert np.abs(changed[..., :3] - images[..., :3]).min(axis=(1, 2, 3)).shape == (3,) and not np.allclose(changed, images)


def test_models_of_pairs_have_no_transparency():
    for name in ("pix2pix", "cyclegan", "srgan", "drgan"):
        with pytest.raises(UserError, match="images of 4 channels are unsupported; --image-shape HEIGHT WIDTH CHANNELS takes 1 or 3"):
            type(get_entry(name).config)(image_shape=(16, 16, 4)).validate()
    with pytest.raises(UserError, match="takes 1, 3 or 4 channels"):
        type(get_entry("dcgan").config)(image_shape=(16, 16, 2)).validate()
