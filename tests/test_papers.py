"""What is right of one paper and asked of no other model: by hand, by an independent implementation, or by what must not change."""

import dataclasses
import math
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import number, play, same, settings, source, tiny, weights

import zoo
from zoo import layers, losses
from zoo.errors import UserError
from zoo.models import biggan, ebm, pggan, r3gan


def batch_of(game, size=4):
    return next(iter(source(game).batches(size)))


# -- accumulation, truncation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2])
def test_accumulated_gradients_are_those_of_the_whole_batch(steps):
    moved = []
    for parts in (1, 4):
        game = tiny("wgan_gp_mnist", batch_size=8, accumulation=parts, discriminator_steps=steps, optimizer="sgd", beta_1=0.0, penalty=0.0)
        for optimizer in game.optimizers.values():
            optimizer.learning_rate = 1.0  # a weight's change is its gradient
        draw = lambda batch: game.generator({"latent": tf.reshape(batch["image"], [-1, 256])[:, :8]})  # noqa: E731, B023
        game.generate = draw  # noise of each row's own, however the rows are parted
        before = {player: weights(network) for player, network in game.players.items()}
        logs = game.train_step(batch_of(game, 8 * steps))
        assert all(np.isfinite(float(value)) for value in logs.values())
        assert {player: int(optimizer.iterations) for player, optimizer in game.optimizers.items()} == {"d": steps, "g": 1}
        moved.append({player: [a - b for a, b in zip(weights(network), before[player])] for player, network in game.players.items()})
    for player, changes in moved[0].items():
        largest = max(np.abs(change).max() for change in changes)
        assert largest > 1e-5
        for whole, parted in zip(changes, moved[1][player]):
            np.testing.assert_allclose(whole, parted, atol=2e-3 * largest)


def test_truncated_noise_is_distributed_as_noise_drawn_again():
    from scipy import stats

    game = tiny("biggan", latent_dim=80)
    seeds = tf.range(500, dtype=tf.int64)
    for limit in (0.3, 1.0, 2.5):
        found = game.latents(seeds, tf.fill([500], limit)).numpy().ravel()
        assert np.abs(found).max() <= limit
        assert stats.kstest(found, stats.truncnorm(-limit, limit).cdf).pvalue > 1e-3
    free = game.latents(seeds).numpy()
    moved = np.abs(game.latents(seeds, tf.fill([500], 5.0)) - free)
    assert moved[np.abs(free) < 3.5].max() < 1e-2  # hardly cut, hardly moved
    order = np.argsort(free[0])
    assert (np.diff(game.latents(seeds, tf.fill([500], 0.5)).numpy()[0][order]) >= 0).all()


def test_a_smaller_truncation_makes_samples_more_alike():
    game = tiny("biggan")
    label, seeds = np.zeros(32, np.int64), np.arange(32)
    spread = [np.std(game.sample(seeds, label=label, truncation=limit), axis=0).mean() for limit in (0.05, 0.5, 4.0)]
    assert spread[0] < 0.5 * spread[1] < spread[1] < spread[2]
    rows = game.sample([7, 7], label=[1, 1], truncation=[0.05, 2.0])
    assert np.abs(rows[0] - rows[1]).max() > 1e-3  # one a row


def test_a_label_that_there_is_not_is_refused():
    with pytest.raises(UserError, match="there are classes 0 to 2"):
        tiny("biggan").sample([1], label=[3])


