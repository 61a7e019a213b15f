"""PGGAN: growth as a function of the step, fading, resuming, the optimizers' restart, its layers."""

import dataclasses
import warnings

import numpy as np
import pytest
import tensorflow as tf
from conftest import same_arrays, tiny_model, to_numpy, train_steps, weights

import zoo
from zoo import registry
from zoo.core import optimizers
from zoo.errors import UserError
from zoo.models import pggan


def test_growth_is_a_function_of_the_step():
    model = tiny_model("pggan", phase_steps=4)
    assert model.config.stage_boundaries == [4, 12]
    expected = {0: 0, 4: 0, 6: 0.5, 8: 1, 11: 1, 12: 1, 13: 1.25, 16: 2, 99: 2}
    for completed, growth in expected.items():
        model.step_counter.assign(completed)
        np.testing.assert_allclose(model.growth(tf.zeros([2]), in_step=False), [[growth]] * 2)
        if completed:
            model.step_counter.assign(completed - 1)
            np.testing.assert_allclose(model.growth(tf.zeros([2])), [[growth]] * 2)  # within the last of those steps


@pytest.mark.parametrize("name", zoo.list_models("pggan*"))
def test_presets_complete_every_stage(name):
    config = registry.get_entry(name).config
    stages = len(dataclasses.replace(config, image_shape=config.image_shape or (32, 32, 1)).stage_sides)
    last_boundary = config.phase_steps * (2 * (stages - 1) - 1)
    assert config.steps >= last_boundary + 2 * config.phase_steps  # faded in, and trained as long


def test_stage_and_alpha_are_logged_without_warnings():
    model = tiny_model("pggan", phase_steps=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        histories = [train_steps(model, step, 1) for step in range(9)]
    logged = {name: np.concatenate([history[name] for history in histories]) for name in ("g_stage", "g_alpha")}
    # 4x4 for two steps, 8x8 faded in over two and trained for two, 16x16 the same; a value is that of the step just completed
    np.testing.assert_allclose(logged["g_stage"], [0, 0, 1, 1, 1, 1, 2, 2, 2])
    np.testing.assert_allclose(logged["g_alpha"], [1, 1, 0.5, 1, 1, 1, 0.5, 1, 1])


def test_the_networks_of_a_stage_equal_the_whole_ones_at_its_growth():
    model = tiny_model("pggan")
    latent = model.latents(tf.constant([1, 2], tf.int64))
    images = tf.constant(np.random.RandomState(0).rand(2, 16, 16, 1), tf.float32)
    for stage, growth in ((0, 0.0), (1, 0.25), (1, 1.0), (2, 1.5)):
        inputs = {"latent": latent, "growth": tf.fill([2, 1], growth)}
        small, factor = model.generators[stage](inputs), 16 // 4 // 2**stage
        whole = model.generator(inputs)
        np.testing.assert_allclose(np.repeat(np.repeat(small, factor, 1), factor, 2), whole, atol=1e-5)
        downsampled = images
        for _ in range(2 - stage):
            downsampled = tf.nn.avg_pool2d(downsampled, 2, 2, "VALID")
        logits = model.critics[stage]({"image": downsampled, "growth": inputs["growth"]})
        np.testing.assert_allclose(logits, model.discriminator({"image": images, "growth": inputs["growth"]}), atol=1e-4)


def test_real_images_are_faded_in_like_generated_ones():
    model = tiny_model("pggan", phase_steps=4)
    model.stage = 1
    images = tf.constant(np.random.RandomState(0).rand(1, 16, 16, 1), tf.float32)
    eight = to_numpy(images).reshape(1, 8, 2, 8, 2, 1).mean((2, 4))
    four = np.repeat(np.repeat(eight.reshape(1, 4, 2, 4, 2, 1).mean((2, 4)), 2, 1), 2, 2)
    for completed, alpha in ((3, 0.0), (4, 0.25), (7, 1.0)):
        model.step_counter.assign(completed)
        np.testing.assert_allclose(model.resize_to_stage(images), four + alpha * (eight - four), atol=1e-6)


def test_training_resumes_bit_exactly_in_the_middle_of_a_fade(tmp_path):
    whole, first, second = (tiny_model("pggan", phase_steps=3) for _ in range(3))
    train_steps(whole, 0, 8)
    train_steps(first, 0, 4)  # 8x8 is faded in from step 3 to 6
    path = tf.train.Checkpoint(model=first).write(str(tmp_path / "four"))
    tf.train.Checkpoint(model=second).read(path).assert_existing_objects_matched()
    train_steps(second, 4, 4)
    assert same_arrays(weights(whole), weights(second)) and whole.stage == second.stage == 1
    for player, optimizer in optimizers.by_player(whole).items():
        assert same_arrays(map(to_numpy, optimizer.variables), map(to_numpy, optimizers.by_player(second)[player].variables))


def test_optimizers_restart_with_each_stage():
    model = tiny_model("pggan", phase_steps=2)
    train_steps(model, 0, 2)
    assert int(model.g_optimizer.iterations) == 2
    rate = float(to_numpy(model.g_optimizer.learning_rate))
    train_steps(model, 2, 3)
    assert int(model.g_optimizer.iterations) == 3 and float(to_numpy(model.g_optimizer.learning_rate)) == rate > 0


def test_equalized_weights_batch_deviation_and_pixel_norm_by_hand():
    layer = pggan.EqualizedConv(3, 3)
    x = tf.constant(np.random.RandomState(0).randn(2, 4, 4, 5), tf.float32)
    output = layer(x)
    kernel = to_numpy(layer.kernel)
    assert kernel.std() == pytest.approx(1, abs=0.2)
    np.testing.assert_allclose(output, tf.nn.conv2d(x, kernel * (2 / 45) ** 0.5, 1, "SAME"), atol=1e-5)
    images = tf.constant([[[[1.0]]], [[[5.0]]]])
    np.testing.assert_allclose(pggan.BatchDeviation()(images), [[[[1.0, 2.0]]], [[[5.0, 2.0]]]], atol=1e-5)
    unit = pggan.pixel_norm(tf.constant([[3.0, 4.0]]))
    np.testing.assert_allclose(unit, [[3 / 12.5**0.5, 4 / 12.5**0.5]], atol=1e-5)


def test_other_sizes_and_targets_are_refused():
    with pytest.raises(UserError, match="images of 24x24 pixels are unsupported: pggan grows from 4x4 by doubling; --image-shape 16 16 1"):
        tiny_model("pggan", image_shape=(24, 24, 1))
    with pytest.raises(UserError, match="--gradient-target 0: must be more than 0"):
        tiny_model("pggan", gradient_target=0.0)
