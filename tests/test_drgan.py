"""DR-GAN: the layer table, fusion, both forms' losses by hand, who is trained on and who is tested, identification by hand."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import number, settings, source, tiny

import zoo
from zoo import data
from zoo.errors import UserError
from zoo.models import drgan

FORMS = {"cvpr": "drgan_96", "tpami": "drgan_tpami_96", "multi": "drgan_multi_96"}
IDENTITIES, POSES, NOISE = 200, 9, 50  # Multi-PIE


def built(name, **overrides):
    """A preset's configuration as of Multi-PIE: 200 identities to train on, 137 to test on."""
    config = zoo.registry.entry(name).configured(num_classes=337, held_out=137, num_poses=POSES, **overrides)
    return config.resolved()


def counted(network):
    return sum(weight.shape.num_elements() for weight in network.trainable_weights)


def batch_of(game, size=4):
    return next(iter(source(game).batches(size)))


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
    assert counted(drgan.build_encoder(built("drgan_96"))) == convolutions(ENCODER) == 2_857_824 + 2 * 2080
    with_confidence = convolutions([*ENCODER[:-1], (160, 321)])
    assert counted(drgan.build_encoder(built("drgan_multi_96"))) == with_confidence == 2_861_984 + 9 * 160 + 2


def test_the_decoder_is_its_table():
    dense = (320 + POSES + NOISE + 1) * 6 * 6 * 320
    assert counted(drgan.build_decoder(built("drgan_96"))) == dense + convolutions(DECODER) + 9 * 32 * 3 + 3


def test_both_discriminators_are_the_table():
    trunk = convolutions(ENCODER)
    assert counted(drgan.build_discriminator(built("drgan_96"))) == trunk + 321 * (IDENTITIES + 1 + POSES)
    assert counted(drgan.build_discriminator(built("drgan_tpami_96"))) == trunk + 321 * (IDENTITIES + POSES + 1)
    beside = counted(drgan.build_generator(built("drgan_96", baseline=True))) - counted(drgan.build_generator(built("drgan_96")))
    assert beside == trunk + 321 * (IDENTITIES + POSES)


def kinds(network, *types):
    return [layer for layer in network.layers if type(layer) in types]