@pytest.mark.parametrize("name", ["acgan", "sngan_projection"])  # a label is joined to the noise, or looked up
def test_labels_and_seeds_are_as_many_also_when_served(name):
    game = tiny(name)
    with pytest.raises(UserError, match="seed has shape"):
        game.sample(seed=7, label=[1])
    with pytest.raises(UserError, match="2 seeds and label of shape .1.: there must be one for each seed"):
        game.sample(seed=[7, 8], label=[1])
    sample, specs = game.exports()["sample"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="label: there must be one for each seed"):
        tf.function(sample, input_signature=specs)(tf.constant([7, 8], tf.int64), tf.constant([1], tf.int64))
    default, specs = game.exports()["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="label: there must be one for each latent"):
        tf.function(default, input_signature=specs)(tf.zeros([2, game.config.latent_dim]), tf.constant([1], tf.int64))


# -- spectral norm, conditional norm, attention ------------------------------------------------------------------------


def test_spectral_norm_is_one_power_iteration_a_pass():
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
        np.testing.assert_allclose(number(layer.vector), u, atol=1e-5)


def test_a_weight_below_the_least_norm_is_left_as_it_is():
    layer = layers.SpectralDense(3, use_bias=False, least=1.0)
    layer.build((None, 3))
    for scale, expected in ((0.25, 0.25), (4.0, 1.0)):
        layer.kernel.assign(scale * np.eye(3))
        np.testing.assert_allclose(layer(tf.eye(3)), expected * np.eye(3), atol=1e-5)


def test_projection_by_hand():
    draw = np.random.RandomState(0)
    features, label = keras.Input((4,)), keras.Input((), dtype="int64")
    network = keras.Model([features, label], layers.projected(features, label, 3))
    dense, known = (
        next(layer for layer in network.layers if isinstance(layer, kind)) for kind in (layers.SpectralDense, layers.SpectralEmbedding)
    )
    table, psi = draw.randn(3, 4), draw.randn(4, 1)
    known.kernel.assign(table)
    dense.kernel.assign(psi)
    dense.bias.assign([0.5])
    x, y = draw.randn(6, 4).astype(np.float32), np.array([0, 1, 2, 2, 1, 0])
    for _ in range(200):
        said = network([x, y], training=True)
    v = table / np.linalg.svd(table, compute_uv=False)[0]
    by_hand = x @ psi[:, 0] / np.linalg.norm(psi) + 0.5 + (v[y] * x).sum(1)
    np.testing.assert_allclose(said, by_hand, atol=1e-4)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_spectral_norm_is_the_largest_singular_value(policy):
    layer = layers.SpectralConv2D(5, 3, dtype=policy)
    x = tf.constant(np.random.RandomState(0).randn(2, 6, 6, 4), tf.float32)
    layer(x)
    kept = number(layer.vector)
    layer(x, training=False)
    np.testing.assert_array_equal(number(layer.vector), kept)
    for _ in range(200):
        y = layer(x, training=True)
    assert y.dtype == ("float32" if policy == "float32" else "bfloat16") and layer.kernel.dtype == layer.vector.dtype == "float32"
    matrix = number(layer.kernel).reshape(-1, 5)
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
    slope, weight, step = tape.gradient(loss, layer.kernel.value).numpy(), number(layer.kernel), 1e-3

    def value(matrix):
        return np.sum((number(x).astype(np.float64) @ (matrix / np.linalg.svd(matrix, compute_uv=False)[0])) ** 3)

    for i, j in ((0, 0), (2, 1), (3, 2)):
        there, here = weight.astype(np.float64).copy(), weight.astype(np.float64).copy()
        there[i, j] += step
        here[i, j] -= step
        assert slope[i, j] == pytest.approx((value(there) - value(here)) / (2 * step), abs=2e-2)


def test_conditional_norm_starts_as_plain_norm():
    x, vector = keras.Input((4, 4, 3)), keras.Input((3,))
    network = keras.Model([x, vector], layers.conditional_norm_relu(x, vector, vector))
    images = np.random.RandomState(0).randn(6, 4, 4, 3).astype(np.float32) * 3 + 1
    plain = (images - images.mean((0, 1, 2))) / np.sqrt(images.var((0, 1, 2)) + 1e-5)
    zeros = np.zeros((6, 3), np.float32)
    np.testing.assert_allclose(network([images, zeros], training=True), np.maximum(plain, 0), atol=1e-4)
    np.testing.assert_allclose(network([images, zeros + 2], training=True), np.maximum(plain * 3 + 2, 0), atol=1e-4)


def test_attention_starts_as_nothing_and_then_looks_at_every_place():
    x = keras.Input((4, 4, 16))
    network = keras.Model(x, layers.attention(x, lambda y, filters, kernel: layers.conv(y, filters, kernel)))
    images = tf.constant(np.random.RandomState(0).randn(1, 4, 4, 16), tf.float32)
    np.testing.assert_array_equal(network(images), images)
    (gain,) = [layer for layer in network.layers if isinstance(layer, layers.Gain)]
    gain.gain.assign(1.0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(np.random.RandomState(1).randn(*layer.kernel.shape) * 0.3)
    with tf.GradientTape() as tape:
        tape.watch(images)
        corner = tf.reduce_sum(network(images)[0, 0, 0])
    assert (np.abs(tape.gradient(corner, images)[0]).max(-1) > 1e-7).all()


# -- WGAN, R3GAN -------------------------------------------------------------------------------------------------------


def test_wgan_clips_the_critic_after_each_update_and_nothing_else():
    game = tiny("wgan", clip=0.01)
    play(game, 0, 1)
    assert max(np.abs(number(w)).max() for w in game.discriminator.trainable_weights) <= np.float32(0.01)
    assert max(np.abs(number(w)).max() for w in game.generator.trainable_weights) > 0.5  # gains of its norms


def test_wgan_gp_adds_its_weight_times_the_penalty_between_the_images():
    game = tiny("wgan_gp", penalty=10.0)
    batch, score = batch_of(game), 0.3
    game.judge = lambda images, batch: score * tf.reduce_sum(images, axis=(1, 2, 3))  # its slope is known: 0.3 at each of 256 pixels
    terms = game.discriminator_loss(batch, game.generate(batch))
    assert float(terms["d_penalty"]) == pytest.approx(10 * (0.3 * 16 - 1) ** 2, rel=1e-4)
    steep = tiny("wgan_gp")
    seen = []
    steep.judge = lambda images, batch: seen.append(images) or tf.reduce_sum(images, axis=(1, 2, 3))
    batch, fake = {"image": tf.zeros([64, 16, 16, 1])}, tf.ones([64, 16, 16, 1])
    steep.discriminator_loss(batch, fake)
    (between,) = [number(images) for images in seen if 0.3 < float(tf.reduce_mean(images)) < 0.7]
    assert (between == between[:, :1, :1]).all() and len(np.unique(between)) == 64  # one number an image, another for each


@pytest.mark.parametrize("name", ["wgan_gp", "pggan", "r3gan"])
def test_slopes_are_float32_whatever_the_precision(name):
    penalties = []
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        game = tiny(name)
        batch = {"image": tf.constant(np.random.RandomState(0).uniform(-1, 1, (16, 16, 16, 1)), tf.float32)}
        real = game.shrunk(batch["image"]) if name == "pggan" else batch["image"]
        logits, slopes = losses.slopes(lambda images: game.judge(images, batch), real)  # noqa: B023
        assert logits.dtype == slopes.dtype == tf.float32 and slopes.shape == real.shape
        penalties.append(np.mean(np.sum(number(slopes) ** 2, axis=(1, 2, 3))))
    assert penalties[1] == pytest.approx(penalties[0], rel=0.1) and penalties[0] > 0


def test_relativistic_loss_by_hand():
    first, second = tf.constant([1.0, -2.0]), tf.constant([0.5, 1.0])
    assert float(losses.relativistic(first, second)) == pytest.approx((math.log1p(math.exp(-0.5)) + math.log1p(math.exp(3))) / 2, abs=1e-6)


def test_r3gan_resamples_by_its_filter():
    x = tf.constant(np.random.RandomState(0).randn(1, 4, 4, 2), tf.float32)
    kernel = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
    depthwise = tf.constant(np.stack([kernel] * 2, -1)[..., None], tf.float32)
    spread = np.zeros((1, 11, 11, 2), np.float32)  # zeros between and around
    spread[:, 2:10:2, 2:10:2] = x
    np.testing.assert_allclose(r3gan.Resample(up=True)(x), tf.nn.depthwise_conv2d(spread, depthwise, [1] * 4, "VALID"), atol=1e-5)
    padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    by_hand = tf.nn.depthwise_conv2d(padded, depthwise / 4, [1, 2, 2, 1], "VALID")
    np.testing.assert_allclose(r3gan.Resample(up=False)(x), by_hand, atol=1e-5)
    assert r3gan.Resample(up=False)(x[:, :3]).shape == (1, 2, 2, 2)


def test_r3gan_logits_start_at_the_size_of_the_features():
    game = tiny("r3gan")
    (head,) = [layer for layer in game.discriminator.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert number(head.trainable_weights[0]).std() == pytest.approx(0.25, rel=0.2)


def test_r3gan_penalises_both_slopes_and_less_as_it_goes():
    game = tiny("r3gan", penalty=2.0, final_penalty=1.0, steps=4)
    batch = batch_of(game)
    fake = game.generate(batch)
    slopes = sum(losses.zero_centred(lambda x: game.judge(x, batch), images)[1] for images in (batch["image"], fake))
    for played, weight in ((0, 2.0), (2, 1.5), (4, 1.0), (9, 1.0)):
        game.round.assign(played)
        assert float(game.discriminator_loss(batch, fake)["d_penalty"]) == pytest.approx(weight * float(slopes), rel=1e-4)


def test_r3gan_penalises_the_slope_at_the_images_before_they_are_augmented(monkeypatch):
    game = tiny("r3gan", augment=("cutout",))
    batch = batch_of(game)
    fake, penalised = game.generate(batch), []
    for name in ("r1", "r2"):
        monkeypatch.setattr(losses, name, lambda judge, images: penalised.append((judge, images)) or losses.zero_centred(judge, images))
    game.discriminator_loss(batch, fake)
    assert [images is given for (_, images), given in zip(penalised, (batch["image"], fake), strict=True)] == [True, True]
    for judge, images in penalised:
        _, slope = losses.slopes(judge, images)
        cut = (number(slope) == 0).all(-1)  # half of each image's side, or less over an edge: what was cut has no slope
        assert (cut.sum((1, 2)) >= 16).all() and not cut.all((1, 2)).any()


def test_r3gan_convolves_channels_in_groups():
    config = dataclasses.replace(zoo.registry.entry("r3gan").config, group=4)
    x = keras.Input((6, 6, 4))
    network = keras.Model(x, r3gan.block(x, config, 1))
    grouped = next(layer for layer in network.layers if getattr(layer, "groups", 1) > 1)
    assert grouped.groups == 2 and grouped.kernel.shape == (3, 3, 4, 8)
    kernel, images = number(grouped.kernel), np.random.RandomState(0).randn(2, 6, 6, 8).astype(np.float32)
    whole = np.zeros((3, 3, 8, 8), np.float32)
    whole[:, :, :4, :4], whole[:, :, 4:, 4:] = kernel[..., :4], kernel[..., 4:]
    np.testing.assert_allclose(grouped(images), tf.nn.conv2d(images, whole, 1, "SAME"), atol=1e-4)


def test_r3gan_blocks_start_as_nothing():
    config = zoo.registry.entry("r3gan").config
    x = keras.Input((8, 8, 64))
    network = keras.Model(x, r3gan.block(x, config, 4))
    images = np.random.RandomState(0).randn(2, 8, 8, 64).astype(np.float32)
    np.testing.assert_array_equal(network(images), images)


# -- BigGAN ------------------------------------------------------------------------------------------------------------


def test_biggan_overlap_by_hand():
    game = tiny("biggan")
    total = 0.0
    for weight in game.generator.trainable_variables:
        if len(weight.shape) > 1 and "embedding" not in weight.path:
            matrix = number(weight).reshape(-1, weight.shape[-1]).astype(np.float64)
            total += np.sum((matrix.T @ matrix * (1 - np.eye(matrix.shape[1]))) ** 2)
    assert float(game.overlap()) == pytest.approx(total, rel=1e-4) and total > 0
    assert [w for w in game.generator.trainable_variables if "embedding" in w.path]


@pytest.mark.parametrize("name", ["sagan", "biggan"])
@pytest.mark.parametrize("side", [28, 32, 100])
def test_both_networks_have_attention_at_any_size(name, side):
    game = zoo.create(name, image_shape=(side, side, 1))
    for network in game.players.values():
        assert sum(isinstance(layer, layers.Gain) for layer in network.layers) == 1


def test_biggan_256_has_attention_where_table_5_has_it():
    config = dataclasses.replace(zoo.registry.entry("biggan_256").config, width=1).resolved()
    for build, side in ((biggan.build_generator, 128), (biggan.build_discriminator, 64)):
        (gain,) = [layer for layer in build(config).layers if isinstance(layer, layers.Gain)]
        assert gain.output.shape[1] == side


def test_biggan_gives_each_block_its_own_part_of_the_noise():
    game = tiny("biggan", latent_dim=9)
    latent = tf.Variable(np.random.RandomState(0).randn(1, 9), dtype=tf.float32)
    blocks = [layer.output for layer in game.generator.layers if isinstance(layer, keras.layers.Add)]
    features = keras.Model(game.generator.inputs, [keras.ops.sum(output) for output in blocks[:1]])
    for layer in game.generator.layers:  # conditions have no effect while their weights are orthogonal to nothing: make them seen
        if isinstance(layer, layers.SpectralDense):
            layer.kernel.assign(number(layer.kernel) + 0.1)
    with tf.GradientTape() as tape:
        value = features({"latent": latent, "label": tf.constant([1], tf.int64)})
        value = value[0] if isinstance(value, list) else value
    slope = tape.gradient(value, latent)[0].numpy()
    assert (np.abs(slope[:6]) > 1e-9).all() and (slope[6:] == 0).all()  # the dense layer's part and the first block's, not the second's


def test_biggan_samples_with_the_statistics_of_many_batches():
    game = tiny("biggan", standing_passes=3)
    play(game, 0, 2)
    norm = next(layer for layer in game.averaged._flatten_layers() if isinstance(layer, layers.BatchNorm))
    found, live = number(norm.moving_mean), weights(game.generator)
    assert norm.momentum == 0.9 and not norm.trainable
    probe = keras.Model(game.averaged.inputs, norm.input)
    means = []
    for i in range(3):
        label = tf.constant((np.arange(4) + 4 * i) % 3, tf.int64)
        latent = game.prior((4, game.config.latent_dim), [game.config.seed, i])
        means.append(probe({"latent": latent, "label": label}).numpy().mean((0, 1, 2)))
    np.testing.assert_allclose(found, np.mean(means, 0), atol=1e-5)
    before, callback = weights(game.averaged), biggan.Standing()
    callback.set_model(game)
    callback.on_epoch_end(0)
    assert same(weights(game.averaged), before)  # a function of the weights alone: one look more changes nothing
    assert same(weights(game.generator), live)


# -- PGGAN -------------------------------------------------------------------------------------------------------------


def test_pggan_growth_is_a_function_of_the_round():
    game = tiny("pggan", phase=4)
    assert game.milestones == [4, 12]
    expected = {0: 0, 4: 0, 6: 0.5, 8: 1, 11: 1, 12: 1, 13: 1.25, 16: 2, 99: 2}
    for played, growth in expected.items():
        game.round.assign(played)
        np.testing.assert_allclose(game.growth(tf.zeros([2]), playing=False), [[growth]] * 2)
        if played:
            game.round.assign(played - 1)
            np.testing.assert_allclose(game.growth(tf.zeros([2])), [[growth]] * 2)  # the last of those rounds


@pytest.mark.parametrize("name", [name for name in zoo.names() if name.startswith("pggan")])
def test_pggan_presets_play_every_stage_to_its_end(name):
    config = zoo.registry.entry(name).config
    stages = len(dataclasses.replace(config, image_shape=config.image_shape or (32, 32, 1)).sizes)
    begins = config.phase * (2 * (stages - 1) - 1)
    assert config.steps >= begins + 2 * config.phase  # faded in, and trained as long


def test_pggan_tells_stage_and_alpha_and_nobody_warns():
    game = tiny("pggan", phase=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        rounds = [play(game, played, 1) for played in range(9)]
    history = {name: np.concatenate([told[name] for told in rounds]) for name in ("g_stage", "g_alpha")}
    # 4x4 for two rounds, 8x8 faded in by two and trained for two, 16x16 the same; a value is of the round that was played
    np.testing.assert_allclose(history["g_stage"], [0, 0, 1, 1, 1, 1, 2, 2, 2])
    np.testing.assert_allclose(history["g_alpha"], [1, 1, 0.5, 1, 1, 1, 0.5, 1, 1])


def test_pggan_stage_networks_are_the_whole_one_where_they_have_grown():
    game = tiny("pggan")
    latent = game.latents(tf.constant([1, 2], tf.int64))
    images = tf.constant(np.random.RandomState(0).rand(2, 16, 16, 1), tf.float32)
    for stage, growth in ((0, 0.0), (1, 0.25), (1, 1.0), (2, 1.5)):
        inputs = {"latent": latent, "growth": tf.fill([2, 1], growth)}
        small, times = game.generators[stage](inputs), 16 // 4 // 2**stage
        whole = game.generator(inputs)
        np.testing.assert_allclose(np.repeat(np.repeat(small, times, 1), times, 2), whole, atol=1e-5)
        shrunk = images
        for _ in range(2 - stage):
            shrunk = tf.nn.avg_pool2d(shrunk, 2, 2, "VALID")
        said = game.critics[stage]({"image": shrunk, "growth": inputs["growth"]})
        np.testing.assert_allclose(said, game.discriminator({"image": images, "growth": inputs["growth"]}), atol=1e-4)


def test_pggan_real_images_are_as_faded_as_the_others():
    game = tiny("pggan", phase=4)
    game.stage = 1
    images = tf.constant(np.random.RandomState(0).rand(1, 16, 16, 1), tf.float32)
    eight = number(images).reshape(1, 8, 2, 8, 2, 1).mean((2, 4))
    four = np.repeat(np.repeat(eight.reshape(1, 4, 2, 4, 2, 1).mean((2, 4)), 2, 1), 2, 2)
    for played, alpha in ((3, 0.0), (4, 0.25), (7, 1.0)):
        game.round.assign(played)
        np.testing.assert_allclose(game.shrunk(images), four + alpha * (eight - four), atol=1e-6)


def test_pggan_resumes_bit_exactly_in_the_middle_of_a_fade(tmp_path):
    whole, first, second = (tiny("pggan", phase=3) for _ in range(3))
    play(whole, 0, 8)
    play(first, 0, 4)  # the fade to 8x8 is from round 3 to 6
    path = tf.train.Checkpoint(game=first).write(str(tmp_path / "four"))
    tf.train.Checkpoint(game=second).read(path).assert_existing_objects_matched()
    play(second, 4, 4)
    assert same(weights(whole), weights(second)) and whole.stage == second.stage == 1
    for player, optimizer in whole.optimizers.items():
        assert same([number(v) for v in optimizer.variables], [number(v) for v in second.optimizers[player].variables])


def test_pggan_optimizers_start_anew_with_a_stage():
    game = tiny("pggan", phase=2)
    play(game, 0, 2)
    assert int(game.g_optimizer.iterations) == 2
    rate = float(number(game.g_optimizer.learning_rate))
    play(game, 2, 3)
    assert int(game.g_optimizer.iterations) == 3 and float(number(game.g_optimizer.learning_rate)) == rate > 0


def test_pggan_equalised_weights_and_deviation_by_hand():
    layer = pggan.Equalised(3, 3)
    x = tf.constant(np.random.RandomState(0).randn(2, 4, 4, 5), tf.float32)
    kernel = number(layer(x) is None or layer.kernel)
    assert kernel.std() == pytest.approx(1, abs=0.2)
    np.testing.assert_allclose(layer(x), tf.nn.conv2d(x, kernel * (2 / 45) ** 0.5, 1, "SAME"), atol=1e-5)
    images = tf.constant([[[[1.0]]], [[[5.0]]]])
    np.testing.assert_allclose(pggan.batch_deviation(images), [[[[1.0, 2.0]]], [[[5.0, 2.0]]]], atol=1e-5)
    unit = pggan.pixel_norm(tf.constant([[3.0, 4.0]]))
    np.testing.assert_allclose(unit, [[3 / 12.5**0.5, 4 / 12.5**0.5]], atol=1e-5)


def test_pggan_grows_from_four_by_doubling_only():
    with pytest.raises(UserError, match="24x24 pixels do not grow from 4x4 by doubling; --image-shape 16 16 1"):
        tiny("pggan", image_shape=(24, 24, 1))
    with pytest.raises(UserError, match="--target 0: must be more than 0"):
        tiny("pggan", target=0.0)


# -- SGAN, InfoGAN -----------------------------------------------------------------------------------------------------


def test_sgan_losses_by_hand():
    game = tiny("sgan", image_noise=0.0, noise=0.0)
    batch = batch_of(game)
    fake = game.generate(batch)
    terms = game.discriminator_loss(batch, fake)

    def logits(images):
        return number(game.discriminator({"image": images})["classes"]).astype(np.float64)

    def lse(logits):
        return np.log(np.exp(logits).sum(1))

    known, real, made = (logits(images) for images in (batch["labelled_image"], batch["image"], fake))
    labelled = np.mean(lse(known) - known[np.arange(4), batch["label"]])
    probability = [np.exp(lse(x)) / (np.exp(lse(x)) + 1) for x in (real, made)]  # D = Z / (Z + 1)
    assert float(terms["d_labelled"]) == pytest.approx(labelled, rel=1e-4)
    adversarial = -np.mean(np.log(probability[0])) / 2 - np.mean(np.log(1 - probability[1])) / 2
    assert float(terms["d_adversarial"]) == pytest.approx(adversarial, rel=1e-4)
    features = [number(game.discriminator({"image": images})["features"]) for images in (batch["image"], fake)]
    by_hand = np.mean((features[0].mean(0) - features[1].mean(0)) ** 2)
    assert float(game.generator_loss(batch, fake)["g_features"]) == pytest.approx(by_hand, rel=1e-4)


def test_sgan_sees_few_labels_as_many_of_each_class():
    game = tiny("sgan", labels=6)
    few = source(game)
    assert sorted(few.labelled["label"]) == [0, 0, 1, 1, 2, 2]
    stream, known = few.batches(4), {row.tobytes() for row in few.labelled["image"]}
    for batch in stream.take(5):
        assert set(batch) == {"image", "labelled_image", "label"}
        images = np.uint8(np.rint((number(batch["labelled_image"]) + 1) * 127.5))
        assert {image.tobytes() for image in images} <= known
    again = next(iter(few.batches(4, start=3)))
    for i, batch in enumerate(stream.take(4)):
        assert i < 3 or all(np.array_equal(batch[key], again[key]) for key in batch)
    other = tiny("sgan", labels=6, seed=5)
    assert {row.tobytes() for row in source(other).labelled["image"]} != known
    with pytest.raises(UserError, match="--labels 2: fewer than the 3 classes"):
        tiny("sgan", labels=2)


def test_sgan_counts_what_it_gets_wrong():
    game = tiny("sgan")
    images = np.random.RandomState(0).randint(0, 256, (20, 16, 16, 1)).astype(np.uint8)
    said = number(game.discriminate(tf.constant(images / 255, tf.float32))["class_probabilities"]).argmax(1)
    assert game.scores({"image": images, "label": said}, None) == {"misclassified": 0}
    found = game.serve("classify", image=(images / 255).astype(np.float32))
    np.testing.assert_array_equal(found["label"], said)
    np.testing.assert_allclose(np.sum(found["class_probabilities"], 1), 1, atol=1e-5)
    wrong = said.copy()
    wrong[:5] = (wrong[:5] + 1) % 3
    assert game.scores({"image": images, "label": wrong}, None)["misclassified"] == pytest.approx(0.25)


def test_infogan_code_and_what_it_costs_not_to_read_it():
    game = tiny("infogan", latent_dim=12)
    latent = game.latents(tf.range(2000, dtype=tf.int64))
    category, numbers = game.code(latent)
    assert category.shape == (2000, 3) and numbers.shape == (2000, 2)
    np.testing.assert_allclose(np.mean(category, 0), 1 / 3, atol=0.05)
    np.testing.assert_array_equal(np.sort(category, 1), [[0, 0, 1]] * 2000)
    assert np.abs(np.mean(numbers)) < 0.05 and np.std(numbers) == pytest.approx(1 / 3**0.5, abs=0.02)
    assert np.abs(np.corrcoef(number(latent).T) - np.eye(12))[:, :7].max() < 0.1  # nothing is drawn twice
    said = {"category": tf.math.log(category * 0.98 + 0.01), "numbers": numbers + 0.5}
    assert float(game.unread(said, latent)) == pytest.approx(-math.log(0.99 / 1.01) + 2 * 0.25 / 2, abs=1e-4)


def test_infogan_previews_walk_through_the_code():
    game = tiny("infogan", latent_dim=12)
    for weight in (weight for weight in game.averaged.weights if len(weight.shape) > 1):
        weight.assign(number(weight) * 10)  # small ones make pictures that hardly differ
    images, columns = game.preview(None)
    assert images.shape == (80, 16, 16, 1) and columns == 10
    rows = number(images).reshape(8, 10, -1)
    np.testing.assert_array_equal(rows[:4, 0], rows[:4, 3])  # three categories: the fourth column is the first again
    assert (np.abs(rows[:4, 0] - rows[:4, 1]).max(-1) > 1e-4).all()
    assert (np.abs(np.diff(rows[4:], axis=1)).max(-1) > 1e-6).all()
    noise = number(game.latents(tf.range(4, dtype=tf.int64)))
    for row, (seed, place) in enumerate([(0, -2), (1, -2), (0, -1), (1, -1)], 4):  # two noises for each of the numbers, which come last
        latent = np.tile(noise[seed], (10, 1))
        latent[:, place] = np.linspace(-2, 2, 10)
        by_hand = (number(game.averaged({"latent": latent})) + 1) / 2
        np.testing.assert_allclose(rows[row], by_hand.reshape(10, -1), atol=1e-5)


# -- what came before GANs ---------------------------------------------------------------------------------------------


def test_vae_terms_by_hand():
    game = tiny("vae")
    batch = batch_of(game)
    draw = np.random.RandomState(0)
    fake = {
        "pixels": tf.constant(draw.randn(4, 16, 16, 1), tf.float32),
        "mean": tf.constant(draw.randn(4, 8), tf.float32),
        "log_variance": tf.constant(draw.randn(4, 8), tf.float32),
    }
    terms = game.generator_loss(batch, fake)
    mean, deviation = number(fake["mean"]), np.exp(number(fake["log_variance"]) / 2)
    divergence = (-np.log(deviation) + (deviation**2 + mean**2) / 2 - 0.5).sum(1).mean()  # KL(N(mean, deviation) | N(0, 1))
    assert float(terms["g_divergence"]) == pytest.approx(divergence, rel=1e-4)
    x, p = (number(batch["image"]) + 1) / 2, 1 / (1 + np.exp(-number(fake["pixels"])))
    likelihood = (x * np.log(p) + (1 - x) * np.log(1 - p)).sum((1, 2, 3)).mean()
    assert float(terms["g_reconstruction"]) == pytest.approx(-likelihood, rel=1e-4)


def test_autoencoder_loss_by_hand():
    game = tiny("autoencoder")
    batch = batch_of(game)
    again = game.generate(batch)
    code = game.serve("encode", image=(number(batch["image"]) + 1) / 2)["latent"]
    np.testing.assert_allclose(again, game.generator.get_layer("decoder")({"latent": code}), atol=1e-5)
    error = np.mean((number(batch["image"]) / 2 - number(again) / 2) ** 2)  # of pixels in [0, 1]
    assert float(game.generator_loss(batch, again)["g_reconstruction"]) == pytest.approx(error, rel=1e-4) and error > 0.01


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_previews_show_originals_above_their_reconstructions(name):
    game = tiny(name)
    batch = batch_of(game, 16)
    images, columns = game.preview(batch)
    rows = number(images).reshape(8, columns, 16, 16, 1)
    originals = (number(batch["image"]) + 1) / 2
    np.testing.assert_allclose(rows[0], originals[:8], atol=1e-6)
    np.testing.assert_allclose(rows[2], originals[8:], atol=1e-6)
    again = game.exports()["reconstruct"][0](tf.constant(originals))["image"]
    np.testing.assert_allclose(rows[1], again[:8], atol=1e-5)
    np.testing.assert_allclose(rows[4:].reshape(32, 16, 16, 1), game.sample(np.arange(32)), atol=1e-5)


def test_ebm_climbs_and_keeps_where_it_was():
    game = tiny("ebm", noise=0.0, step=0.5, climb=3, renewed=0.0, buffer=8)
    batch, before = batch_of(game), number(game.kept.images)
    images = number(game.generate(batch))
    after = number(game.kept.images)
    changed = np.flatnonzero(np.abs(after - before).max((1, 2, 3)) > 0)
    assert 1 <= len(changed) <= 4 and all(any(np.allclose(after[row], image, atol=1e-6) for image in images) for row in changed)
    judged = [number(game.discriminator({"image": start[changed]})) for start in (before, after)]
    assert (judged[1] > judged[0]).all()


def test_ebm_climbs_by_its_step_along_the_slope():
    game = tiny("ebm", noise=0.0, step=0.25)
    start = tf.constant(np.random.RandomState(0).uniform(-0.5, 0.5, (2, 16, 16, 1)), tf.float32)
    _, slope = losses.slopes(lambda x: game.discriminator({"image": x}), start)
    np.testing.assert_allclose(game.climbed(game.discriminator, start, 1, [0, 0]), start + 0.25 * slope, atol=1e-6)
    still = game.climbed(game.discriminator, start + 9, 1, [0, 0])
    assert number(still).max() == 1  # kept among the images


def test_ebm_climbs_with_noise_and_some_begin_anew():
    game = tiny("ebm", noise=0.1, step=0.0)
    start = tf.zeros([64, 16, 16, 1])
    moved = number(game.climbed(game.discriminator, start, 1, [0, 0]))
    assert moved.std() == pytest.approx(0.1, rel=0.03) and abs(moved.mean()) < 5e-3 and np.abs(moved[0] - moved[1]).max() > 0.05
    further = number(game.climbed(game.discriminator, start, 4, [0, 0]))
    assert further.std() == pytest.approx(0.2, rel=0.03)  # another noise at each step
    for renewed, share in ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0)):
        game = tiny("ebm", noise=0.0, step=0.0, renewed=renewed, buffer=8)
        game.kept.images.assign(tf.fill(game.kept.images.shape, 0.25))
        made = number(game.generate({"image": tf.zeros([200, 16, 16, 1])}))
        anew = (made != 0.25).any((1, 2, 3))
        assert anew.mean() == pytest.approx(share, abs=0.12)
        assert not anew.any() or made[anew].std() == pytest.approx(1 / 3**0.5, rel=0.05)  # uniform in [-1, 1]


def test_ebm_slopes_are_cut():
    game = tiny("ebm", noise=0.0, step=1.0, steepest=1e-4)
    moved = number(game.climbed(game.discriminator, tf.zeros([2, 16, 16, 1]), 1, [0, 0]))
    assert np.abs(moved).max() == pytest.approx(1e-4, rel=1e-5) and (moved > 0).any() and (moved < 0).any()


def test_ebm_loss_by_hand():
    game = tiny("ebm", size=0.5)
    batch = batch_of(game)
    fake = game.generate(batch)
    real, found = (number(game.discriminator({"image": images})).astype(np.float64) for images in (batch["image"], fake))
    terms = game.discriminator_loss(batch, fake)
    assert float(terms["d_adversarial"]) == pytest.approx(found.mean() - real.mean(), abs=1e-6)
    assert float(terms["d_size"]) == pytest.approx(0.5 * np.mean(real**2 + found**2), rel=1e-4)


def test_ebm_previews_climb_from_noise_to_what_is_served():
    game = tiny("ebm", noise=0.05, step=0.5, served_climb=21)
    images, columns = game.preview(None)
    rows = number(images).reshape(8, columns, 16, 16, 1)
    noise = (number(game.latents(tf.range(8, dtype=tf.int64))).reshape(8, 16, 16, 1) + 1) / 2
    np.testing.assert_allclose(rows[:, 0], noise, atol=1e-6)
    np.testing.assert_allclose(rows[:, -1], game.sample(np.arange(8)), atol=1e-5)
    still = tiny("ebm", noise=0.0, step=0.5, served_climb=21)
    rows = number(still.preview(None)[0]).reshape(8 * 8, 16, 16, 1) * 2 - 1
    judged = number(still.averaged({"image": rows})).reshape(8, 8)
    assert (np.diff(judged, axis=1) > 0).all()  # each moment looks more real than the one before


def test_ebm_residual_blocks_start_as_their_shortcut():
    x = keras.Input((8, 8, 4))
    network = keras.Model(x, ebm.block(x, 4, 0.5, down=True))
    images = np.random.RandomState(0).randn(2, 8, 8, 4).astype(np.float32)
    halved = images.reshape(2, 4, 2, 4, 2, 4).mean((2, 4))
    np.testing.assert_allclose(network(images), np.where(halved > 0, halved, 0.2 * halved), atol=1e-5)


# -- all of them in half precision -------------------------------------------------------------------------------------

FAMILIES = {type(zoo.registry.entry(name).config): name for name in reversed(zoo.names())}


@pytest.mark.parametrize("name", sorted(FAMILIES.values()))
def test_every_family_plays_in_bfloat16_with_images_and_weights_in_float32(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    game = tiny(name)
    size = game.config.batch_size * game.config.discriminator_steps
    logs = game.train_step(batch_of(game, size))
    assert all(np.isfinite(float(value)) for value in logs.values())
    assert {weight.dtype for network in game.players.values() for weight in network.weights} == {"float32"}
    assert game.preview(batch_of(game, size))[0].dtype == tf.float32
    assert len(settings(name)) > 3
