"""Registering is testing: every network of the registry goes through all of this (presets that differ in size alone: one of them)."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import NAMES, number, play, same, source, tiny, weights
from tensorflow.python.tools import saved_model_utils

import zoo
from zoo import losses, registry
from zoo.errors import UserError
from zoo.game import Game

every_model = pytest.mark.parametrize("name", NAMES)


@every_model
def test_terms_are_finite_and_named_by_player(played, name):
    one = played(name)
    history = one.history
    assert {f"{player}_gradient_norm" for player in one.game.players} <= set(history)
    assert {key[0] for key in history if not key.endswith("norm")} == set(one.game.players)
    assert all(key[:2] in ("d_", "g_") for key in history)
    assert np.isfinite([value for values in history.values() for value in values]).all()
    assert all(history[f"{player}_gradient_norm"][0] > 0 for player in one.game.players)


@every_model
def test_every_weight_moves(played, name):
    one = played(name)
    for key, network in {**one.game.players, "averaged": one.game.averaged}.items():
        still = [i for i, (w, before) in enumerate(zip(network.weights, one.start[key])) if np.array_equal(number(w), before)]
        for i in still:  # a last bias, where the loss is of differences of logits
            assert key == "d" and network.weights[i].shape == (1,), network.weights[i].path
            game = tiny(name)
            batch = next(iter(source(game).batches(4)))
            with tf.GradientTape() as tape:
                loss = sum(game.discriminator_loss(batch, game.generate(batch)).values())
            assert number(tape.gradient(loss, game.discriminator.weights[i].value)) == pytest.approx(0, abs=1e-6)


@every_model
def test_averaged_network_starts_as_a_copy_and_lags(played, name):
    one = played(name)
    player = "g" if one.game.generator else "d"  # whose samples are shown
    assert same(one.start["averaged"], one.start[player])
    assert not same(weights(one.game.averaged), weights(one.game.players[player]))


@every_model
def test_each_players_update_leaves_the_other_alone(name):
    game = tiny(name)
    batch = next(iter(source(game).batches(4)))
    fake = game.generate(batch)
    made = tf.nest.flatten(fake)[0]
    assert np.abs(made[0] - made[1]).max() > 1e-4, "each row has noise of its own"

    def trainable():
        return {player: [number(w) for w in network.trainable_weights] for player, network in game.players.items()}

    turns = {
        "d": lambda tape: game.discriminator_loss(batch, tf.nest.map_structure(tf.stop_gradient, fake)),
        "g": lambda tape: game.generator_loss(batch, game.generate(batch)),
    }
    for mover in game.players:
        before = trainable()
        game.descend(mover, [turns[mover]])
        for player, now in trainable().items():
            assert same(now, before[player]) == (player != mover)


@every_model
def test_resumes_bit_exactly(played, name):
    """From the checkpoint after two rounds, whatever was in the variables: all that a round depends on is kept. In the same process and
    without a new trace, which takes most of the time; in others test_train.py resumes."""
    one = played(name)
    state = [*one.game.weights, *(variable for optimizer in one.game.optimizers.values() for variable in optimizer.variables)]
    ended = [number(variable) for variable in state]
    for variable in state:
        variable.assign(variable + keras.ops.ones_like(variable))
    tf.train.Checkpoint(game=one.game).read(one.checkpoint).assert_existing_objects_matched()
    assert one.game.played == 2
    play(one.game, 2, 2)
    for variable, value in zip(state, ended):
        np.testing.assert_array_equal(number(variable), value, err_msg=variable.path)


@every_model
def test_the_step_is_traced_once(played, name):
    one = played(name)
    assert one.traces == 1 + len([milestone for milestone in one.game.milestones if milestone < 4])  # and once more a stage


@every_model
def test_several_discriminator_steps(played, name):
    if not played(name).game.discriminator:
        with pytest.raises(UserError, match="--discriminator-steps: this model has no discriminator"):
            tiny(name, discriminator_steps=2)
        return
    game = tiny(name, discriminator_steps=2)
    logs = game.train_step(next(iter(source(game).batches(8))))
    assert np.isfinite([float(v) for v in logs.values()]).all()
    counts = {player: int(optimizer.iterations) for player, optimizer in game.optimizers.items()}
    assert counts == {player: {"d": 2, "g": 1}[player] for player in game.players}


@every_model
def test_preview_does_not_change_and_is_the_averaged_network(played, name):
    game = played(name).game
    batch = next(iter(source(game).batches(16)))
    images, columns = game.preview(batch)
    assert images.shape[0] % columns == 0 and images.shape[1:] == game.config.image_shape
    assert float(tf.reduce_min(images)) >= 0 and float(tf.reduce_max(images)) <= 1
    np.testing.assert_array_equal(images, game.preview(batch)[0])
    if type(game).preview is Game.preview:
        conditions = {"label": tf.zeros([3], tf.int64)} if game.conditions else {}
        mine = game.sample(tf.constant([0, 1, 2], tf.int64), **conditions)
        np.testing.assert_allclose(images[:3], mine, atol=1e-5)
    kept = weights(game.averaged)
    for weight in game.averaged.weights:
        weight.assign(number(weight) * 0.5)
    assert np.abs(images - game.preview(batch)[0]).max() > 1e-7
    for weight, value in zip(game.averaged.weights, kept):
        weight.assign(value)


@every_model
def test_a_seed_gives_the_same_row_in_any_batch(played, name):
    game = played(name).game
    if not game.draws:
        return
    seeds = tf.constant([7, 8, 9], tf.int64)
    conditions = {"label": tf.constant([0, 1, 2], tf.int64)} if game.conditions else {}
    whole = game.sample(seeds, **conditions)
    alone = game.sample(seeds[1:2], **{k: v[1:2] for k, v in conditions.items()})
    np.testing.assert_allclose(whole[1:2], alone, atol=1e-6)
    latents = number(game.latents(seeds))
    np.testing.assert_array_equal(game.latents([7, 8, 9]), latents)
    assert np.abs(latents[0] - latents[1]).max() > 0.1


@every_model
def test_the_label_reaches_the_generator(played, name):
    game = played(name).game
    if not game.conditions:
        return
    assert game.conditions == ["label"] and "label" in game.batch_keys
    seed = tf.constant([5, 5], tf.int64)
    images = game.sample(seed, live=True, label=tf.constant([0, 1], tf.int64))
    assert np.abs(images[0] - images[1]).max() > 1e-6


@every_model
def test_the_export_run_by_the_cpp_loader_equals_the_live_model(played, name, tmp_path):
    game, version, loaded = played(name).game, played(name).version, played(name).signatures
    draw = np.random.RandomState(0)
    offered = {signature: {spec.name: spec for spec in specs} for signature, (_, specs) in game.exports().items()}
    given = {"seed": np.int64([3, 2**40, -1]), "label": np.int64([2, 0, 1]), "pose": np.int64([0, 1, 2])}
    given["truncation"] = np.float32([0.5, 1.0, 4.0])
    if game.draws:
        given["latent"] = number(game.latents(tf.constant([5, 6, 7], tf.int64)))

    def fed(spec):
        if spec.name in given:
            return given[spec.name]
        if spec.dtype == tf.string:
            return np.array([tf.io.encode_png(np.full((16, 16, game.config.image_shape[-1]), 90 * i, np.uint8)).numpy() for i in range(3)])
        return draw.rand(3, *(side or 16 for side in spec.shape[1:])).astype(np.float32)

    feeds = {signature: {name: fed(spec) for name, spec in specs.items()} for signature, specs in offered.items()}
    expected = {signature: game.exports()[signature][0](*map(tf.constant, inputs.values())) for signature, inputs in feeds.items()}
    if game.draws:
        conditions = {name: tf.constant(given[name]) for name in game.conditions}
        live = game.draw(game.averaged, tf.constant(given["latent"]), **conditions)
        np.testing.assert_allclose(expected["serving_default"]["image"], np.clip((live + 1) / 2, 0, 1), atol=1e-6)
        more = {"truncation": given["truncation"]} if game.truncates else {}
        np.testing.assert_allclose(expected["sample"]["image"], game.sample(given["seed"], **more, **conditions), atol=1e-6)
        image = tf.io.decode_png(expected["png"]["image_bytes"][1]).numpy() / 255
        np.testing.assert_allclose(image, expected["sample"]["image"][1], atol=1 / 255)
    numbers = {s for s in feeds if not any(np.asarray(v).dtype.kind in "SO" for v in [*feeds[s].values(), *expected[s].values()])}
    assert "serving_default" in numbers
    got = cpp(version, {signature: feeds[signature] for signature in numbers}, tmp_path)
    for signature, wanted in expected.items():
        if signature not in numbers:  # texts do not go through the C API by hand: TensorFlow's own loader runs them
            inputs = {key: tf.constant(value) for key, value in feeds[signature].items()}
            got[signature] = {key: value.numpy() for key, value in loaded[signature](**inputs).items()}
        assert set(got[signature]) == set(wanted)
        for key, value in wanted.items():
            if value.dtype == tf.string:
                pictures = [np.stack([tf.io.decode_png(text) for text in texts]) / 255 for texts in (got[signature][key], value.numpy())]
                np.testing.assert_allclose(*pictures, atol=1.1 / 255)
            else:
                assert got[signature][key].dtype in (np.float32, np.int64)
                np.testing.assert_allclose(got[signature][key], value, atol=1e-5, rtol=1e-5)


@every_model
def test_images_of_another_range_are_refused(played, name):
    game, loaded = played(name).game, played(name).signatures
    bounds = np.random.RandomState(0).randint(0, 2, 10**6).astype(np.float32)  # 0 and 1 themselves
    for signature, (_, specs) in game.exports().items():
        rest = {spec.name: tf.zeros([1], spec.dtype) for spec in specs if spec.shape.rank == 1}
        for image in (spec for spec in specs if spec.shape.rank > 3):
            shape = [side or 16 for side in (1, *image.shape[1:])]
            assert game.serve(signature, **rest, **{image.name: bounds[: np.prod(shape)].reshape(shape)})
            for value in (-0.02, 1.02, 255.0):
                given = {**rest, image.name: tf.fill(shape, value)}
                with pytest.raises(UserError, match=f"{image.name}: values are from 0 to 1"):
                    game.serve(signature, **given)
                with pytest.raises(tf.errors.InvalidArgumentError, match=f"{image.name}: values are from 0 to 1"):
                    loaded[signature](**given)
    if game.draws:
        given = {"latent": tf.fill([1, game.config.latent_dim], np.nan), **{name: tf.zeros([1], tf.int64) for name in game.conditions}}
        with pytest.raises(UserError, match="latent: values must be finite"):
            game.serve("serving_default", **given)
        with pytest.raises(tf.errors.InvalidArgumentError, match="latent: values must be finite"):
            loaded["serving_default"](**given)
    if "discriminate" in game.exports():
        labels = {i.name: tf.zeros([1], tf.int64) for i in game.discriminator.inputs if i.dtype == "int64"}
        with pytest.raises(UserError, match="image: values are from 0 to 1"):
            game.discriminate(np.full([1, *game.config.image_shape], 255, np.uint8), **labels)


def cpp(version, feeds, tmp_path):
    """Outputs of signatures, run by TensorFlow's C++ loader in a process that has no Python TensorFlow."""
    described = meta_graph(version).signature_def
    tensors = {
        signature: {
            "inputs": {key: info.name for key, info in described[signature].inputs.items()},
            "outputs": {key: info.name for key, info in described[signature].outputs.items()},
        }
        for signature in feeds
    }
    assert all(set(tensors[signature]["inputs"]) == set(inputs) for signature, inputs in feeds.items())
    np.savez(tmp_path / "in.npz", **{f"{signature}/{key}": value for signature, inputs in feeds.items() for key, value in inputs.items()})
    runner = Path(__file__).with_name("cpp_loader.py")
    command = [sys.executable, str(runner), str(version), json.dumps(tensors), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "out.npz")
    return {signature: {key: found[f"{signature}/{key}"] for key in tensors[signature]["outputs"]} for signature in feeds}


