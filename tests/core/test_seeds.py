"""Seeds are a function of the run's seed, the retries, the step, the position in the step and the replica."""

import keras
import numpy as np
import tensorflow as tf

from zoo.core.seeds import StatelessSeeds


def fold(*parts):
    seed = tf.constant([parts[0], 0], tf.int64)
    for part in parts[1:]:
        seed = tf.random.experimental.stateless_fold_in(seed, tf.constant(part, tf.int64))
    return seed.numpy()


def make_seeds():
    return StatelessSeeds(5, keras.Variable(2, dtype="int64"), keras.Variable(7, dtype="int64"))


def test_seeds_of_a_step_in_a_graph_and_eagerly():
    seeds = make_seeds()

    def step():
        seeds.restart()
        first, second = seeds.next(), seeds.next()
        inside = tf.while_loop(lambda i, seed: i < 1, lambda i, seed: (i + 1, seeds.next()), (0, first))[1]  # a graph of its own
        return first, second, inside, seeds.next()

    expected = [fold(5, 2, 7, position, 0) for position in range(4)]
    np.testing.assert_array_equal(step(), expected)
    traced = tf.function(step, autograph=False)
    np.testing.assert_array_equal(traced(), expected)
    seeds.step.assign(8)
    np.testing.assert_array_equal(traced(), [fold(5, 2, 8, position, 0) for position in range(4)])
    np.testing.assert_array_equal(tf.function(step, autograph=False)(), traced())  # another graph: nothing is left of the first


def test_seeds_drawn_eagerly_follow_the_step():
    seeds = make_seeds()
    seeds.restart()
    assert seeds.next().numpy().tolist() == fold(5, 2, 7, 0, 0).tolist()
    seeds.step.assign(9)
    assert seeds.next().numpy().tolist() == fold(5, 2, 9, 1, 0).tolist()
