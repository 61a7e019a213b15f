"""Self-attention, and the residual discriminator with it (Zhang et al. 2018, arXiv:1805.08318)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import KerasTensor

from zoo.core.layers.normalization import LearnedScale
from zoo.core.layers.residual import Convolution, residual_down
from zoo.core.layers.sizes import Size, resolutions


def self_attention(x: KerasTensor, conv: Convolution) -> KerasTensor:
    """Self-attention over positions: x + scale * attention(x), with a learned scale that is initialized to 0.

    As in the authors' code, keys and values are max-pooled by 2; queries and keys have an eighth of the channels, values half of them.

    Args:
        x: Feature maps [n, h, w, c].
        conv: Builds a 1x1 convolution.
    """
    height, width, channels = x.shape[1:]
    key_channels, value_channels = max(channels // 8, 1), max(channels // 2, 1)

    def flatten(y: KerasTensor, filters: int) -> KerasTensor:
        return keras.layers.Reshape((-1, filters))(y)

    query = flatten(conv(x, key_channels, 1), key_channels)
    key = flatten(keras.layers.MaxPooling2D(padding="same")(conv(x, key_channels, 1)), key_channels)
    value = flatten(keras.layers.MaxPooling2D(padding="same")(conv(x, value_channels, 1)), value_channels)
    attention = keras.layers.Softmax(dtype="float32")(keras.layers.Dot(axes=2)([query, key]))
    y = keras.layers.Reshape((height, width, value_channels))(keras.layers.Dot(axes=(2, 1))([attention, value]))
    return keras.layers.Add()([x, LearnedScale()(conv(y, channels, 1))])


def attended_features(
    x: KerasTensor, widths: Sequence[int], conv: Convolution, attention: Callable[[KerasTensor], KerasTensor], side: int
) -> KerasTensor:
    """SAGAN's and BigGAN's discriminator up to its pooling: residual blocks that halve the resolution, and one that preserves it.

    Args:
        x: Images [n, height, width, channels].
        widths: Numbers of channels from the lowest resolution up; the first one is that of the last block.
        conv: Builds a convolution.
        attention: Builds self-attention.
        side: Side of the feature maps that get self-attention; see `nearest_size`.
    """
    attended_size = nearest_size(x.shape[1:], side)
    for i, filters in enumerate([*reversed(widths[1:]), widths[0]]):
        down = i < len(widths) - 1
        x = residual_down(x, filters, conv, down, first=not i)
        x = attention(x) if down and x.shape[1:3] == attended_size else x
    return x


def nearest_size(image_shape: Sequence[int], side: int) -> Size | None:
    """The size (height, width) of feature maps whose shorter side is nearest to `side`.

    Candidates are the sizes between the smallest and the image's own; None if there are none.
    """
    candidates = resolutions(image_shape)[1:-1]
    return min(candidates, key=lambda size: abs(min(size) - side)) if candidates else None