def meta_graph(version):
    return saved_model_utils.get_meta_graph_def(str(version), "serve")


@every_model
def test_the_export_holds_no_python_stateful_or_file_operation(played, name):
    graph = meta_graph(played(name).version).graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    operations = {node.op for node in nodes}
    forbidden = {"PyFunc", "EagerPyFunc", "PyFuncStateless", "RandomStandardNormal", "RandomUniform", "RngReadAndSkip", "PrintV2"}
    assert not operations & (forbidden | {"AssignAddVariableOp", "AssignSubVariableOp"}), operations & forbidden
    assert not [op for op in operations if "Summary" in op or ">" in op]


# -- the papers' own networks, exact to the layer ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["biggan", "drgan"])
def test_a_server_refuses_what_there_is_not(played, name):
    game = played(name).game
    signatures = played(name).signatures
    if name == "drgan":
        served, row = signatures["rotate"], {"image": tf.zeros([1, *game.config.image_shape]), "pose": tf.constant([0], tf.int64)}
        wrong = {"pose": ([-1, game.config.num_poses], "there are poses 0 to")}
    else:
        served, row = signatures["sample"], {"seed": tf.constant([1], tf.int64), "label": tf.constant([2], tf.int64), "truncation": [0.5]}
        wrong = {"label": ([-1, 3], "there are classes 0 to 2"), "truncation": ([0.0, -1.0], "must be more than 0")}
        with pytest.raises(UserError, match="truncation: there must be one for each seed"):
            game.sample([1, 2, 3], label=[0, 1, 2], truncation=[0.5, 1.0])
        np.testing.assert_array_equal(
            game.sample([1, 2], label=[0, 1], truncation=0.5), game.sample([1, 2], label=[0, 1], truncation=[0.5, 0.5])
        )
    row = {key: tf.convert_to_tensor(value) for key, value in row.items()}
    assert served(**row)["image"].shape[0] == 1
    for key, (values, said) in wrong.items():
        for value in values:
            with pytest.raises(tf.errors.InvalidArgumentError, match=said):
                served(**{**row, key: tf.constant([value], row[key].dtype)})


