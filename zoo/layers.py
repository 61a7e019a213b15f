"""Blocks that two or more models use."""

import math

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
        if not training or not self.trainable or replicas > 1:
            return super().call(inputs, training=training)
        shape = tf.shape(inputs)
        channels = inputs.shape[-1]
        flat = tf.reshape(inputs, [-1, 1, 1, channels]) if inputs.shape.rank != 4 else inputs
        scale = self.gamma.value if self.scale else tf.ones([channels])
        offset = self.beta.value if self.center else tf.zeros([channels])
        empty = tf.zeros([0], tf.float32)  # no statistics are passed in while training
        output, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=flat, scale=scale, offset=offset, mean=empty, variance=empty, epsilon=self.epsilon, is_training=True
        )
        rows = tf.cast(tf.size(flat) // channels, tf.float32)
        variance *= (rows - 1) / rows  # the kernel returns n / (n - 1) of it; Keras keeps the plain one
        for kept, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            kept.assign_sub((kept - now) * (1 - self.momentum))
        return tf.reshape(output, shape) if inputs.shape.rank != 4 else output


class Spectral(keras.layers.Layer):
    """A layer whose weight is divided by its largest singular value (Miyato et al. 2018, eq. 8, appendix A).

    The weight is seen as a matrix of (inputs, outputs); one power iteration a forward pass in training, from a random start that is kept.
    Gradients flow through the norm. In float32, whatever the precision of the layers. least: a norm below that counts as it, so that a
    weight may be small.
    """

    def __init__(self, epsilon=1e-12, kernel_initializer="glorot_uniform", use_bias=True, least=0.0, **kwargs):
        super().__init__(**kwargs)
        self.epsilon, self.use_bias, self.least = epsilon, use_bias, least
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def add_weights(self, shape):
        """The weight, of `shape` (outputs last), its vector and its bias."""
        self.kernel = self.add_weight(shape=shape, initializer=self.kernel_initializer, name="kernel", autocast=False)
        self.vector = self.add_weight(
            shape=(1, shape[-1]),
            initializer=keras.initializers.RandomNormal(),
            trainable=False,
            name="vector",
            autocast=False,
            aggregation="only_first_replica",  # it is the same on each: a function of the weight
        )
        self.bias = self.add_weight(shape=shape[-1:], initializer="zeros", name="bias") if self.use_bias else None

    def normalised(self, training):
        """The weight over its norm, in the precision of the layer."""
        matrix = tf.reshape(self.kernel.value, [-1, self.kernel.shape[-1]])
        u = self.vector.value
        v = self._unit(tf.matmul(u, matrix, transpose_b=True))
        u = self._unit(tf.matmul(v, matrix))
        if training:
            self.vector.assign(tf.stop_gradient(u))
        norm = tf.reduce_sum(tf.stop_gradient(v) @ matrix * tf.stop_gradient(u))
        return tf.cast(self.kernel.value / tf.maximum(norm, self.least), self.compute_dtype)

    def _unit(self, vector):
        return vector / (tf.norm(vector) + self.epsilon)

    def with_bias(self, x):
        return x if self.bias is None else x + tf.cast(self.bias, x.dtype)

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        mine = {"epsilon": self.epsilon, "use_bias": self.use_bias, "kernel_initializer": initializer, "least": self.least}
        return {**super().get_config(), **mine}


@keras.saving.register_keras_serializable("zoo")
class SpectralConv2D(Spectral):
    """Convolution ("same") with a spectrally normalised kernel."""

    def __init__(self, filters, kernel_size, strides=1, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.strides = filters, kernel_size, strides

    def build(self, shape):
        self.add_weights((self.kernel_size, self.kernel_size, shape[-1], self.filters))

    def call(self, x, training=False):
        return self.with_bias(tf.nn.conv2d(x, self.normalised(training), self.strides, "SAME"))

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size, "strides": self.strides}


@keras.saving.register_keras_serializable("zoo")
class SpectralDense(Spectral):
    """Dense layer with a spectrally normalised matrix."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        self.add_weights((shape[-1], self.units))

    def call(self, x, training=False):
        return self.with_bias(tf.matmul(x, self.normalised(training)))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("zoo")
class SpectralEmbedding(Spectral):
    """One vector for each of `classes` integers [n], of a spectrally normalised table."""

    def __init__(self, classes, units, **kwargs):
        super().__init__(**{**kwargs, "use_bias": False})
        self.classes, self.units = classes, units

    def build(self, shape):
        self.add_weights((self.classes, self.units))

    def call(self, x, training=False):
        return tf.gather(self.normalised(training), x)

    def get_config(self):
        return {**super().get_config(), "classes": self.classes, "units": self.units}


@keras.saving.register_keras_serializable("zoo")
class Gain(keras.layers.Layer):
    """Multiplies by one learned number, which starts at 0."""

    def build(self, shape):
        self.gain = self.add_weight(shape=(), initializer="zeros", name="gain")

    def call(self, x):
        return x * self.gain


@keras.saving.register_keras_serializable("zoo")
class Bias(keras.layers.Layer):
    """Adds one learned number a channel, which starts at 0."""

    def build(self, shape):
        self.bias = self.add_weight(shape=shape[-1:], initializer="zeros", name="bias")

    def call(self, x):
        return x + self.bias


@keras.saving.register_keras_serializable("zoo")
class InstanceNorm(keras.layers.Layer):
    """Normalises each channel of each image by itself (Ulyanov et al. 2016); affine: with a learned gain and offset."""

    def __init__(self, affine=False, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.affine, self.epsilon = affine, epsilon

    def build(self, shape):
        if self.affine:
            self.gain = self.add_weight(shape=shape[-1:], initializer="ones", name="gain")
            self.offset = self.add_weight(shape=shape[-1:], initializer="zeros", name="offset")

    def call(self, x):
        mean, variance = tf.nn.moments(tf.cast(x, tf.float32), (1, 2), keepdims=True)
        scale = tf.math.rsqrt(variance + self.epsilon)
        if self.affine:
            scale *= tf.cast(self.gain, tf.float32)
        offset = -mean * scale + (tf.cast(self.offset, tf.float32) if self.affine else 0.0)
        return x * tf.cast(scale, x.dtype) + tf.cast(offset, x.dtype)

    def get_config(self):
        return {**super().get_config(), "affine": self.affine, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("zoo")
class Kept(keras.layers.Layer):
    """`count` images that a model keeps from round to round; each replica has rows of its own."""

    def __init__(self, count, shape, start="zeros", **kwargs):
        super().__init__(**kwargs)
        self.images = self.add_weight(
            shape=(count, *shape), initializer=start, trainable=False, name="images", aggregation="sum"
        )  # the sum of each replica's share
        self.built = True

    @property
    def rows(self):
        """How many a replica has."""
        return self.images.shape[0] // tf.distribute.get_strategy().num_replicas_in_sync

    def _places(self, rows):
        replica = tf.distribute.get_replica_context()
        return rows + self.rows * (replica.replica_id_in_sync_group if replica else 0)

    def take(self, rows):
        """The images at rows [n], numbered from 0 on every replica."""
        return tf.gather(self.images.value, self._places(rows))

    def put(self, rows, images):
        """Keeps images at rows [n]; where several share one, the last of them. A row below 0 is none."""
        count, order = self.images.shape[0], tf.range(tf.shape(rows)[0])
        order = tf.where(rows >= 0, order, -1)
        last = tf.tensor_scatter_nd_max(tf.fill([count], -1), self._places(tf.maximum(rows, 0))[:, None], order)
        where, which = tf.where(last >= 0), tf.boolean_mask(last, last >= 0)
        kept = tf.convert_to_tensor(self.images.value)  # of a variable XLA cannot gather by place
        change = tf.scatter_nd(where, tf.gather(images, which) - tf.gather_nd(kept, where), kept.shape)
        self.images.assign(kept / tf.distribute.get_strategy().num_replicas_in_sync + change)


def normal(stddev=0.02):
    """A fresh N(0, stddev) initialiser (an unseeded one that is used twice gives the same weights twice)."""
    return keras.initializers.RandomNormal(0.0, stddev)


def pyramid(image_shape):
    """Sides from small to full size: [(4, 4), (8, 8), (16, 16), (32, 32)]; odd ones round up: 4, 7, 14, 28.

    The smallest step has a short side of 4 to 6: from 7 (as 28 halved twice) digits come out much worse.
    """
    times = 0
    while min(halved(image_shape, times)[0]) >= 7:
        times += 1
    return halved(image_shape, times)


def halved(image_shape, times):
    """Sides from small to full size, halved so often: (28, 28) once is [(14, 14), (28, 28)]; odd ones round up."""
    return [tuple(-(-side // 2**i) for side in image_shape[:2]) for i in reversed(range(times + 1))]


def widths(largest, steps):
    """Channels of `steps` layers from the smallest size up: `largest` at the last, doubled at each one before, up to 8 times."""
    return [largest * min(2**i, 8) for i in reversed(range(steps))]


def rise(x, size, filters, kernel, **kwargs):
    """Transposed convolution of stride 2, cut to `size` (height, width) where that is odd."""
    return cut(keras.layers.Conv2DTranspose(filters, kernel, 2, "same", kernel_initializer=normal(), **kwargs)(x), size)


def cut(x, size):
    """The first rows and columns of feature maps, as many as `size` (height, width) has."""
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


def plain_norm_relu(x):
    """Batch normalisation whose gain starts at 1, then ReLU."""
    return keras.layers.ReLU()(BatchNorm()(x))


def glorot_conv(x, filters, kernel):
    """Convolution of a residual block, where a ReLU comes before (3x3) with twice the variance (Gulrajani et al. 2017, appendix F)."""
    scale = 2.0 if kernel == 3 else 1.0
    start = keras.initializers.VarianceScaling(scale, "fan_avg", "uniform")
    return keras.layers.Conv2D(filters, kernel, padding="same", kernel_initializer=start)(x)


def last(values, count):
    """The last `count` of them, the first repeated where there are too few."""
    return [*values[:1] * (count - len(values)), *values[max(len(values) - count, 0) :]]


def deconvolutions(x, image_shape, width, kernel, after=norm_relu, use_bias=False, output_bias=True):
    """DCGAN's generator from a vector up to the last layer, which is linear: 4x4, then stride 2 up to the image; `after` each layer."""
    start, *sizes = pyramid(image_shape)
    first, *others = widths(width, len(sizes))
    x = keras.layers.Dense(start[0] * start[1] * first, use_bias=use_bias, kernel_initializer=normal())(x)
    x = after(keras.layers.Reshape((*start, first))(x))
    for size, filters in zip(sizes, others):
        x = after(rise(x, size, filters, kernel, use_bias=use_bias))
    return rise(x, sizes[-1], image_shape[-1], kernel, use_bias=output_bias)


def convolutions(x, width, kernel, slope, after=norm, use_bias=False):
    """DCGAN's discriminator up to the last layer: stride 2 down to 4x4, flattened; `after` each convolution but the first."""
    for i, filters in enumerate(reversed(widths(width, len(pyramid(x.shape[1:])) - 1))):
        x = conv(x, filters, kernel, 2, use_bias=use_bias)
        x = keras.layers.LeakyReLU(slope)(after(x) if i else x)
    return keras.layers.Flatten()(x)


def spectral_conv(x, filters, kernel, strides=1, **kwargs):
    """Convolution with spectral norm."""
    return SpectralConv2D(filters, kernel, strides, **kwargs)(x)


def enlarge(x, size):
    """Twice as large, each value repeated, and cut to `size` (height, width) where that is odd."""
    return cut(keras.layers.UpSampling2D()(x), size)


def shrink(x):
    """Half as large, each value the mean of four."""
    return keras.layers.AveragePooling2D(2, padding="same")(x)


def residual_up(x, size, filters, conv, norm_relu=norm_relu):
    """Residual block that doubles the sides (Gulrajani et al. 2017, appendix F): norm, ReLU, nearest, conv, norm, ReLU, conv."""
    y = conv(enlarge(norm_relu(x), size), filters, 3)
    y = conv(norm_relu(y), filters, 3)
    return keras.layers.Add()([y, conv(enlarge(x, size), filters, 1)])


def residual_down(x, filters, conv, down=True, first=False):
    """Residual block without norm: ReLU (not the first), conv, ReLU, conv, mean of four; the first one's shortcut shrinks first."""
    y = conv(x if first else keras.layers.ReLU()(x), filters, 3)
    y = conv(keras.layers.ReLU()(y), filters, 3)
    if first:
        x = conv(shrink(x), filters, 1)
    elif down or x.shape[-1] != filters:
        x = conv(x, filters, 1)
        x = shrink(x) if down else x
    return keras.layers.Add()([shrink(y) if down else y, x])


def residual_generator(x, image_shape, width, norm_relu):
    """Residual generator from a vector up to the last layer, which is linear (Gulrajani et al. 2017, appendix F): 4x4, then doubled."""
    start, *sizes = pyramid(image_shape)
    x = keras.layers.Reshape((*start, width))(keras.layers.Dense(start[0] * start[1] * width)(x))
    for size in sizes:
        x = residual_up(x, size, width, glorot_conv, norm_relu)
    return keras.layers.Conv2D(image_shape[-1], 3, padding="same")(plain_norm_relu(x))


def residual_features(x, width, conv):
    """The discriminator beside it, before it is pooled: four residual blocks, of which two shrink."""
    for i, down in enumerate((True, True, False, False)):
        x = residual_down(x, width, conv, down, first=not i)
    return x


def attended_features(x, widths, conv, attention, side):
    """SAGAN's and BigGAN's discriminator before it is pooled: residual blocks that shrink, and one more; attention at a size near `side`.

    widths: channels from the smallest size up; the first of them is that of the last block.
    """
    at = nearest_size(x.shape[1:], side)
    for i, filters in enumerate([*reversed(widths[1:]), widths[0]]):
        down = i < len(widths) - 1
        x = residual_down(x, filters, conv, down, first=not i)
        x = attention(x) if down and x.shape[1:3] == at else x
    return x


def nearest_size(image_shape, side):
    """The size (height, width) of feature maps whose shorter side is nearest to `side`: between the smallest and the image's own."""
    between = pyramid(image_shape)[1:-1]
    return min(between, key=lambda size: abs(min(size) - side)) if between else None


def attention(x, conv):
    """Self-attention over places (Zhang et al. 2018, §3, as in the authors' code): x + gain * what is looked at; the gain starts at 0.

    Keys and values are the largest of four; 1/8 of the channels for queries and keys, half for values. conv: a 1x1 convolution of it.
    """
    height, width, channels = x.shape[1:]
    few, many = max(channels // 8, 1), max(channels // 2, 1)

    def flat(y, filters):
        return keras.layers.Reshape((-1, filters))(y)

    query = flat(conv(x, few, 1), few)
    key = flat(keras.layers.MaxPooling2D(padding="same")(conv(x, few, 1)), few)
    value = flat(keras.layers.MaxPooling2D(padding="same")(conv(x, many, 1)), many)
    seen = keras.layers.Softmax(dtype="float32")(keras.layers.Dot(axes=2)([query, key]))
    y = keras.layers.Reshape((height, width, many))(keras.layers.Dot(axes=(2, 1))([seen, value]))
    return keras.layers.Add()([x, Gain()(conv(y, channels, 1))])


def projected(features, label, classes, use_bias=True, **kwargs):
    """Logit [n] of features and a class, psi(h) + <v_y, h> (Miyato & Koyama 2018, eq. 3), spectrally normalised, in float32."""
    kwargs["dtype"] = "float32"
    known = keras.layers.Dot(axes=1, dtype="float32")([SpectralEmbedding(classes, features.shape[-1], **kwargs)(label), features])
    return ops.squeeze(SpectralDense(1, use_bias=use_bias, **kwargs)(features) + known, -1)


def place_sum(x):
    """[n, h, w, c] -> [n, c], ReLU and summed over places, in float32."""
    return ops.sum(keras.layers.Activation("relu", dtype="float32")(x), axis=(1, 2))


def conditional_norm_relu(x, gain, bias):
    """Batch norm with a gain of 1 + `gain` and a bias of each image's own, both [n, channels], then ReLU."""
    gain, bias = (keras.layers.Reshape((1, 1, x.shape[-1]))(vector) for vector in (gain, bias))
    x = BatchNorm(scale=False, center=False)(x)
    return keras.layers.ReLU()(x * (gain + 1) + bias)


def class_norm_relu(x, label, classes):
    """That with a gain and a bias learned for each class (Dumoulin et al. 2017): 1 and 0 at the start."""
    gain, bias = (keras.layers.Embedding(classes, x.shape[-1], embeddings_initializer="zeros")(label) for _ in range(2))
    return conditional_norm_relu(x, gain, bias)


def maxout(x, units, pieces, **kwargs):
    """Dense layer whose units are the largest of `pieces` linear ones (Goodfellow et al. 2013)."""
    x = keras.layers.Dense(units * pieces, **kwargs)(x)
    return ops.max(keras.layers.Reshape((units, pieces))(x), axis=-1)


def label_input(num_classes):
    """(input of integer labels [n], the same one-hot [n, classes])."""
    label = keras.Input((), dtype="int64", name="label")
    return label, ops.one_hot(label, num_classes)


def patch_logits(x, width, steps, slope, norm):
    """A logit a patch, [n, h, w, 1] in float32 (Isola et al. 2016, §6.1.2): `steps` 4x4 convolutions of stride 2 and two of stride 1.

    Patches are 70x70 with 3 steps, 34 with 2, 16 with 1; an image too small for so many has as many as leave something. norm: makes the
    layer after all but the first and the last.
    """
    steps = min(steps, int(math.log2(min(x.shape[1:3]) // 4)))

    def conv(x, filters, strides):
        return keras.layers.Conv2D(filters, 4, strides, kernel_initializer=normal())(keras.layers.ZeroPadding2D(1)(x))

    for i in range(steps + 1):
        x = conv(x, width * min(2**i, 8), 2 if i < steps else 1)
        x = keras.layers.LeakyReLU(slope)(norm()(x) if i else x)
    return keras.layers.Activation("linear", dtype="float32")(conv(x, 1, 1))


def sigmoid_output(x, image_shape):
    """[n, pixels] through a sigmoid, as images: float32 in [-1, 1], whatever the precision of the layers before."""
    x = keras.layers.Activation("sigmoid", dtype="float32")(x)
    return keras.layers.Rescaling(2.0, -1.0, dtype="float32")(keras.layers.Reshape(image_shape, dtype="float32")(x))


def image_output(x):
    """Float32 images in [-1, 1], whatever the precision of the layers before."""
    return keras.layers.Activation("tanh", dtype="float32", name="image")(x)


def logits(x, units=None, **kwargs):
    """Linear head in float32: [n], or [n, units]."""
    kwargs = {"kernel_initializer": normal(), **kwargs}
    x = keras.layers.Dense(units or 1, dtype="float32", **kwargs)(x)
    return x if units else ops.squeeze(x, -1)
