"""Blocks that two or more models use."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation over all axes but the last, by the fused kernel while training.

    Same numbers and running statistics as Keras' own (which composes it of small operations: 3.6 times slower).
    Under several replicas the statistics are those of the joined batch.
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **{**kwargs, "synchronized": True})

    def call(self, inputs, training=None, mask=None):
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if not training or not self.trainable or replicas > 1 or not (self.scale and self.center):
            return super().call(inputs, training=training)
        shape = tf.shape(inputs)
        channels = inputs.shape[-1]
        flat = tf.reshape(inputs, [-1, 1, 1, channels]) if inputs.shape.rank != 4 else inputs
        empty = tf.zeros([0], tf.float32)  # no statistics are passed in while training
        output, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=flat, scale=self.gamma.value, offset=self.beta.value, mean=empty, variance=empty, epsilon=self.epsilon, is_training=True
        )
        rows = tf.cast(tf.size(flat) // channels, tf.float32)
        variance *= (rows - 1) / rows  # the kernel returns n / (n - 1) of it; Keras keeps the plain one
        for kept, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            kept.assign_sub((kept - now) * (1 - self.momentum))
        return tf.reshape(output, shape) if inputs.shape.rank != 4 else output


def normal(stddev=0.02):
    """A fresh N(0, stddev) initialiser (an unseeded one that is used twice gives the same weights twice)."""
    return keras.initializers.RandomNormal(0.0, stddev)


def pyramid(image_shape):
    """Sides from small to full size: [(4, 4), (8, 8), (16, 16), (32, 32)]; odd ones round up: 4, 7, 14, 28.

    The smallest step has a short side of 4 to 6: from 7 (as 28 halved twice) digits come out much worse.
    """
    steps = [tuple(image_shape[:2])]
    while min(steps[0]) >= 7:
        steps.insert(0, tuple(-(-side // 2) for side in steps[0]))
    return steps


def widths(largest, steps):
    """Channels of `steps` layers from the smallest size up: `largest` at the last, doubled at each one before, up to 8 times."""
    return [largest * min(2**i, 8) for i in reversed(range(steps))]


def rise(x, size, filters, kernel, **kwargs):
    """Transposed convolution of stride 2, cut to `size` (height, width) where that is odd."""
    x = keras.layers.Conv2DTranspose(filters, kernel, 2, "same", kernel_initializer=normal(), **kwargs)(x)
    rows, columns = x.shape[1] - size[0], x.shape[2] - size[1]
    return keras.layers.Cropping2D(((0, rows), (0, columns)))(x) if rows or columns else x


def conv(x, filters, kernel, strides=1, **kwargs):
    """Convolution with weights from N(0, 0.02)."""
    return keras.layers.Conv2D(filters, kernel, strides, "same", kernel_initializer=normal(), **kwargs)(x)


def norm(x):
    """Batch normalisation whose gain starts from N(1, 0.02), as in DCGAN's code."""
    return BatchNorm(gamma_initializer=keras.initializers.RandomNormal(1.0, 0.02))(x)


def norm_relu(x):
    """That, then ReLU."""
    return keras.layers.ReLU()(norm(x))


def maxout(x, units, pieces, **kwargs):
    """Dense layer whose units are the largest of `pieces` linear ones (Goodfellow et al. 2013)."""
    x = keras.layers.Dense(units * pieces, **kwargs)(x)
    return ops.max(keras.layers.Reshape((units, pieces))(x), axis=-1)


def label_input(num_classes):
    """(input of integer labels [n], the same one-hot [n, classes])."""
    label = keras.Input((), dtype="int64", name="label")
    return label, ops.one_hot(label, num_classes)


def with_planes(x, code):
    """x [n, h, w, c] with one constant plane for each entry of `code` [n, k]: [n, h, w, c + k]."""
    planes = keras.layers.Reshape((1, 1, code.shape[-1]))(code)
    planes = keras.layers.UpSampling2D(x.shape[1:3])(planes)
    return keras.layers.Concatenate()([x, planes])


def sigmoid_output(x, image_shape):
    """[n, pixels] through a sigmoid, as images: float32 in [-1, 1], whatever the precision of the layers before."""
    x = keras.layers.Activation("sigmoid", dtype="float32")(x)
    return keras.layers.Rescaling(2.0, -1.0, dtype="float32")(keras.layers.Reshape(image_shape)(x))


def image_output(x):
    """Float32 images in [-1, 1], whatever the precision of the layers before."""
    return keras.layers.Activation("tanh", dtype="float32", name="image")(x)


def logits(x, units=None, **kwargs):
    """Linear head in float32: [n], or [n, units]."""
    kwargs = {"kernel_initializer": normal(), **kwargs}
    x = keras.layers.Dense(units or 1, dtype="float32", **kwargs)(x)
    return x if units else ops.squeeze(x, -1)