def test_a_server_refuses_other_sizes_and_one_label_for_two_images(played, tmp_path):
    game, version, signatures = (getattr(played("sngan_projection"), name) for name in ("game", "version", "signatures"))
    height, width, channels = game.config.image_shape
    image, label = np.full([2, height, width, channels], 0.5, np.float32), np.int64([0, 1])
    assert cpp(version, {"discriminate": {"image": image, "label": label}}, tmp_path)
    with pytest.raises(AssertionError, match="not compatible with expected shape"):
        cpp(version, {"discriminate": {"image": image[:, :, : width - 2], "label": label}}, tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError, match="label: there must be one for each image"):
        signatures["discriminate"](image=tf.constant(image), label=tf.constant(label[:1]))
    with pytest.raises(UserError, match="label: there must be one for each image"):
        game.serve("discriminate", image=image, label=label[:1])


@pytest.mark.parametrize("name, signature, asked", [("pix2pix", "translate", "seed"), ("drgan", "rotate", "pose")])
def test_what_is_asked_of_images_is_one_a_row(played, name, signature, asked):
    game, row = played(name).game, {asked: np.int64([0])}
    image = np.full([2, *game.config.image_shape], 0.5, np.float32)
    with pytest.raises(UserError, match=f"{asked}: there must be one for each image"):
        game.serve(signature, image=image, **row)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{asked}: there must be one for each image"):
        played(name).signatures[signature](image=tf.constant(image), **{asked: tf.constant(row[asked])})


