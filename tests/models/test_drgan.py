"""DR-GAN: the layer table, fusion, the losses of both variants by hand."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model, to_numpy

from zoo import registry
from zoo.errors import UserError
from zoo.models import drgan

IDENTITIES, POSES, NOISE = 200, 9, 50  # Multi-PIE


def resolve_config(name, **overrides):
    """A preset's configuration for Multi-PIE: 200 identities to train on, 137 to test on."""
    config = registry.get_entry(name).configure(num_classes=337, held_out_identities=137, num_poses=POSES, **overrides)
    return config.resolve()


def count_weights(network):
    return sum(weight.shape.num_elements() for weight in network.trainable_weights)


def first_batch(model, size=4):
    return next(iter(random_source(model).batches(size)))


# -- the table ---------------------------------------------------------------------------------------------------------

ENCODER = [(3, 32), (32, 64)]  # (channels in, channels out) of the 3x3 convolutions, block by block
ENCODER += [(64, 64), (64, 64), (64, 128)]
ENCODER += [(128, 128), (128, 96), (96, 192)]
ENCODER += [(192, 192), (192, 128), (128, 256)]
ENCODER += [(256, 256), (256, 160), (160, 320)]
DECODER = [(320, 160), (160, 256)]
DECODER += [(256, 256), (256, 128), (128, 192)]
DECODER += [(192, 192), (192, 96), (96, 128)]
DECODER += [(128, 128), (128, 64), (64, 64)]
DECODER += [(64, 64), (64, 32)]


def convolutions(pairs):
    """Weights of convolutions without a bias, each with the gain and offset of its norm."""
    return sum(9 * a * b + 2 * b for a, b in pairs)


def test_the_encoder_is_its_table():
    assert count_weights(drgan.build_encoder(resolve_config("drgan_96"))) == convolutions(ENCODER) == 2_857_824 + 2 * 2080
    with_confidence = convolutions([*ENCODER[:-1], (160, 321)])
    assert count_weights(drgan.build_encoder(resolve_config("drgan_multi_96"))) == with_confidence == 2_861_984 + 9 * 160 + 2


def test_the_decoder_is_its_table():
    dense = (320 + POSES + NOISE + 1) * 6 * 6 * 320
    assert count_weights(drgan.build_decoder(resolve_config("drgan_96"))) == dense + convolutions(DECODER) + 9 * 32 * 3 + 3


def test_both_discriminators_are_the_table():
    trunk = convolutions(ENCODER)
    assert count_weights(drgan.build_discriminator(resolve_config("drgan_96"))) == trunk + 321 * (IDENTITIES + 1 + POSES)
    assert count_weights(drgan.build_discriminator(resolve_config("drgan_tpami_96"))) == trunk + 321 * (IDENTITIES + POSES + 1)
    with_baseline, alone = (drgan.build_generator(resolve_config("drgan_96", baseline=baseline)) for baseline in (True, False))
    assert count_weights(with_baseline) - count_weights(alone) == trunk + 321 * (IDENTITIES + POSES)


def layers_of(network, *types):
    return [layer for layer in network.layers if type(layer) in types]


