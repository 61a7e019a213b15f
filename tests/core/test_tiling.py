"""Upscaling in tiles: no seams at the model's own overlap, and the same pixels as its signature."""

import numpy as np
import tensorflow as tf
from conftest import tiny_model, to_numpy

from zoo.core.tiling import upscale_in_tiles


def test_tiles_have_no_seams():
    model = tiny_model("srresnet", blocks=2, bicubic_skip=False)
    picture = np.random.RandomState(0).randint(0, 256, (37, 43, 3)).astype(np.uint8)
    last_layer = model.ema_generator.get_layer("image")
    output = model.ema_generator({"low": picture[None] / np.float32(127.5) - 1})
    last_layer.kernel.assign(to_numpy(last_layer.kernel) * 0.4 / np.std(output))  # at the start the pictures are nearly gray
    signature = model.signatures()["upscale"]

    def upscale(tile, overlap=signature.tile_overlap):
        upscaled = upscale_in_tiles(lambda images: signature.function(images)["image"], picture, model.upscale_factor, tile, overlap)
        return upscaled.astype(int)

    whole = upscale(64)
    assert whole.shape == (148, 172, 3) and whole.std() > 3
    assert np.abs(upscale(9) - whole).max() <= 1  # rounding
    assert np.abs(upscale(9, overlap=0) - whole).max() > 1
    np.testing.assert_array_equal(model.upscale(picture), whole)
    low = tf.constant(picture[None] / 255, tf.float32)
    np.testing.assert_allclose(to_numpy(signature.function(low)["image"])[0], whole / 255, atol=1 / 255)


def test_tiles_see_every_pixel_once():
    picture = np.random.RandomState(0).randint(0, 256, (11, 7, 1)).astype(np.uint8)
    doubled = upscale_in_tiles(lambda images: tf.repeat(tf.repeat(images, 2, 1), 2, 2), picture, 2, tile=4, overlap=3)
    np.testing.assert_array_equal(doubled, picture.repeat(2, 0).repeat(2, 1))