COUNTS = {  # (generator, discriminator): weights that are trained
    "gan_mnist": (2_503_984, 1_231_441),
    "cgan_mnist": (2_413_984, 1_224_351),
    "dcgan_64": (3_576_704, 2_765_568),
    "wgan_64": (3_576_704, 2_765_568),
    "wgan_gp_mnist": (1_554_177, 1_030_145),
    "wgan_gp_32": (1_204_483, 1_053_825),  # by hand
    "infogan_mnist": (6_652_481, 6_559_169 + 133_004),  # by hand: Q has a dense layer of 128 with its norm, and 12 outputs
    "sgan_mnist": (694_568, 1_538_770),  # by hand
    "sgan_32": (4_926_595, 1_406_804),  # by hand
    "lsgan_112": (15_591_427, 4_333_441),  # by hand
    "ebm_32": (18_591_105,),  # by hand
    "autoencoder_mnist": (2_837_314,),  # by hand
    "vae_mnist": (69_076 + 65_089,),
    "vae_perceptron": (815_824,),  # by hand
    "sngan_projection_32": (4_304_387, 1_055_104),  # by hand
    "sngan_32": (4_276_739, 1_053_824),
    "sngan_cnn_32": (3_813_379, 5_860_865),
    "sagan_128": (42_017_412, 39_448_258),  # by hand
    "pggan_32": (1_296_908, 1_298_689),  # by hand
    "pggan_1024": (23_079_115, 23_087_249),
    "biggan_128": (70_433_988, 87_982_370),
    "biggan_256": (82_097_604, 99_225_890),  # by hand
    "r3gan_32": (20_732_160, 20_683_776),  # by hand
    "r3gan_256": (23_057_952, 23_009_568),  # by hand
    "cyclegan_256": (2 * 11_378_179, 2 * 2_764_737),
    "cyclegan_128": (2 * 7_837_699, 2 * 2_764_737),
    "pix2pix_256": (54_419_459, 2_769_601),
}


