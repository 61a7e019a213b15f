"""The shared layers against Keras' own, against other implementations and by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import to_numpy

from zoo.core import layers
from zoo.models import cgan
from zoo.training import runtime

# -- normalization -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (8, 3), (1, 3)])
def test_batch_norm_equals_keras_own(shape):
    ours, theirs = layers.BatchNorm(momentum=0.8), keras.layers.BatchNormalization(momentum=0.8, epsilon=1e-5)
    x = tf.constant(np.random.RandomState(0).randn(*shape) * 3 + 1, tf.float32)
    for norm in (ours, theirs):
        norm.build(shape)
        norm.gamma.assign([1.0, 2.0, 0.5])
        norm.beta.assign([0.0, -1.0, 3.0])
    for _ in range(2):
        gradients = []
        for norm in (ours, theirs):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(norm(x, training=True) ** 3)
            gradients.append(tape.gradient(loss, [x, norm.gamma.value, norm.beta.value]))
        for our_gradient, their_gradient in zip(*gradients, strict=True):
            np.testing.assert_allclose(our_gradient, their_gradient, rtol=2e-4, atol=1e-3)
    for our_weight, their_weight in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(to_numpy(our_weight), to_numpy(their_weight), atol=1e-5)
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_upsampling_and_its_gradient_equal_keras_own(dtype, jit_compile):
    x = tf.cast(tf.random.stateless_normal((2, 3, 5, 4), (1, 2)), dtype)
    upstream = tf.cast(tf.random.stateless_normal((2, 6, 10, 4), (3, 4)), dtype)

    def derivatives(layer, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, tape.gradient(y, x, upstream)

    ours = tf.function(derivatives, jit_compile=jit_compile)(layers.Upsample2D(dtype=dtype), x)
    tolerance = 1e-6 if dtype == "float32" else 0.05
    for our_value, their_value in zip(ours, derivatives(keras.layers.UpSampling2D(dtype=dtype), x), strict=True):
        np.testing.assert_allclose(tf.cast(our_value, tf.float32), tf.cast(their_value, tf.float32), rtol=tolerance, atol=tolerance)


def test_upsampling_of_images_of_unknown_size():
    model = keras.Sequential([keras.Input((None, None, 3)), layers.Upsample2D()])
    assert model.output_shape == (None, None, None, 3)
    assert model(tf.zeros([1, 3, 4, 3])).shape == model.predict(np.zeros([1, 3, 4, 3]), verbose=0).shape == (1, 6, 8, 3)


def test_batch_norm_uses_the_fused_kernel_in_training():
    norm = layers.BatchNorm()
    graph = tf.function(lambda x: norm(x, training=True)).get_concrete_function(tf.TensorSpec([4, 2, 2, 3])).graph
    assert "FusedBatchNormV3" in [op.type for op in graph.get_operations()]


def test_batch_norm_in_half_precision_has_float32_statistics():
    norm = layers.BatchNorm(dtype="mixed_bfloat16")
    x = tf.constant(np.random.RandomState(0).randn(16, 4, 4, 2) * 2 + 5, tf.float32)
    y = norm(x, training=True)
    assert y.dtype == tf.bfloat16 and norm.moving_mean.dtype == "float32"
    np.testing.assert_allclose(tf.reduce_mean(tf.cast(y, tf.float32), [0, 1, 2]), 0, atol=2e-2)


def test_conditional_norm_starts_as_plain_norm():
    x, vector = keras.Input((4, 4, 3)), keras.Input((3,))
    network = keras.Model([x, vector], layers.conditional_norm_relu(x, vector, vector))
    images = np.random.RandomState(0).randn(6, 4, 4, 3).astype(np.float32) * 3 + 1
    plain = (images - images.mean((0, 1, 2))) / np.sqrt(images.var((0, 1, 2)) + 1e-5)
    zeros = np.zeros((6, 3), np.float32)
    np.testing.assert_allclose(network([images, zeros], training=True), np.maximum(plain, 0), atol=1e-4)
    np.testing.assert_allclose(network([images, zeros + 2], training=True), np.maximum(plain * 3 + 2, 0), atol=1e-4)


# -- spectral normalization --------------------------------------------------------------------------------------------


def test_spectral_norm_is_one_power_iteration_per_pass():
    draw = np.random.RandomState(0)
    layer = layers.SpectralDense(5, use_bias=False)
    layer.build((None, 4))
    matrix, u = draw.randn(4, 5), draw.randn(1, 5)
    layer.kernel.assign(matrix)
    layer.vector.assign(u)
    for _ in range(2):  # eq. 20-22 of the paper, by hand
        v = u @ matrix.T
        v /= np.linalg.norm(v)
        u = v @ matrix
        u /= np.linalg.norm(u)
        np.testing.assert_allclose(layer(tf.eye(4), training=True), matrix / (v @ matrix @ u.T), atol=1e-5)
        np.testing.assert_allclose(to_numpy(layer.vector), u, atol=1e-5)


def test_a_weight_below_the_minimal_norm_is_left_unchanged():
    layer = layers.SpectralDense(3, use_bias=False, min_norm=1.0)
    layer.build((None, 3))
    for scale, expected in ((0.25, 0.25), (4.0, 1.0)):
        layer.kernel.assign(scale * np.eye(3))
        np.testing.assert_allclose(layer(tf.eye(3)), expected * np.eye(3), atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_spectral_norm_is_the_largest_singular_value(policy):
    layer = layers.SpectralConv2D(5, 3, dtype=policy)
    x = tf.constant(np.random.RandomState(0).randn(2, 6, 6, 4), tf.float32)
    layer(x)
    vector = to_numpy(layer.vector)
    layer(x, training=False)
    np.testing.assert_array_equal(to_numpy(layer.vector), vector)
    for _ in range(200):
        y = layer(x, training=True)
    assert y.dtype == ("float32" if policy == "float32" else "bfloat16") and layer.kernel.dtype == layer.vector.dtype == "float32"
    matrix = to_numpy(layer.kernel).reshape(-1, 5)
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    by_hand = tf.nn.conv2d(x, (matrix / largest).reshape(3, 3, 4, 5), 1, "SAME")
    np.testing.assert_allclose(tf.cast(y, tf.float32), by_hand, atol=1e-4 if policy == "float32" else 0.05)


def test_the_gradient_of_spectral_norm_flows_through_the_norm():
    layer = layers.SpectralDense(3, use_bias=False)
    x = tf.constant(np.random.RandomState(1).randn(7, 4), tf.float32)
    for _ in range(200):
        layer(x, training=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 3)
    gradient, weight, step = tape.gradient(loss, layer.kernel.value).numpy(), to_numpy(layer.kernel).astype(np.float64), 1e-3

    def value(matrix):
        return np.sum((to_numpy(x).astype(np.float64) @ (matrix / np.linalg.svd(matrix, compute_uv=False)[0])) ** 3)

    for i, j in ((0, 0), (2, 1), (3, 2)):
        above, below = weight.copy(), weight.copy()
        above[i, j] += step
        below[i, j] -= step
        assert gradient[i, j] == pytest.approx((value(above) - value(below)) / (2 * step), abs=2e-2)


def test_projection_by_hand():
    draw = np.random.RandomState(0)
    features, label = keras.Input((4,)), keras.Input((), dtype="int64")
    network = keras.Model([features, label], layers.projection_logit(features, label, 3))
    dense, embedding = (
        next(layer for layer in network.layers if isinstance(layer, kind)) for kind in (layers.SpectralDense, layers.SpectralEmbedding)
    )
    table, psi = draw.randn(3, 4), draw.randn(4, 1)
    embedding.kernel.assign(table)
    dense.kernel.assign(psi)
    dense.bias.assign([0.5])
    x, y = draw.randn(6, 4).astype(np.float32), np.array([0, 1, 2, 2, 1, 0])
    for _ in range(200):
        logits = network([x, y], training=True)
    v = table / np.linalg.svd(table, compute_uv=False)[0]
    by_hand = x @ psi[:, 0] / np.linalg.norm(psi) + 0.5 + (v[y] * x).sum(1)
    np.testing.assert_allclose(logits, by_hand, atol=1e-4)


# -- attention ---------------------------------------------------------------------------------------------------------


def test_attention_starts_as_the_identity_and_then_attends_to_every_position():
    x = keras.Input((4, 4, 16))
    network = keras.Model(x, layers.self_attention(x, layers.conv))
    images = tf.constant(np.random.RandomState(0).randn(1, 4, 4, 16), tf.float32)
    np.testing.assert_array_equal(network(images), images)
    (scale,) = [layer for layer in network.layers if isinstance(layer, layers.LearnedScale)]
    scale.gain.assign(1.0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(np.random.RandomState(1).randn(*layer.kernel.shape) * 0.3)
    with tf.GradientTape() as tape:
        tape.watch(images)
        corner = tf.reduce_sum(network(images)[0, 0, 0])
    assert (np.abs(tape.gradient(corner, images)[0]).max(-1) > 1e-7).all()


# -- sizes, convolutions, heads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "side, sides",
    [(28, [4, 7, 14, 28]), (32, [4, 8, 16, 32]), (64, [4, 8, 16, 32, 64]), (100, [4, 7, 13, 25, 50, 100]), (8, [4, 8])],
)
def test_resolutions(side, sides):
    assert layers.resolutions((side, side, 1)) == [(s, s) for s in sides]


def test_resolutions_of_an_oblong():
    assert layers.resolutions((32, 48, 3)) == [(4, 6), (8, 12), (16, 24), (32, 48)]


def test_upsampling_crops_odd_sizes():
    x = keras.Input((13, 7, 2))
    assert layers.upsample_conv(x, (25, 14), 3, 5).shape == (None, 25, 14, 3)


def test_label_maps_are_constant():
    image, one_hot = keras.Input((3, 2, 1)), keras.Input((4,))
    network = keras.Model([image, one_hot], cgan.concat_label_maps(image, one_hot))
    output = network([np.zeros((1, 3, 2, 1), np.float32), np.float32([[0, 1, 0, 0]])]).numpy()
    assert output.shape == (1, 3, 2, 5)
    np.testing.assert_array_equal(output[0, :, :, 1:], np.broadcast_to([0, 1, 0, 0], (3, 2, 4)))


def test_maxout_is_the_largest_piece():
    x = keras.Input((2,))
    network = keras.Model(x, layers.maxout(x, 3, 2, use_bias=False))
    kernel = np.arange(12, dtype=np.float32).reshape(2, 6)
    network.layers[1].set_weights([kernel])
    np.testing.assert_allclose(network(np.float32([[1, -1]])), [[-6, -6, -6]])
    np.testing.assert_allclose(network(np.float32([[1, 0]])), [[1, 3, 5]])


def test_initializers_are_fresh():
    first, second = (keras.layers.Dense(50, kernel_initializer=layers.normal_init()) for _ in range(2))
    for layer in (first, second):
        layer.build((None, 50))
    assert np.abs(to_numpy(first.kernel) - to_numpy(second.kernel)).max() > 1e-3
    assert 0.018 < to_numpy(first.kernel).std() < 0.022


# -- replay buffer -----------------------------------------------------------------------------------------------------


def test_replicas_have_the_same_replay_buffer():
    """Negative rows are skipped, and of the images that share a row the last one is stored."""
    strategy = runtime.select_strategy("mirrored")
    with strategy.scope():
        buffer = layers.ReplayBuffer(6, (2, 2, 1))

    @tf.function
    def put():
        def step():
            values = tf.reshape(tf.cast([1, 2, 3], tf.float32), [3, 1, 1, 1])
            buffer.put(tf.constant([1, -1, 1]), values * tf.ones([3, 2, 2, 1]))

        return strategy.run(step)

    put()
    for copy in strategy.experimental_local_results(buffer.images.value):
        assert copy[:, 0, 0, 0].numpy().tolist() == [0, 3, 0, 0, 0, 0]


def test_the_replay_buffer_works_with_xla():
    buffer, images = layers.ReplayBuffer(3, (2, 2, 1)), tf.reshape(tf.range(8.0), [2, 2, 2, 1])
    buffer.images.assign(tf.zeros_like(buffer.images))

    @tf.function(jit_compile=True)
    def exchange():
        buffer.put(tf.constant([2, 0]), images)
        return buffer.take(tf.constant([0, 2]))

    np.testing.assert_array_equal(exchange(), images[::-1])


# -- serialization -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer",
    [
        layers.InstanceNorm(affine=True, epsilon=1e-3),
        layers.BlockConv2D(2, 7, 2, name="image"),
        layers.SpectralConv2D(2, 3, 2, use_bias=False, min_norm=0.5),
        layers.SpectralDense(3, epsilon=1e-6),
        layers.SpectralEmbedding(4, 3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_are_rebuilt_from_their_configuration(layer):
    rebuilt = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(rebuilt) is type(layer) and rebuilt.get_config() == layer.get_config()


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_instance_normalization_and_its_gradients_are_those_of_the_formula(dtype):
    layer = layers.InstanceNorm(affine=True, epsilon=0.1, dtype=dtype)
    layer.build((None, 4, 5, 3))
    gain, offset = tf.constant([0.5, 1.0, -2.0]), tf.constant([0.1, 0.2, 0.3])
    layer.set_weights([gain, offset])
    x = tf.random.stateless_normal((2, 4, 5, 3), (1, 2), 3.0, 2.0)

    def formula(x):
        mean, variance = tf.nn.moments(x, (1, 2), keepdims=True)
        return (x - mean) / tf.sqrt(variance + 0.1) * gain + offset

    def derivatives(function, weights):
        """The outputs, the gradients of a function of them, and those of the squared norm of a gradient."""
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(x)
            with tf.GradientTape(persistent=True) as inner:
                inner.watch([x, *weights])
                y = tf.cast(function(x), tf.float32)
                cubes = tf.reduce_sum(y**3)
            first = inner.gradient(cubes, [x, *weights])
            norm = tf.reduce_sum(tf.square(first[0]))
        return [y, *first, outer.gradient(norm, x)]

    expected = derivatives(formula, [gain, offset])
    tolerance = 1e-4 if dtype == "float32" else 0.05
    for ours, theirs in zip(derivatives(layer, [weight.value for weight in layer.weights]), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance * float(tf.reduce_max(tf.abs(theirs))))


@pytest.mark.parametrize("kernel, block, padding", [(7, 2, "valid"), (9, 4, "same"), (5, 2, "same"), ((4, 7), 3, "valid")])
def test_a_convolution_on_blocks_is_that_of_keras(kernel, block, padding):
    keras.utils.set_random_seed(0)
    ours = layers.BlockConv2D(2, kernel, block, padding=padding, bias_initializer="normal")
    theirs = keras.layers.Conv2D(2, kernel, padding=padding)
    margins = (0, 0) if padding == "same" else [(side - 1) for side in theirs.kernel_size]
    x = tf.random.stateless_normal((2, 12 + margins[0], 24 + margins[1], 3), (1, 2))
    symbolic = ours(keras.Input((None, None, 3)))
    assert symbolic.shape == (None, None, None, 2)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    results = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y**2)
        results.append([y, *tape.gradient(loss, [x, *(weight.value for weight in layer.weights)])])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * float(tf.reduce_max(tf.abs(b))))


def test_a_kernel_that_is_not_made_of_whole_blocks_is_refused():
    with pytest.raises(ValueError, match="one more than a multiple of 4"):
        layers.BlockConv2D(1, 7, 2, padding="same")