def test_sizes_and_strides_are_the_table():
    config = resolve_config("drgan_96")
    encoder, decoder = drgan.build_encoder(config), drgan.build_decoder(config)
    down = layers_of(encoder, keras.layers.Conv2D)
    assert [layer.output.shape[1] for layer in down] == [96, 96, 48, 48, 48, 24, 24, 24, 12, 12, 12, 6, 6, 6]
    assert [layer.filters for layer in down] == [32, 64, 64, 64, 128, 128, 96, 192, 192, 128, 256, 256, 160, 320]
    up = layers_of(decoder, keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    assert [layer.output.shape[1] for layer in up] == [6, 6, 12, 12, 12, 24, 24, 24, 48, 48, 48, 96, 96, 96]
    assert [layer.filters for layer in up] == [160, 256, 256, 128, 192, 192, 96, 128, 128, 64, 64, 64, 32, 3]
    assert all(layer.kernel_size == (3, 3) for layer in [*down, *up])
    assert len(layers_of(encoder, keras.layers.ELU)) == 14 and len(layers_of(decoder, keras.layers.ELU)) == 13
    assert encoder.output["features"].shape == (None, 320) and decoder.output.shape == (None, 96, 96, 3)


@pytest.mark.parametrize("side, smallest", [(16, 4), (28, 4), (32, 4), (64, 4), (100, 7), (256, 16)])
def test_small_images_take_the_last_widths(side, smallest):
    config = dataclasses.replace(resolve_config("drgan_96"), image_shape=(side, side + 4, 1))
    sizes, widths = drgan.plan_layers(config)
    assert sizes[0][0] == smallest and sizes[-1] == (side, side + 4)
    assert len(widths) == 3 * len(sizes) - 1 and widths == config.widths[-len(widths) :]


# -- fusion ------------------------------------------------------------------------------------------------------------


def test_fusion_is_the_weighted_mean():
    features, confidence = np.float32([[[1, 10], [4, 40]]]), np.float32([[0.1, 0.3]])
    np.testing.assert_allclose(drgan.fuse_features(features, confidence), [[(0.1 + 1.2) / 0.4, (1 + 12) / 0.4]], rtol=1e-6)
    np.testing.assert_allclose(drgan.fuse_features(features, np.float32([[0.2, 0.2]])), [[2.5, 25]], rtol=1e-6)
    np.testing.assert_allclose(drgan.fuse_features(features, np.float32([[0.01, 0]])), [[1, 10]], rtol=1e-6)


def test_random_subsets_are_of_any_size_but_0():
    subset = drgan.random_subset((600, 3), [1, 2], [3, 4]).numpy()
    assert set(np.unique(subset)) == {0, 1}
    counts = np.bincount(subset.sum(1).astype(int), minlength=4)
    assert counts[0] == 0 and (counts[1:] > 150).all()  # a third each
    assert np.abs(subset.mean(0) - 2 / 3).max() < 0.07  # every position is equally likely


def test_fused_features_are_served_as_they_are_trained():
    model = tiny_model("drgan_multi_96", images_per_set=3)
    images = tf.random.stateless_uniform([2, 3, 16, 16, 3], [1, 2])
    fuse, features = (model.signatures()[name].function for name in ("fuse", "features"))
    single = np.stack([features(images[:, i])["features"] for i in range(3)], 1)
    encoder = model.ema_generator.get_layer("encoder")
    confidence = np.stack([encoder({"image": images[:, i] * 2 - 1})["confidence"] for i in range(3)], 1)
    assert ((confidence > 0) & (confidence < 1)).all() and np.ptp(confidence) > 0
    by_hand = (single * confidence[..., None]).sum(1) / confidence.sum(1)[:, None]
    np.testing.assert_allclose(fuse(images)["features"], by_hand, atol=1e-5)
    np.testing.assert_allclose(fuse(images[:, :1])["features"], single[:, 0], atol=1e-5)  # one image: its own features
    assert fuse(images[:1, :2])["features"].shape == (1, 8)


def test_without_confidences_all_images_have_the_same_weight():
    model = tiny_model("drgan_96")
    images = tf.random.stateless_uniform([2, 3, 16, 16, 3], [1, 2])
    fuse, features = (model.signatures()[name].function for name in ("fuse", "features"))
    np.testing.assert_allclose(fuse(images)["features"], np.mean([features(images[:, i])["features"] for i in range(3)], 0), atol=1e-5)


# -- losses ------------------------------------------------------------------------------------------------------------


def cross_entropy(logits, label):
    logits = np.float64(logits)
    return np.log(np.exp(logits).sum()) - logits[label]


@dataclasses.dataclass
class StubDiscriminator:
    """A discriminator with given outputs, one call after another."""

    outputs: list

    def __call__(self, images, batch=None):
        return {name: tf.constant(value, tf.float32) for name, value in self.outputs.pop(0).items()}


def stub_model(name, *outputs, **overrides):
    model = tiny_model(name, **overrides)
    model.call_discriminator = StubDiscriminator(list(outputs))
    model.step_metrics.log = lambda values: None
    return model


REAL = {"identity": [[2.0, 0.5, -1.0]], "pose": [[0.0, 1.0, 3.0]], "realness": [0.7]}
FAKE = {"identity": [[0.3, 1.5, 0.2]], "pose": [[1.0, -1.0, 0.5]], "realness": [-0.4]}
BATCH = {"image": np.zeros((1, 16, 16, 3), np.float32), "label": np.int64([0]), "pose": np.int64([2])}
MADE = {"image": tf.zeros([1, 16, 16, 3]), "label": tf.constant([0], tf.int64), "pose": tf.constant([1], tf.int64)}


def values(terms):
    return {name: pytest.approx(float(value), rel=1e-5) for name, value in terms.items()}


def test_losses_of_the_conference_paper():
    model = stub_model("drgan_96", REAL, FAKE, FAKE)
    assert model.config.num_identities == 2
    terms = values(model.discriminator_loss(BATCH, MADE))
    assert terms == {
        "d_identity": cross_entropy([2, 0.5, -1], 0),
        "d_pose": cross_entropy([0, 1, 3], 2),
        "d_fake": cross_entropy([0.3, 1.5, 0.2], 2),
    }
    terms = values(model.generator_loss(BATCH, MADE))  # the identity of the input, the pose of the code
    assert terms == {"g_identity": cross_entropy([0.3, 1.5, 0.2], 0), "g_pose": cross_entropy([1, -1, 0.5], 1)}


def test_losses_of_the_journal_paper():
    real, fake = ({**outputs, "identity": [row[:2] for row in outputs["identity"]]} for outputs in (REAL, FAKE))
    model = stub_model("drgan_tpami_96", real, fake, fake)
    terms = values(model.discriminator_loss(BATCH, MADE))
    adversarial = np.log1p(np.exp(-0.7)) + np.log1p(np.exp(-0.4))  # -log D(0.7) - log (1 - D(-0.4))
    assert terms == {"d_identity": cross_entropy([2, 0.5], 0), "d_pose": cross_entropy([0, 1, 3], 2), "d_adversarial": adversarial}
    terms = values(model.generator_loss(BATCH, MADE))
    assert terms == {
        "g_identity": cross_entropy([0.3, 1.5], 0),
        "g_pose": cross_entropy([1, -1, 0.5], 1),
        "g_adversarial": np.log1p(np.exp(0.4)),
    }


def test_losses_of_several_images_are_those_of_each_and_of_the_fused():
    """2 (n + 1) terms: n = 2 single images, then the fused one."""
    identity, pose = [[1.0, 2, 3], [0, 1, 0], [2, 0, 1]], [[0.0, 1], [2, 0], [1, 1]]
    model = stub_model("drgan_multi_96", {"identity": identity, "pose": pose}, images_per_set=2)
    fake = {"image": tf.zeros([3, 16, 16, 3]), "label": tf.constant([1, 1, 1], tf.int64), "pose": tf.constant([0, 0, 0], tf.int64)}
    batch = {"image": np.zeros((1, 2, 16, 16, 3), np.float32), "label": np.int64([1]), "pose": np.int64([[0, 1]])}
    terms = values(model.generator_loss(batch, fake))
    assert terms == {
        "g_identity": cross_entropy(identity[2], 1),
        "g_pose": cross_entropy(pose[2], 0),
        "g_single_identity": cross_entropy(identity[0], 1) + cross_entropy(identity[1], 1),
        "g_single_pose": cross_entropy(pose[0], 0) + cross_entropy(pose[1], 0),
    }


def test_real_images_are_identified_by_the_direction_of_their_features():
    """The additive margin softmax of the cosines of the angles between features and a vector of each identity."""
    model = tiny_model("drgan")
    batch, config = first_batch(model), model.config
    fake = model.generate(batch)
    encoder = model.generator.get_layer("encoder")
    (vectors,) = (to_numpy(layer.vectors) for layer in encoder.layers if hasattr(layer, "vectors"))
    features = to_numpy(encoder({"image": tf.reshape(batch["image"], [-1, *config.image_shape])}, training=True)["features"])
    cosines = (features / np.linalg.norm(features, axis=1, keepdims=True)) @ (vectors / np.linalg.norm(vectors, axis=0))
    np.testing.assert_allclose(fake["identity"], cosines, atol=1e-4)
    label = np.repeat(batch["label"], config.images_per_row)
    cosines[np.arange(len(label)), label] -= 0.35
    expected = np.mean([cross_entropy(30 * row, target) for row, target in zip(cosines, label, strict=True)])
    loss = model.generator_loss(batch, fake)["g_encoder_identity"]
    np.testing.assert_allclose(loss, config.identity_weight * expected, rtol=1e-3)


@pytest.mark.parametrize("images", [1, 2])
def test_views_are_compared_with_the_real_image_of_their_pose(images):
    """Each image of a row is rotated to the pose of the next one, a fused set to that of its first image."""
    model = tiny_model("drgan", images_per_set=images)
    batch = first_batch(model, 3)
    assert batch["image"].shape[1] == 2  # also without fusion
    fake = model.generate(batch)
    poses, real = to_numpy(batch["pose"]), to_numpy(batch["image"])
    expected_poses, targets = poses[:, ::-1].reshape(-1), real[:, ::-1].reshape(-1, *model.config.image_shape)
    if images == 2:
        expected_poses, targets = np.concatenate([expected_poses, poses[:, 0]]), np.concatenate([targets, real[:, 0]])
    np.testing.assert_array_equal(fake["pose"], expected_poses)
    expected = model.config.view_weight * np.abs(to_numpy(fake["image"]) - targets).mean()
    np.testing.assert_allclose(model.generator_loss(batch, fake)["g_view"], expected, rtol=1e-4)


def test_realness_is_identities_against_the_fake_class():
    model = tiny_model("drgan_96")
    outputs = model.discriminate(tf.random.stateless_uniform([2, 16, 16, 3], [1, 2]))
    identity = to_numpy(outputs["identity"])
    np.testing.assert_allclose(outputs["realness"], np.log(np.exp(identity[:, :-1]).sum(1)) - identity[:, -1], atol=1e-5)
    assert identity.shape == (2, model.config.num_identities + 1)
    assert tiny_model("drgan_tpami_96").discriminate(tf.zeros([2, 16, 16, 3]))["identity"].shape == (2, 2)


def test_the_baseline_encoder_is_trained_on_real_images_only():
    model = tiny_model("drgan")
    batch = first_batch(model)
    fake = model.generate(batch)
    terms, others = (model.generator_loss(batch, {**fake, "image": images}) for images in (fake["image"], -fake["image"]))
    assert terms["g_identity"] != others["g_identity"]
    assert all(terms[name] == others[name] for name in ("g_baseline_identity", "g_baseline_pose"))
    assert not any("baseline" in name for name in model.discriminator_loss(batch, fake))
    ema, live = (network.get_layer("baseline_encoder") for network in (model.ema_generator, model.generator))
    assert ema.count_params() == live.count_params()  # its EMA is scored, as the encoder's is


# -- the generator -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, images", [("drgan_96", 1), ("drgan_multi_96", 3)])
def test_fakes_have_a_random_pose_and_the_inputs_identity(name, images):
    model = tiny_model(name, images_per_set=images, batch_size=8)
    batch = first_batch(model, 8)
    fake = model.generate(batch)
    count = 8 * images + 8 * (images > 1)
    assert fake["image"].shape == (count, 16, 16, 3)
    labels = np.concatenate([np.repeat(batch["label"], images), *([batch["label"]] if images > 1 else [])])
    np.testing.assert_array_equal(fake["label"], labels)
    assert len(np.unique(fake["pose"])) > 2 and set(to_numpy(fake["pose"])) <= set(range(9))
    if images > 1:  # single images share the pose code of their fused set
        np.testing.assert_array_equal(
            tf.reshape(fake["pose"][: 8 * images], [8, images]), np.repeat(fake["pose"][8 * images :, None], images, 1)
        )
    assert (model.generate(batch)["pose"] != fake["pose"]).numpy().any()


def test_pose_and_noise_reach_the_image():
    model = tiny_model("drgan_96")
    for weight in model.ema_generator.weights:
        if weight.name == "kernel":
            weight.assign(6 * weight)  # 15 layers of N(0, 0.02) leave little without batch statistics
    image = tf.random.stateless_uniform([2, 16, 16, 3], [1, 2])[:1]
    rotations = [to_numpy(model.rotate(image, [pose])) for pose in (0, 8)]
    assert np.abs(rotations[0] - rotations[1]).max() > 1e-5
    inputs = {"image": image, "pose": tf.constant([0], tf.int64)}
    noisy, quiet = (model.ema_generator({**inputs, "latent": tf.fill([1, 8], value)}, training=False) for value in (1.0, 0.0))
    assert np.abs(noisy["image"] - quiet["image"]).max() > 1e-5
    np.testing.assert_allclose(quiet["image"], rotations[0], atol=1e-6)  # served without noise
    with pytest.raises(UserError, match="pose is out of range; available poses: 0 to 8"):
        model.rotate(image, [9])