def counted(game):
    return tuple(sum(w.shape.num_elements() for w in network.trainable_weights) for network in game.players.values())


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_are_the_papers(blank, name):
    classes = {"num_classes": 1000} if name in ("sagan_128", "biggan_128", "biggan_256") else {}  # ImageNet's; else CIFAR-10's
    assert counted(zoo.create(name, **classes)) == COUNTS[name]


def dense(inputs, units):
    return (inputs + 1) * units


def convolution(kernel, inputs, filters, norm=True):
    return kernel * kernel * inputs * filters + filters + 2 * filters * norm


@pytest.mark.parametrize(
    "name, widths, start, flat",
    [("acgan_32", (384, 192, 96), 4, 4 * 4 * 512), ("acgan_128", (768, 384, 256, 192, 64), 4, 16 * 16 * 512)],
)
def test_acgan_is_its_tables(blank, name, widths, start, flat):
    game = zoo.create(name)
    generator = dense(110, start * start * widths[0]) + sum(convolution(5, a, b) for a, b in zip(widths, widths[1:]))
    generator += convolution(5, widths[-1], 3, norm=False)
    filters = (3, 16, 32, 64, 128, 256, 512)
    discriminator = sum(convolution(3, a, b, norm=i > 0) for i, (a, b) in enumerate(zip(filters, filters[1:])))
    discriminator += dense(flat, 1) + dense(flat, 10)
    assert counted(game) == (generator, discriminator)
    strides = [layer.strides[0] for layer in game.discriminator.layers if isinstance(layer, keras.layers.Conv2D)]
    assert strides == [2, 1, 2, 1, 2, 1]


@pytest.mark.parametrize(
    "name, settings, said",
    [
        ("gan", {"schedule": "quadratic"}, "--schedule quadratic: there is constant, linear, cosine"),
        ("gan", {"augment": ("color", "colour")}, "--augment colour: there is color, translation, cutout"),
        ("gan", {"objective": "minmax"}, "--objective minmax: there is non_saturating, minimax"),
    ],
)
def test_settings_in_python_are_checked_as_on_the_command_line(name, settings, said):
    with pytest.raises(UserError, match=said):
        zoo.create(name, **settings)


def test_the_shape_of_images_has_three_numbers():
    with pytest.raises(UserError, match="image_shape has 2 numbers; it takes height, width, channels"):
        zoo.create("gan", image_shape=(28, 28))


@pytest.mark.parametrize("side", [28, 100])
@pytest.mark.parametrize("name", [n for n in zoo.names() if registry.entry(n).config.image_shape is None])
def test_networks_fit_themselves_to_the_images(name, side):
    multiple = registry.entry(name).config.multiple
    if name == "pggan" or side % multiple:
        with pytest.raises(UserError, match="--image-shape"):
            zoo.create(name, image_shape=(side, side, 3), num_classes=4)
        return
    game = zoo.create(name, image_shape=(side, side, 3), num_classes=4)
    if not game.draws:
        batch = next(iter(source(game, 8).batches(1)))
        made = tf.nest.flatten(game.generate(batch))
        assert (1, side, side, 3) in [tuple(part.shape) for part in made]
        return
    conditions = {"label": tf.constant([3], tf.int64)} if game.conditions else {}
    assert game.sample([5], **conditions).shape == (1, side, side, 3)
    if "discriminate" in game.exports():
        judged = {i.name: tf.zeros([2], tf.int64) for i in game.discriminator.inputs if i.dtype == "int64"}
        assert game.discriminate(tf.zeros([2, side, side, 3]), **judged)["realness"].shape == (2,)


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