def test_sizes_and_strides_are_the_table():
    config = built("drgan_96")
    encoder, decoder = drgan.build_encoder(config), drgan.build_decoder(config)
    down = kinds(encoder, keras.layers.Conv2D)
    assert [layer.output.shape[1] for layer in down] == [96, 96, 48, 48, 48, 24, 24, 24, 12, 12, 12, 6, 6, 6]
    assert [layer.filters for layer in down] == [32, 64, 64, 64, 128, 128, 96, 192, 192, 128, 256, 256, 160, 320]
    up = kinds(decoder, keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    assert [layer.output.shape[1] for layer in up] == [6, 6, 12, 12, 12, 24, 24, 24, 48, 48, 48, 96, 96, 96]
    assert [layer.filters for layer in up] == [160, 256, 256, 128, 192, 192, 96, 128, 128, 64, 64, 64, 32, 3]
    assert all(layer.kernel_size == (3, 3) for layer in [*down, *up])
    assert len(kinds(encoder, keras.layers.ELU)) == 14 and len(kinds(decoder, keras.layers.ELU)) == 13
    assert encoder.output["features"].shape == (None, 320) and decoder.output.shape == (None, 96, 96, 3)


@pytest.mark.parametrize("side, smallest", [(16, 4), (28, 4), (32, 4), (64, 4), (100, 7), (256, 16)])
def test_small_images_take_the_last_widths(side, smallest):
    config = dataclasses.replace(built("drgan_96"), image_shape=(side, side + 4, 1))
    sizes, widths = drgan.plan(config)
    assert sizes[0][0] == smallest and sizes[-1] == (side, side + 4)
    assert len(widths) == 3 * len(sizes) - 1 and widths == config.widths[-len(widths) :]


# -- fusion ------------------------------------------------------------------------------------------------------------


def test_fusion_is_the_weighted_mean():
    features, confidence = np.float32([[[1, 10], [4, 40]]]), np.float32([[0.1, 0.3]])
    np.testing.assert_allclose(drgan.fused(features, confidence), [[(0.1 + 1.2) / 0.4, (1 + 12) / 0.4]], rtol=1e-6)
    np.testing.assert_allclose(drgan.fused(features, np.float32([[0.2, 0.2]])), [[2.5, 25]], rtol=1e-6)
    np.testing.assert_allclose(drgan.fused(features, np.float32([[0.01, 0]])), [[1, 10]], rtol=1e-6)


def test_a_random_choice_of_images_is_kept_and_never_none():
    kept = drgan.chosen((600, 3), [1, 2], [3, 4]).numpy()
    assert set(np.unique(kept)) == {0, 1}
    counts = np.bincount(kept.sum(1).astype(int), minlength=4)
    assert counts[0] == 0 and (counts[1:] > 150).all()  # a third each
    assert np.abs(kept.mean(0) - 2 / 3).max() < 0.07  # no place is dearer than another


def test_fused_features_are_served_as_they_are_trained():
    game = tiny("drgan_multi_96", images=3)
    images = tf.random.stateless_uniform([2, 3, 16, 16, 3], [1, 2])
    fuse, features = (game.exports()[name][0] for name in ("fuse", "features"))
    single = np.stack([features(images[:, i])["features"] for i in range(3)], 1)
    encoder = game.averaged.get_layer("encoder")
    confidence = np.stack([encoder({"image": images[:, i] * 2 - 1})["confidence"] for i in range(3)], 1)
    assert ((confidence > 0) & (confidence < 1)).all() and np.ptp(confidence) > 0
    by_hand = (single * confidence[..., None]).sum(1) / confidence.sum(1)[:, None]
    np.testing.assert_allclose(fuse(images)["features"], by_hand, atol=1e-5)
    np.testing.assert_allclose(fuse(images[:, :1])["features"], single[:, 0], atol=1e-5)  # one image: its own features
    assert fuse(images[:1, :2])["features"].shape == (1, 8)


def test_without_confidences_all_images_weigh_the_same():
    game = tiny("drgan_96")
    images = tf.random.stateless_uniform([2, 3, 16, 16, 3], [1, 2])
    fuse, features = (game.exports()[name][0] for name in ("fuse", "features"))
    np.testing.assert_allclose(fuse(images)["features"], np.mean([features(images[:, i])["features"] for i in range(3)], 0), atol=1e-5)


# -- losses ------------------------------------------------------------------------------------------------------------


def nats(logits, label):
    logits = np.float64(logits)
    return np.log(np.exp(logits).sum()) - logits[label]


@dataclasses.dataclass
class Told:
    """A discriminator that says what it is told, one answer after another."""

    answers: list

    def __call__(self, images, batch=None):
        return {name: tf.constant(value, tf.float32) for name, value in self.answers.pop(0).items()}


def told(name, *answers, **overrides):
    game = tiny(name, **overrides)
    game.judge = Told(list(answers))
    game.ledger.note = lambda values: None
    return game


REAL = {"identity": [[2.0, 0.5, -1.0]], "pose": [[0.0, 1.0, 3.0]], "realness": [0.7]}
FAKE = {"identity": [[0.3, 1.5, 0.2]], "pose": [[1.0, -1.0, 0.5]], "realness": [-0.4]}
BATCH = {"image": np.zeros((1, 16, 16, 3), np.float32), "label": np.int64([0]), "pose": np.int64([2])}
MADE = {"image": tf.zeros([1, 16, 16, 3]), "label": tf.constant([0], tf.int64), "pose": tf.constant([1], tf.int64)}


def values(terms):
    return {name: pytest.approx(float(value), rel=1e-5) for name, value in terms.items()}


def test_losses_of_the_conference():
    game = told("drgan_96", REAL, FAKE, FAKE)
    assert game.config.identities == 2
    terms = values(game.discriminator_loss(BATCH, MADE))
    assert terms == {"d_identity": nats([2, 0.5, -1], 0), "d_pose": nats([0, 1, 3], 2), "d_fake": nats([0.3, 1.5, 0.2], 2)}
    terms = values(game.generator_loss(BATCH, MADE))  # the identity of the input, the pose of the code
    assert terms == {"g_identity": nats([0.3, 1.5, 0.2], 0), "g_pose": nats([1, -1, 0.5], 1)}


def test_losses_of_the_journal():
    real, fake = ({**said, "identity": [row[:2] for row in said["identity"]]} for said in (REAL, FAKE))
    game = told("drgan_tpami_96", real, fake, fake)
    terms = values(game.discriminator_loss(BATCH, MADE))
    adversarial = np.log1p(np.exp(-0.7)) + np.log1p(np.exp(-0.4))  # -log D(0.7) - log (1 - D(-0.4))
    assert terms == {"d_identity": nats([2, 0.5], 0), "d_pose": nats([0, 1, 3], 2), "d_adversarial": adversarial}
    terms = values(game.generator_loss(BATCH, MADE))
    assert terms == {"g_identity": nats([0.3, 1.5], 0), "g_pose": nats([1, -1, 0.5], 1), "g_adversarial": np.log1p(np.exp(0.4))}


def test_losses_of_several_images_are_those_of_each_and_of_the_fused():
    """2 (n + 1) terms: n = 2 single images, then the fused one."""
    identity, pose = [[1.0, 2, 3], [0, 1, 0], [2, 0, 1]], [[0.0, 1], [2, 0], [1, 1]]
    game = told("drgan_multi_96", {"identity": identity, "pose": pose}, images=2)
    fake = {"image": tf.zeros([3, 16, 16, 3]), "label": tf.constant([1, 1, 1], tf.int64), "pose": tf.constant([0, 0, 0], tf.int64)}
    terms = values(game.generator_loss({}, fake))
    assert terms == {
        "g_identity": nats(identity[2], 1),
        "g_pose": nats(pose[2], 0),
        "g_single_identity": nats(identity[0], 1) + nats(identity[1], 1),
        "g_single_pose": nats(pose[0], 0) + nats(pose[1], 0),
    }


def test_realness_is_identities_against_the_fake_class():
    game = tiny("drgan_96")
    said = game.discriminate(tf.random.stateless_uniform([2, 16, 16, 3], [1, 2]))
    identity = number(said["identity"])
    np.testing.assert_allclose(said["realness"], np.log(np.exp(identity[:, :-1]).sum(1)) - identity[:, -1], atol=1e-5)
    assert identity.shape == (2, game.config.identities + 1)
    assert tiny("drgan_tpami_96").discriminate(tf.zeros([2, 16, 16, 3]))["identity"].shape == (2, 2)


def test_the_encoder_beside_sees_real_images_alone():
    game = tiny("drgan")
    batch = batch_of(game)
    fake = game.generate(batch)
    terms, others = (game.generator_loss(batch, {**fake, "image": images}) for images in (fake["image"], -fake["image"]))
    assert terms["g_identity"] != others["g_identity"]
    assert all(terms[name] == others[name] for name in ("g_alone_identity", "g_alone_pose"))
    assert not any("alone" in name for name in game.discriminator_loss(batch, fake))
    assert game.averaged.get_layer("alone").count_params() == game.generator.get_layer("alone").count_params()  # scored as the other is


# -- the generator -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, images", [("drgan_96", 1), ("drgan_multi_96", 3)])
def test_fakes_have_a_random_pose_and_the_inputs_identity(name, images):
    game = tiny(name, images=images, batch_size=8)
    batch = batch_of(game, 8)
    fake = game.generate(batch)
    count = 8 * images + 8 * (images > 1)
    assert fake["image"].shape == (count, 16, 16, 3)
    labels = np.concatenate([np.repeat(batch["label"], images), *([batch["label"]] if images > 1 else [])])
    np.testing.assert_array_equal(fake["label"], labels)
    assert len(np.unique(fake["pose"])) > 2 and set(number(fake["pose"])) <= set(range(9))
    if images > 1:  # the single ones have the code of the fused one
        np.testing.assert_array_equal(
            tf.reshape(fake["pose"][: 8 * images], [8, images]), np.repeat(fake["pose"][8 * images :, None], images, 1)
        )
    assert (game.generate(batch)["pose"] != fake["pose"]).numpy().any()


def test_pose_and_noise_reach_the_image():
    game = tiny("drgan_96")
    for weight in game.averaged.weights:
        if weight.name == "kernel":
            weight.assign(6 * weight)  # of N(0, 0.02) not much is left after 15 layers, where no batch is normalised
    image = tf.random.stateless_uniform([2, 16, 16, 3], [1, 2])[:1]
    made = [number(game.rotate(image, [pose])) for pose in (0, 8)]
    assert np.abs(made[0] - made[1]).max() > 1e-5
    given = {"image": image, "pose": tf.constant([0], tf.int64)}
    noisy, quiet = (game.averaged({**given, "latent": tf.fill([1, 8], value)}, training=False) for value in (1.0, 0.0))
    assert np.abs(noisy["image"] - quiet["image"]).max() > 1e-5
    np.testing.assert_allclose(quiet["image"], made[0], atol=1e-6)  # served without noise
    with pytest.raises(UserError, match="poses 0 to 8"):
        game.rotate(image, [9])


# -- the data ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return data.open("turned_digits", needs=("image", "label", "pose"))


def test_nobody_is_trained_on_and_tested_on(digits):
    game = zoo.create("drgan", num_classes=200, widths=(4, 4, 4, 4, 4))
    assert game.config.held_out == 60 and game.config.identities == 140
    seen = game.prepare(game.config, digits)
    train, test = (seen.arrays(split) for split in ("train", "test"))
    assert set(train["label"]) == set(range(140)) and set(test["label"]) == set(range(140, 200))
    assert not {image.tobytes() for image in train["image"]} & {image.tobytes() for image in test["image"]}
    assert len(train["label"]) == 140 * 9 and len(test["label"]) == 60 * 9
    assert dataclasses.replace(game.config, num_classes=67, held_out=None).resolved().held_out == 20


def test_several_images_are_of_one_identity(digits):
    held = digits.split_by_label(60, 0)
    seen = held.together(4)
    batch = next(iter(seen.batches(16)))
    assert batch["image"].shape == (16, 4, 32, 32, 1) and batch["pose"].shape == (16, 4) and batch["label"].shape == (16,)
    known = held.arrays()
    pixels = np.uint8(np.rint((number(batch["image"]) + 1) * 127.5))
    for images, label, poses in zip(pixels, number(batch["label"]), number(batch["pose"])):
        assert len(set(poses)) == 4  # four different ones
        for image, pose in zip(images, poses):
            (row,) = np.flatnonzero((known["label"] == label) & (known["pose"] == pose))
            np.testing.assert_array_equal(image, known["image"][row])
    np.testing.assert_array_equal(batch["pose"], next(iter(seen.batches(16)))["pose"])
    later = next(iter(seen.batches(16, start=held.sizes["train"] // 16)))  # the next epoch
    assert (np.sort(batch["pose"]) != np.sort(later["pose"])).any()
    assert set(number(next(iter(seen.batches(16, split="test")))["label"])) <= set(range(140, 200))
    few = next(iter(held.together(12).batches(2)))  # there are nine of each
    assert all(len(set(poses)) == 9 for poses in number(few["pose"]))


def test_several_images_are_each_cut_in_their_own_way(digits):
    held = digits.split_by_label(60, 0)
    plain, cut = (next(iter(one.together(2).batches(4))) for one in (held, held.jittered(6, flip=False)))
    np.testing.assert_array_equal(plain["pose"], cut["pose"])
    assert cut["image"].shape == plain["image"].shape and np.abs(cut["image"] - plain["image"]).max() > 0.1


def test_what_cannot_be_held_out_is_said():
    for count in (1, 199, 400):
        with pytest.raises(UserError, match=f"--held-out {count}: of 200 identities, 2 to 198"):
            zoo.create("drgan", num_classes=200, held_out=count)
    with pytest.raises(UserError, match="--widths has 6 numbers"):
        zoo.create("drgan", widths=(8,) * 6)


# -- identification ----------------------------------------------------------------------------------------------------


def test_identification_by_hand():
    label = np.array([7, 7, 9, 9, 9, 7])
    pose = np.array([3, 1, 0, 4, 2, 8])  # the gallery is row 1 (identity 7, pose 1) and row 2 (identity 9, pose 0)
    vectors = np.float32([[1, 1], [0, 0], [10, 0], [4, 0], [9, 3], [7, 0]])
    right, apart = drgan.identified(vectors, label, pose)  # probes: rows 0, 3, 4, 5
    np.testing.assert_array_equal(right, [True, False, True, False])
    np.testing.assert_array_equal(apart, [2, 4, 2, 7])


def test_scores_by_hand():
    """Features and pixels that disagree: the second channel of the features is the identity, pixels tell the pose."""
    game = tiny("drgan_96")
    label, pose = np.repeat([2, 3], 9), np.tile(np.arange(9), 2)
    images = np.zeros((18, 16, 16, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = pose * 20, (label - 2) * 10
    images[(label == 3) & (pose == 8), 0, 0, 1] = 0  # one that cannot be known

    def angle(image):
        identity = image[:, 0, 0, 1] > -0.99
        return tf.stack([tf.where(identity, 1.0, 3.0), tf.where(identity, 3.0, 1.0)], 1) * (image[:, 0, 0, :1] + 1.1)

    game.features = angle
    found = game.scores({"image": images, "label": label, "pose": pose}, None)
    assert found["rank1"] == 15 / 16 and found["rank1_pixels"] == 15 / 16
    assert [found[f"rank1_apart_{percent}"] for percent in (25, 50, 75, 100)] == [1, 1, 1, 3 / 4]
    assert [found[f"rank1_pixels_apart_{percent}"] for percent in (25, 50, 75, 100)] == [1, 1, 1, 3 / 4]
    assert set(found) <= set(game.measures) and not any("encoder" in name for name in found)
    order = np.random.RandomState(0).permutation(18)
    again = game.scores({"image": images[order], "label": label[order], "pose": pose[order]}, None)
    assert again == found
    assert game.scores({"image": images[:1], "label": label[:1], "pose": pose[:1]}, None) == {}
    game.config = dataclasses.replace(game.config, circular=True)  # poses 1 and 8 are one apart, 2 and 7 two
    turned = game.scores({"image": images, "label": label, "pose": pose}, None)
    assert [turned[f"rank1_apart_{percent}"] for percent in (25, 50, 75, 100)] == [3 / 4, 1, 1, 1] and turned["rank1"] == found["rank1"]


def test_the_encoder_beside_is_scored():
    game = tiny("drgan")
    held = source(game).some("test", 40)
    found = game.scores(held, None)
    assert set(found) == set(game.measures) and all(0 <= value <= 1 for value in found.values())


def test_the_preview_shows_an_identity_a_row():
    for name, images in (("drgan", 1), ("drgan_multi_96", 3)):
        game = tiny(name, **({"images": images} if images > 1 else {}))
        batch = next(iter(source(game).batches(16, split="test")))
        made, columns = game.preview(batch)
        assert columns == images + 9 and len(made) == 2 * columns
        first = [np.flatnonzero(number(batch["label"]) == label)[0] for label in (2, 3)]
        given = tf.reshape(tf.gather(batch["image"], first), [2, images, *game.config.image_shape])
        np.testing.assert_allclose(tf.reshape(made, [2, columns, *game.config.image_shape])[:, :images], (given + 1) / 2, atol=1e-6)


def test_settings_of_the_tests_have_identities_on_both_sides():
    assert all(settings(name)["num_classes"] == 4 for name in ("drgan", *FORMS.values()))


def test_a_picture_is_turned_from_the_command_line(inside, monkeypatch):
    from PIL import Image

    from zoo import __main__ as tool

    game = tiny("drgan")
    for i, weight in enumerate(game.averaged.weights):
        if weight.path.endswith("kernel"):  # images that have something on them
            weight.assign(tf.random.stateless_normal(weight.shape, [i, 1], stddev=0.2))
    monkeypatch.setattr(zoo, "load", lambda run, checkpoint: game)
    side, poses, gap = 16, game.config.num_poses, 2
    record = {"model": "drgan", "config": {}, "data": {}, "precision": "float32", "replicas": 1, "xla": False}
    Path("run").mkdir()
    Path("run/config.json").write_text(json.dumps(record))
    picture = np.random.RandomState(0).randint(0, 255, (side, side)).astype(np.uint8)
    Image.fromarray(picture).save("in.png")
    assert tool.main(["translate", "run", "in.png", "all.png"]) == 0
    assert tool.main(["translate", "run", "in.png", "two.png", "--pose", "2", "0"]) == 0
    assert tool.main(["translate", "run", "in.png", "many.png", "--pose", *"0" * 13]) == 0
    assert Image.open("many.png").size == (12 * (side + gap) - gap, 2 * side + gap)
    turns, two = np.asarray(Image.open("all.png")), np.asarray(Image.open("two.png"))
    assert turns.shape == (side, poses * (side + gap) - gap) and two.shape == (side, 2 * side + gap)
    assert np.abs(two[:, :side] - two[:, side + gap :].astype(int)).max() > 20
    made = number(game.rotate(tf.constant(picture[None, ..., None] / 127.5 - 1, tf.float32), [2]))[0, ..., 0]
    np.testing.assert_allclose(two[:, :side], np.rint(np.clip(made / 2 + 0.5, 0, 1) * 255), atol=1)
    np.testing.assert_allclose(two[:, side + gap :], turns[:, :side], atol=1)
    Path("run/config.json").write_text(json.dumps({**record, "data": {"pose_names": ["-60", "left", "0", *"abcdef"[: poses - 3]]}}))
    assert tool.main(["translate", "run", "in.png", "named.png", "--pose", "0", "-60"]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open("named.png")), two)
    for words, said in (
        (["--pose", "99"], "--pose 99: this run's poses are -60, left, 0"),
        (["--by", "to_x"], "this run's model translates by rotate"),
        (["--seed", "1"], "--seed: rotate of this run's model takes no seed"),
    ):
        with pytest.raises(UserError, match=said):
            tool.main(["translate", "run", "in.png", "out.png", *words])
    with pytest.raises(UserError, match=r"other images: serve\(NAME, ...\), with one of serving_default, rotate"):
        game.sample([1])
