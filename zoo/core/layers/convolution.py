"""Convolutions, resampling, and the convolutional trunks of DCGAN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import KerasTensor

from zoo.core.layers.normalization import batch_norm, norm_relu
from zoo.core.layers.sizes import Size, channel_widths, resolutions


def normal_init(stddev: float = 0.02) -> keras.initializers.Initializer:
    """A new N(0, stddev) initializer.

    Each layer needs an initializer of its own: one that is used twice draws the same weights twice.
    """
    return keras.initializers.RandomNormal(0.0, stddev)


def conv(x: KerasTensor, filters: int, kernel: int, strides: int = 1, **kwargs: Any) -> KerasTensor:
    """Convolution with "same" padding and weights initialized from N(0, 0.02)."""
    return keras.layers.Conv2D(filters, kernel, strides, "same", kernel_initializer=normal_init(), **kwargs)(x)


@keras.saving.register_keras_serializable("zoo")
class BlockConv2D(keras.layers.Conv2D):
    """Convolution of stride 1 with few output channels, such as the last one before an image, computed on blocks of pixels.

    CPUs compute 16 channels at once, most of which are idle for an image's 1 or 3. The pixels of a block become channels of one pixel
    (`tf.nn.space_to_depth`) and back. Weights are those of `keras.layers.Conv2D`, and so are results, up to rounding.

    Args:
        filters: Number of output channels.
        kernel_size: Height and width of the kernel; one more than a multiple of `block` ("same" padding: of twice `block`).
        block: Side of a block. Both sides of the output must be multiples of it.
        **kwargs: Further arguments of `keras.layers.Conv2D`.
    """

    def __init__(self, filters: int, kernel_size: Any, block: int, **kwargs: Any) -> None:
        super().__init__(filters, kernel_size, **kwargs)
        self.block = block
        multiple = 2 * block if self.padding == "same" else block
        if any(side % multiple != 1 for side in self.kernel_size):
            raise ValueError(f"kernel {self.kernel_size}: its sides must be one more than a multiple of {multiple}")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        blocks = tf.nn.conv2d(tf.nn.space_to_depth(x, self.block), self._block_kernel(), 1, self.padding.upper())
        x = tf.nn.depth_to_space(blocks, self.block)
        return tf.nn.bias_add(x, tf.cast(self.bias, x.dtype)) if self.use_bias else x

    def _block_kernel(self) -> tf.Tensor:
        """The kernel between blocks: one copy for each pixel of an output block, shifted to where that pixel is."""
        kernel, block = tf.cast(self.kernel, self.compute_dtype), self.block
        rows, columns = ((side - 1) // block + 1 for side in self.kernel_size)
        pads = [(pixel, block - 1 - pixel) for pixel in range(block)]
        shifted = tf.stack([tf.pad(kernel, [vertical, horizontal, (0, 0), (0, 0)]) for vertical in pads for horizontal in pads])
        inputs, outputs = kernel.shape[2:]
        parts = tf.reshape(shifted, [block**2, rows, block, columns, block, inputs, outputs])
        return tf.reshape(tf.transpose(parts, [1, 3, 2, 4, 5, 0, 6]), [rows, columns, block**2 * inputs, block**2 * outputs])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "block": self.block}


def upsample_conv(x: KerasTensor, size: Size, filters: int, kernel: int, **kwargs: Any) -> KerasTensor:
    """Transposed convolution of stride 2 with weights initialized from N(0, 0.02), cropped to `size` (height, width) if that is odd."""
    return crop_to(keras.layers.Conv2DTranspose(filters, kernel, 2, "same", kernel_initializer=normal_init(), **kwargs)(x), size)


def crop_to(x: KerasTensor, size: Size) -> KerasTensor:
    """Feature maps without the last rows and columns that exceed `size` (height, width)."""
    rows, columns = x.shape[1] - size[0], x.shape[2] - size[1]
    return keras.layers.Cropping2D(((0, rows), (0, columns)))(x) if rows or columns else x


@keras.saving.register_keras_serializable("zoo")
class Upsample2D(keras.layers.Layer):
    """Nearest-neighbor upsampling of images by 2. Keras' own layer computes it by about 100 operations, which take 2 to 4 times as long."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return double_size(x)

    def compute_output_spec(self, x: KerasTensor) -> KerasTensor:
        rows, *sides, channels = x.shape
        return KerasTensor((rows, *(side and 2 * side for side in sides), channels), self.compute_dtype)


@tf.custom_gradient
def double_size(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Each pixel of images, 2x2 times. The gradient is written out, because XLA lacks that of the resizing kernel."""
    size = [2 * side for side in x.shape[1:3]] if None not in x.shape[1:3] else 2 * tf.shape(x)[1:3]
    return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size), lambda upstream: 4 * tf.nn.avg_pool2d(upstream, 2, 2, "VALID")


def upsample(x: KerasTensor, size: Size) -> KerasTensor:
    """Nearest-neighbor upsampling by 2, cropped to `size` (height, width) if that is odd."""
    return crop_to(Upsample2D()(x), size)


def downsample(x: KerasTensor) -> KerasTensor:
    """Average pooling by 2; odd sides round up."""
    return keras.layers.AveragePooling2D(2, padding="same")(x)


def dcgan_generator_trunk(
    x: KerasTensor,
    image_shape: Sequence[int],
    width: int,
    kernel: int,
    after: Callable[[KerasTensor], KerasTensor] = norm_relu,
    use_bias: bool = False,
    output_bias: bool = True,
) -> KerasTensor:
    """DCGAN's generator up to the output activation: a dense layer to 4x4 feature maps, then transposed convolutions of stride 2.

    Args:
        x: Latent vectors [n, d].
        image_shape: Height, width and channels of the images.
        width: Number of channels at the highest resolution; see `channel_widths`.
        kernel: Kernel size.
        after: Normalization and activation, applied after every layer but the last.
        use_bias: Whether every layer but the last has a bias.
        output_bias: Whether the last layer has a bias.

    Returns:
        Images before the output activation, [n, height, width, channels].
    """
    start, *sizes = resolutions(image_shape)
    first, *widths = channel_widths(width, len(sizes))
    x = keras.layers.Dense(start[0] * start[1] * first, use_bias=use_bias, kernel_initializer=normal_init())(x)
    x = after(keras.layers.Reshape((*start, first))(x))
    for size, filters in zip(sizes[:-1], widths, strict=True):
        x = after(upsample_conv(x, size, filters, kernel, use_bias=use_bias))
    return upsample_conv(x, sizes[-1], image_shape[-1], kernel, use_bias=output_bias)


def dcgan_discriminator_trunk(
    x: KerasTensor,
    width: int,
    kernel: int,
    negative_slope: float,
    after: Callable[[KerasTensor], KerasTensor] = batch_norm,
    use_bias: bool = False,
) -> KerasTensor:
    """DCGAN's discriminator up to its last layer: convolutions of stride 2 down to 4x4 feature maps, which are flattened.

    Args:
        x: Images [n, height, width, channels].
        width: Number of channels at the highest resolution; see `channel_widths`.
        kernel: Kernel size.
        negative_slope: Slope of the leaky ReLU for negative inputs.
        after: Normalization, applied after every convolution but the first.
        use_bias: Whether the convolutions have a bias.

    Returns:
        Features [n, d].
    """
    for i, filters in enumerate(reversed(channel_widths(width, len(resolutions(x.shape[1:])) - 1))):
        x = conv(x, filters, kernel, 2, use_bias=use_bias)
        x = keras.layers.LeakyReLU(negative_slope)(after(x) if i else x)
    return keras.layers.Flatten()(x)
