"""Pictures of any size through a network, tile by tile, to bound the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from zoo.core.game import Game

SIGNATURE = "upscale"  # of super-resolution models
PROBE = 8  # side of the picture from which the scale is measured


def upscale_picture(model: Game, picture: np.ndarray) -> np.ndarray:
    """Upscale a picture of any size by a model's signature `upscale`, tile by tile.

    Args:
        model: It has the signature `upscale`: `image` of any size -> `image`.
        picture: uint8 [height, width, channels].

    Returns:
        uint8 [scale * height, scale * width, channels].
    """
    signature = model.signatures()[SIGNATURE]

    def function(images: tf.Tensor) -> tf.Tensor:
        return signature.function(images)["image"]

    scale = function(tf.zeros([1, PROBE, PROBE, picture.shape[-1]])).shape[1] // PROBE
    return upscale_in_tiles(function, picture, scale, overlap=signature.tile_overlap)


def upscale_in_tiles(
    function: Callable[[tf.Tensor], tf.Tensor], picture: np.ndarray, scale: int, tile: int = 128, overlap: int = 0
) -> np.ndarray:
    """Upscale a picture tile by tile.

    Args:
        function: From float32 images [1, h, w, channels] in [0, 1] to ones [1, scale * h, scale * w, channels] in [0, 1], such as the
            function of a serving signature; h and w vary.
        picture: uint8 [height, width, channels].
        scale: Factor on both sides.
        tile: Side of a tile, in pixels of `picture`.
        overlap: Pixels by which a tile is extended at each side where there are neighbors; seams are invisible if it is at least the
            radius of the network's receptive field.

    Returns:
        uint8 [scale * height, scale * width, channels].
    """
    height, width, channels = picture.shape
    upscaled = np.empty((scale * height, scale * width, channels), np.uint8)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            above, before = min(top, overlap), min(left, overlap)
            part = picture[top - above : top + tile + overlap, left - before : left + tile + overlap]
            result = np.asarray(function(tf.constant(part[None], tf.float32) / 255))[0, scale * above :, scale * before :]
            target = upscaled[scale * top :, scale * left :][: scale * tile, : scale * tile]
            target[:] = np.rint(result[: target.shape[0], : target.shape[1]] * 255)
    return upscaled
