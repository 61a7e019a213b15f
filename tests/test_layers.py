"""The fused batch norm against Keras' own, and sizes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import number

from zoo import layers, scale
from zoo.models import cgan


@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (8, 3)])
def test_batch_norm_is_keras_own(shape):
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
        for mine, keras_own in zip(*gradients):
            np.testing.assert_allclose(mine, keras_own, rtol=2e-4, atol=1e-3)
    for mine, keras_own in zip(ours.weights, theirs.weights):
        np.testing.assert_allclose(number(mine), number(keras_own), atol=1e-5)
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


def test_batch_norm_takes_the_fused_kernel_while_training():
    norm = layers.BatchNorm()
    graph = tf.function(lambda x: norm(x, training=True)).get_concrete_function(tf.TensorSpec([4, 2, 2, 3])).graph
    assert "FusedBatchNormV3" in [op.type for op in graph.get_operations()]


def test_batch_norm_in_half_precision_keeps_statistics_in_float32():
    norm = layers.BatchNorm(dtype="mixed_bfloat16")
    x = tf.constant(np.random.RandomState(0).randn(16, 4, 4, 2) * 2 + 5, tf.float32)
    y = norm(x, training=True)
    assert y.dtype == tf.bfloat16 and norm.moving_mean.dtype == "float32"
    np.testing.assert_allclose(tf.reduce_mean(tf.cast(y, tf.float32), [0, 1, 2]), 0, atol=2e-2)


@pytest.mark.parametrize(
    "side, steps",
    [(28, [4, 7, 14, 28]), (32, [4, 8, 16, 32]), (64, [4, 8, 16, 32, 64]), (100, [4, 7, 13, 25, 50, 100]), (8, [4, 8])],
)
def test_pyramid(side, steps):
    assert layers.pyramid((side, side, 1)) == [(s, s) for s in steps]


def test_pyramid_of_an_oblong():
    assert layers.pyramid((32, 48, 3)) == [(4, 6), (8, 12), (16, 24), (32, 48)]


def test_rise_cuts_odd_sizes():
    x = keras.Input((13, 7, 2))
    assert layers.rise(x, (25, 14), 3, 5).shape == (None, 25, 14, 3)


def test_planes_are_constant_planes():
    image, code = keras.Input((3, 2, 1)), keras.Input((4,))
    network = keras.Model([image, code], cgan.with_planes(image, code))
    out = network([np.zeros((1, 3, 2, 1), np.float32), np.float32([[0, 1, 0, 0]])]).numpy()
    assert out.shape == (1, 3, 2, 5)
    np.testing.assert_array_equal(out[0, :, :, 1:], np.broadcast_to([0, 1, 0, 0], (3, 2, 4)))


def test_maxout_is_the_largest_piece():
    x = keras.Input((2,))
    network = keras.Model(x, layers.maxout(x, 3, 2, use_bias=False))
    kernel = np.arange(12, dtype=np.float32).reshape(2, 6)
    network.layers[1].set_weights([kernel])
    np.testing.assert_allclose(network(np.float32([[1, -1]])), [[-6, -6, -6]])
    np.testing.assert_allclose(network(np.float32([[1, 0]])), [[1, 3, 5]])


def test_initialisers_are_fresh():
    first, second = (keras.layers.Dense(50, kernel_initializer=layers.normal()) for _ in range(2))
    for layer in (first, second):
        layer.build((None, 50))
    assert np.abs(number(first.kernel) - number(second.kernel)).max() > 1e-3
    assert 0.018 < number(first.kernel).std() < 0.022


def test_images_that_are_kept_are_each_replicas_own():
    """Two replicas put one image each into their own rows; a row below 0 is none, and of those that share one the last stays."""
    strategy = scale.strategy("mirrored")
    with strategy.scope():
        kept = layers.Kept(6, (2, 2, 1))

    @tf.function
    def put():
        def step():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            values = tf.reshape(tf.cast([1, 2, 3], tf.float32) + 10 * tf.cast(replica, tf.float32), [3, 1, 1, 1])
            kept.put(tf.constant([1, -1, 1]), values * tf.ones([3, 2, 2, 1]))
            return kept.rows

        return strategy.run(step)

    put()
    for copy in strategy.experimental_local_results(kept.images.value):
        assert copy[:, 0, 0, 0].numpy().tolist() == [0, 3, 0, 0, 13, 0]


def test_images_are_kept_by_xla_as_well():
    kept, images = layers.Kept(3, (2, 2, 1)), tf.reshape(tf.range(8.0), [2, 2, 2, 1])
    kept.images.assign(tf.zeros_like(kept.images))

    @tf.function(jit_compile=True)
    def exchanged():
        kept.put(tf.constant([2, 0]), images)
        return kept.take(tf.constant([0, 2]))

    np.testing.assert_array_equal(exchanged(), images[::-1])
