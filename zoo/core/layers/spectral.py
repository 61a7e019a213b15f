"""Layers with spectral normalization (Miyato et al. 2018, arXiv:1802.05957)."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import KerasTensor


class SpectralNorm(keras.layers.Layer):
    """Base of the layers whose weight is divided by its spectral norm (Miyato et al. 2018, eq. 8 and appendix A).

    The weight is reshaped to a matrix of (inputs, outputs). Its largest singular value is estimated by one power iteration per forward
    pass in training, which starts from the result of the previous one; the first vector is random. Gradients flow through the norm. The
    estimate is computed in float32 regardless of the layer's precision.

    Args:
        epsilon: Added to the norms of the power iteration's vectors.
        kernel_initializer: Initializer of the weight.
        use_bias: Whether to add a learned bias per output.
        min_norm: Lower bound on the norm that the weight is divided by, for layers whose weight may be small.
    """

    def __init__(
        self,
        epsilon: float = 1e-12,
        kernel_initializer: str | keras.initializers.Initializer = "glorot_uniform",
        use_bias: bool = True,
        min_norm: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.epsilon, self.use_bias, self.min_norm = epsilon, use_bias, min_norm
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def add_weights(self, shape: tuple[int, ...]) -> None:
        """Creates the weight, its singular vector and the bias.

        Args:
            shape: Shape of the weight, outputs last.
        """
        self.kernel = self.add_weight(shape=shape, initializer=self.kernel_initializer, name="kernel", autocast=False)
        self.vector = self.add_weight(
            shape=(1, shape[-1]),
            initializer=keras.initializers.RandomNormal(),
            trainable=False,
            name="vector",
            autocast=False,
            aggregation="only_first_replica",  # equal on all replicas: a function of the weight
        )
        self.bias = self.add_weight(shape=shape[-1:], initializer="zeros", name="bias") if self.use_bias else None

    def normalized_kernel(self, training: bool) -> tf.Tensor:
        """The weight divided by its spectral norm, in the layer's compute dtype."""
        matrix = tf.reshape(self.kernel.value, [-1, self.kernel.shape[-1]])
        constant = tf.stop_gradient(matrix)
        v, _ = self._unit(tf.matmul(self.vector.value, constant, transpose_b=True))
        u, norm = self._unit(tf.matmul(v, constant))
        if training:
            self.vector.assign(u)
        normalized = divide_by_norm(matrix, u, v, norm, self.min_norm)
        return tf.cast(tf.reshape(normalized, self.kernel.shape), self.compute_dtype)

    def _unit(self, vector: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """A vector [1, n] of length 1, and the length that it had, [1, 1]."""
        norm = tf.sqrt(tf.matmul(vector, vector, transpose_b=True))
        return vector / (norm + self.epsilon), norm

    def add_bias(self, x: tf.Tensor) -> tf.Tensor:
        """`x` plus the bias, if the layer has one."""
        return x if self.bias is None else x + tf.cast(self.bias, x.dtype)

    def get_config(self) -> dict[str, Any]:
        initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {"epsilon": self.epsilon, "use_bias": self.use_bias, "kernel_initializer": initializer, "min_norm": self.min_norm}
        return {**super().get_config(), **own}


def divide_by_norm(matrix: tf.Tensor, u: tf.Tensor, v: tf.Tensor, norm: tf.Tensor, min_norm: float) -> tf.Tensor:
    """Divides a matrix by its spectral norm, v W u^T, through which gradients flow to the matrix (appendix A).

    The gradient is written out, which makes fewer operations of it.

    Args:
        matrix: W, float32 [inputs, outputs].
        u: Right singular vector [1, outputs], a constant.
        v: Left singular vector [1, inputs], a constant.
        norm: The spectral norm, [1, 1].
        min_norm: The matrix is divided by at least this number.
    """

    @tf.custom_gradient
    def divide(matrix: tf.Tensor) -> tuple[tf.Tensor, Any]:
        divisor = tf.maximum(norm, min_norm) if min_norm else norm
        normalized = matrix / divisor

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            along = tf.reduce_sum(upstream * normalized)
            if min_norm:
                along = tf.where(norm >= min_norm, along, 0.0)  # a constant divisor has no gradient
            return (upstream - along * tf.matmul(v, u, transpose_a=True)) / divisor

        return normalized, gradient

    return divide(matrix)


@keras.saving.register_keras_serializable("zoo")
class SpectralConv2D(SpectralNorm):
    """Convolution with "same" padding and a spectrally normalized kernel."""

    def __init__(self, filters: int, kernel_size: int, strides: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.strides = filters, kernel_size, strides

    def build(self, shape: tuple[int, ...]) -> None:
        self.add_weights((self.kernel_size, self.kernel_size, shape[-1], self.filters))

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.add_bias(tf.nn.conv2d(x, self.normalized_kernel(training), self.strides, "SAME"))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size, "strides": self.strides}


@keras.saving.register_keras_serializable("zoo")
class SpectralDense(SpectralNorm):
    """Dense layer with a spectrally normalized matrix."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape: tuple[int, ...]) -> None:
        self.add_weights((shape[-1], self.units))

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.add_bias(tf.matmul(x, self.normalized_kernel(training)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("zoo")
class SpectralEmbedding(SpectralNorm):
    """Embedding of integers [n] as vectors [n, units], with a spectrally normalized table of `classes` rows."""

    def __init__(self, classes: int, units: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "use_bias": False})
        self.classes, self.units = classes, units

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.add_weights((self.classes, self.units))

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.gather(self.normalized_kernel(training), x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes, "units": self.units}


def spectral_conv(x: KerasTensor, filters: int, kernel: int, strides: int = 1, **kwargs: Any) -> KerasTensor:
    """Convolution with spectral normalization; further arguments are those of `SpectralNorm`."""
    return SpectralConv2D(filters, kernel, strides, **kwargs)(x)
