"""Inputs and outputs of networks: labels, images, logits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from zoo.core.layers.convolution import normal_init
from zoo.core.layers.spectral import SpectralDense, SpectralEmbedding


def label_input(num_classes: int) -> tuple[KerasTensor, KerasTensor]:
    """The input `label` of integers [n], and its one-hot encoding [n, num_classes]."""
    label = keras.Input((), dtype="int64", name="label")
    return label, ops.one_hot(label, num_classes)


def maxout(x: KerasTensor, units: int, pieces: int, **kwargs: Any) -> KerasTensor:
    """Dense layer of maxout units: each is the maximum of `pieces` linear functions (Goodfellow et al. 2013)."""
    x = keras.layers.Dense(units * pieces, **kwargs)(x)
    return ops.max(keras.layers.Reshape((units, pieces))(x), axis=-1)


def image_output(x: KerasTensor) -> KerasTensor:
    """Tanh, to float32 images in [-1, 1] regardless of the precision of the preceding layers."""
    return keras.layers.Activation("tanh", dtype="float32", name="image")(x)


def sigmoid_output(x: KerasTensor, image_shape: Sequence[int]) -> KerasTensor:
    """Sigmoid of pixels [n, d], reshaped and rescaled to float32 images in [-1, 1] regardless of the precision of the preceding layers."""
    x = keras.layers.Activation("sigmoid", dtype="float32")(x)
    return keras.layers.Rescaling(2.0, -1.0, dtype="float32")(keras.layers.Reshape(image_shape, dtype="float32")(x))


def logits(x: KerasTensor, units: int | None = None, **kwargs: Any) -> KerasTensor:
    """Linear output layer in float32: [n, units], or [n] without `units`."""
    kwargs = {"kernel_initializer": normal_init(), **kwargs}
    x = keras.layers.Dense(units or 1, dtype="float32", **kwargs)(x)
    return x if units else ops.squeeze(x, -1)


@keras.saving.register_keras_serializable("zoo")
class Cosines(keras.layers.Layer):
    """Cosines of the angles between features [n, d] and `units` learned vectors, [n, units] in float32, for `losses.margin_softmax`."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.units = units

    def build(self, shape: Sequence[int | None]) -> None:
        self.vectors = self.add_weight(shape=(shape[-1], self.units), initializer="glorot_uniform", name="vectors")

    def call(self, features: KerasTensor) -> KerasTensor:
        return ops.matmul(ops.normalize(features, axis=-1), ops.normalize(self.vectors, axis=0))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def projection_logit(features: KerasTensor, label: KerasTensor, num_classes: int, use_bias: bool = True, **kwargs: Any) -> KerasTensor:
    """Logit [n] of a projection discriminator, psi(h) + <v_y, h> (Miyato & Koyama 2018, eq. 3), spectrally normalized, in float32.

    Args:
        features: h, [n, d].
        label: y, integers [n].
        num_classes: Number of classes.
        use_bias: Whether psi has a bias.
        **kwargs: Further arguments of `SpectralNorm`, for psi and for the embedding v.
    """
    kwargs["dtype"] = "float32"
    projection = keras.layers.Dot(axes=1, dtype="float32")([SpectralEmbedding(num_classes, features.shape[-1], **kwargs)(label), features])
    return ops.squeeze(SpectralDense(1, use_bias=use_bias, **kwargs)(features) + projection, -1)


def global_sum_pool(x: KerasTensor) -> KerasTensor:
    """ReLU of feature maps [n, h, w, c], summed over positions in float32: [n, c]."""
    return ops.sum(keras.layers.Activation("relu", dtype="float32")(x), axis=(1, 2))


def patch_logits(x: KerasTensor, width: int, num_layers: int, negative_slope: float, norm: Callable[[], keras.layers.Layer]) -> KerasTensor:
    """PatchGAN discriminator: one float32 logit per patch, [n, h, w, 1] (Isola et al. 2016, §6.1.2).

    Patches are 70x70 pixels with 3 layers, 34x34 with 2, 16x16 with 1. For small images, the number of layers is reduced so that the
    feature maps are at least 4x4.

    Args:
        x: Images [n, height, width, channels].
        width: Number of channels of the first convolution, doubled at each further one up to a factor of 8.
        num_layers: Number of 4x4 convolutions of stride 2; two of stride 1 follow.
        negative_slope: Slope of the leaky ReLU for negative inputs.
        norm: Creates the normalization layer of every convolution but the first and the last.
    """
    num_layers = min(num_layers, int(math.log2(min(x.shape[1:3]) // 4)))

    def conv(x: KerasTensor, filters: int, strides: int) -> KerasTensor:
        return keras.layers.Conv2D(filters, 4, strides, kernel_initializer=normal_init())(keras.layers.ZeroPadding2D(1)(x))

    for i in range(num_layers + 1):
        x = conv(x, width * min(2**i, 8), 2 if i < num_layers else 1)
        x = keras.layers.LeakyReLU(negative_slope)(norm()(x) if i else x)
    return keras.layers.Activation("linear", dtype="float32")(conv(x, 1, 1))
