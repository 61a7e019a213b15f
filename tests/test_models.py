"""Registering is testing: every name of the registry goes through all of this."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import number, play, same, source, tiny, weights
from tensorflow.python.tools import saved_model_utils

import zoo
from zoo import losses, registry

NAMES = zoo.names()
every_model = pytest.mark.parametrize("name", NAMES)


@every_model
def test_terms_are_finite_and_named_by_player(played, name):
    history = played(name).history
    assert {"d_adversarial", "g_adversarial", "d_real_logit", "d_fake_logit", "d_gradient_norm", "g_gradient_norm"} <= set(history)
    assert all(key[:2] in ("d_", "g_") for key in history)
    assert np.isfinite([value for values in history.values() for value in values]).all()
    assert history["d_gradient_norm"][0] > 0 and history["g_gradient_norm"][0] > 0


@every_model
def test_every_weight_moves(played, name):
    one = played(name)
    for key in ("generator", "discriminator", "averaged"):
        network = getattr(one.game, key)
        still = [w.path for w, before in zip(network.weights, one.start[key]) if np.array_equal(number(w), before)]
        assert not still, f"{key}: {still}"


@every_model
def test_averaged_generator_starts_as_a_copy_and_lags(played, name):
    one = played(name)
    assert same(one.start["averaged"], one.start["generator"])
    assert not same(weights(one.game.averaged), weights(one.game.generator))


@every_model
def test_each_players_update_leaves_the_other_alone(name):
    game = tiny(name)
    batch = next(iter(source(game).batches(4)))
    fake = game.generate(batch)

    def trainable(network):
        return [number(w) for w in network.trainable_weights]

    g, d = trainable(game.generator), trainable(game.discriminator)
    game.descend("d", game.discriminator, game.d_optimizer, lambda tape: game.discriminator_loss(batch, tf.stop_gradient(fake)))
    assert same(trainable(game.generator), g) and not same(trainable(game.discriminator), d)
    d = trainable(game.discriminator)
    game.descend("g", game.generator, game.g_optimizer, lambda tape: game.generator_loss(batch, game.generate(batch)))
    assert same(trainable(game.discriminator), d) and not same(trainable(game.generator), g)


@every_model
def test_resumes_bit_exactly(played, name):
    one = played(name)
    keras.utils.set_random_seed(99)
    again = tiny(name)
    tf.train.Checkpoint(game=again).read(one.checkpoint).assert_existing_objects_matched()
    assert int(again.round) == 2
    play(again, 2, 2)
    assert same(weights(again), weights(one.game))
    for ours, theirs in ((again.g_optimizer, one.game.g_optimizer), (again.d_optimizer, one.game.d_optimizer)):
        assert same([number(v) for v in ours.variables], [number(v) for v in theirs.variables])


@every_model
def test_the_step_is_traced_once(played, name):
    assert played(name).traces == 1


@every_model
def test_several_discriminator_steps(name):
    game = tiny(name, discriminator_steps=2)
    logs = game.train_step(next(iter(source(game).batches(8))))
    assert np.isfinite([float(v) for v in logs.values()]).all()
    assert int(game.d_optimizer.iterations) == 2 and int(game.g_optimizer.iterations) == 1


@every_model
def test_preview_is_the_averaged_generator_and_does_not_change(played, name):
    game = played(name).game
    images, columns = game.preview(None)
    assert images.shape[0] % columns == 0 and images.shape[1:] == game.config.image_shape
    assert float(tf.reduce_min(images)) >= 0 and float(tf.reduce_max(images)) <= 1
    np.testing.assert_array_equal(images, game.preview(None)[0])
    conditions = {"label": tf.zeros([3], tf.int64)} if "label" in game.conditions else {}
    mine = game.sample(tf.constant([0, 1, 2], tf.int64), **conditions)
    np.testing.assert_allclose(images[:3], mine, atol=1e-6)


@every_model
def test_a_seed_gives_the_same_row_in_any_batch(played, name):
    game = played(name).game
    seeds = tf.constant([7, 8, 9], tf.int64)
    conditions = {"label": tf.constant([0, 1, 2], tf.int64)} if "label" in game.conditions else {}
    whole = game.sample(seeds, **conditions)
    alone = game.sample(seeds[1:2], **{k: v[1:2] for k, v in conditions.items()})
    np.testing.assert_allclose(whole[1:2], alone, atol=1e-6)
    assert np.abs(whole[0] - whole[1]).max() > 1e-4


@every_model
def test_the_label_reaches_the_generator(name):
    game = tiny(name)
    if "label" not in game.conditions:
        assert "label" not in registry.entry(name).model.batch_keys
        return
    seed = tf.constant([5, 5], tf.int64)
    images = game.sample(seed, label=tf.constant([0, 1], tf.int64))
    assert np.abs(images[0] - images[1]).max() > 1e-4


@every_model
def test_the_export_run_by_the_cpp_loader_equals_the_live_generator(played, name, tmp_path):
    game = played(name).game
    version = played(name).version
    loaded = tf.saved_model.load(str(version)).signatures
    draw = np.random.RandomState(0)
    label = {"label": np.int64([2, 0, 1])} if "label" in game.conditions else {}
    judged = {"label": np.int64([2, 0, 1])} if "label" in [i.name for i in game.discriminator.inputs] else {}
    feeds = {
        "serving_default": {"latent": draw.randn(3, game.config.latent_dim).astype(np.float32), **label},
        "sample": {"seed": np.int64([3, 2**40, -1]), **label},
        "discriminate": {"image": draw.rand(3, *game.config.image_shape).astype(np.float32), **judged},
    }
    expected = {
        "serving_default": {"image": (game.averaged({k: tf.constant(v) for k, v in feeds["serving_default"].items()}) + 1) / 2},
        "sample": {"image": game.sample(feeds["sample"]["seed"], **label)},
        "discriminate": game.discriminate(tf.constant(feeds["discriminate"]["image"]), **judged),
    }
    for signature, inputs in feeds.items():
        got = cpp(version, signature, inputs, tmp_path)
        assert set(got) == set(expected[signature])
        for key, value in expected[signature].items():
            assert got[key].dtype == np.float32
            np.testing.assert_allclose(got[key], value, atol=1e-5, rtol=1e-5)

    pngs = loaded["png"](seed=tf.constant(feeds["sample"]["seed"]), **{k: tf.constant(v) for k, v in label.items()})["image_bytes"]
    image = tf.io.decode_png(pngs[1]).numpy() / 255
    np.testing.assert_allclose(image, expected["sample"]["image"][1], atol=1 / 255)


def cpp(version, signature, inputs, tmp_path):
    """Outputs of one signature, run by TensorFlow's C++ loader in a process that has no Python TensorFlow."""
    described = meta_graph(version).signature_def[signature]
    tensors = {
        "inputs": {key: info.name for key, info in described.inputs.items()},
        "outputs": {key: info.name for key, info in described.outputs.items()},
    }
    assert set(tensors["inputs"]) == set(inputs)
    np.savez(tmp_path / "in.npz", **inputs)
    runner = Path(__file__).with_name("cpp_loader.py")
    command = [sys.executable, str(runner), str(version), json.dumps(tensors), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(np.load(tmp_path / "out.npz"))


def meta_graph(version):
    return saved_model_utils.get_meta_graph_def(str(version), "serve")


@every_model
def test_the_export_holds_no_python_stateful_or_file_operation(played, name):
    graph = meta_graph(played(name).version).graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    operations = {node.op for node in nodes}
    forbidden = {"PyFunc", "EagerPyFunc", "PyFuncStateless", "RandomStandardNormal", "RandomUniform", "RngReadAndSkip", "PrintV2", "Assert"}
    assert not operations & (forbidden | {"AssignAddVariableOp", "AssignSubVariableOp"}), operations & forbidden
    assert not [op for op in operations if "Summary" in op or ">" in op]


# -- the papers' own networks, exact to the layer ----------------------------------------------------------------------

COUNTS = {  # (generator, discriminator): weights that are trained
    "gan_mnist": (2_503_984, 1_231_441),
    "cgan_mnist": (2_413_984, 1_224_351),
    "dcgan_64": (3_576_704, 2_765_568),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_are_the_papers(name):
    game = zoo.create(name)
    counts = [sum(w.shape.num_elements() for w in n.trainable_weights) for n in (game.generator, game.discriminator)]
    assert tuple(counts) == COUNTS[name]


def dense(inputs, units):
    return (inputs + 1) * units


def convolution(kernel, inputs, filters, norm=True):
    return kernel * kernel * inputs * filters + filters + 2 * filters * norm


@pytest.mark.parametrize(
    "name, widths, start, flat",
    [("acgan_32", (384, 192, 96), 4, 4 * 4 * 512), ("acgan_128", (768, 384, 256, 192, 64), 4, 16 * 16 * 512)],
)
def test_acgan_is_its_tables(name, widths, start, flat):
    game = zoo.create(name)
    generator = dense(110, start * start * widths[0]) + sum(convolution(5, a, b) for a, b in zip(widths, widths[1:]))
    generator += convolution(5, widths[-1], 3, norm=False)
    filters = (3, 16, 32, 64, 128, 256, 512)
    discriminator = sum(convolution(3, a, b, norm=i > 0) for i, (a, b) in enumerate(zip(filters, filters[1:])))
    discriminator += dense(flat, 1) + dense(flat, 10)
    counts = [sum(w.shape.num_elements() for w in n.trainable_weights) for n in (game.generator, game.discriminator)]
    assert counts == [generator, discriminator]
    strides = [layer.strides[0] for layer in game.discriminator.layers if isinstance(layer, keras.layers.Conv2D)]
    assert strides == [2, 1, 2, 1, 2, 1]


@pytest.mark.parametrize("side", [28, 32, 64, 100, 128])
@pytest.mark.parametrize("name", [n for n in NAMES if registry.entry(n).config.image_shape is None])
def test_networks_fit_themselves_to_the_images(name, side):
    game = zoo.create(name, image_shape=(side, side, 3), num_classes=4)
    assert game.generator.output_shape == (None, side, side, 3)
    inputs = {i.name: tf.zeros([2, *i.shape[1:]], i.dtype) for i in game.discriminator.inputs}
    said = game.discriminator(inputs)
    assert (said["realness"] if isinstance(said, dict) else said).shape == (2,)


def test_the_gan_of_2014_plays_either_objective():
    for name in ("minimax", "non_saturating"):
        game = tiny("gan", objective=name)
        assert game.objective == getattr(losses, name)
    batch = next(iter(source(game).batches(4)))
    loss = float(game.generator_loss(batch, game.generate(batch))["g_adversarial"])
    assert 0 < loss < 2, "non-saturating: softplus of minus the logit"


def test_minimax_saturates_where_non_saturating_does_not():
    """At a fake logit of -10 the minimax gradient is sigmoid(-10), the other nearly 1 (Goodfellow et al. 2014, §3)."""
    slopes = {}
    for name in ("minimax", "non_saturating"):
        fake = tf.Variable([-10.0])
        with tf.GradientTape() as tape:
            loss = getattr(losses, name).generator(fake)
        slopes[name] = float(tape.gradient(loss, fake)[0])
    assert slopes["minimax"] == pytest.approx(-4.5398e-5, rel=1e-3) and slopes["non_saturating"] == pytest.approx(-0.99995, rel=1e-4)
