"""The analyses on made-up models whose answer is known: each makes images by class out of real digits."""

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from zoo import data
from zoo.errors import UserError
from zoo.metrics import Evaluation, analyses, extractors

SHAPE = (16, 16, 1)


@pytest.fixture(scope="module")
def digits():
    return data.open("digits", image_shape=SHAPE)


def linear(source):
    """A linear classifier of the source's classes, as an extractor."""
    drawn = source.arrays("train")
    fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(flat(drawn["image"]), drawn["label"])
    weights, bias = tf.constant(fitted.coef_.T, tf.float32), tf.constant(fitted.intercept_, tf.float32)

    def run(images):
        features = tf.reshape(images, [len(images), -1])
        return {"features": features, "probabilities": tf.nn.softmax(features @ weights + bias)}

    return extractors.Extractor("linear", "0", "linear", source.image_shape, "none", run, source.num_classes)


def flat(images):
    return images.reshape(len(images), -1) / 255


@pytest.fixture(scope="module")
def linear_digits(digits):
    return linear(digits)


@pytest.fixture
def evaluation(digits, linear_digits):
    return Evaluation(digits, linear_digits, count=360)


def pretender(images, labels, wrong=0.0, conditions=("label",)):
    """A model that returns an image of the class that is asked for (another class's, in a share of the cases), chosen by the seed."""
    rows = tf.ragged.constant([np.flatnonzero(labels == label) for label in range(labels.max() + 1)], row_splits_dtype=tf.int64)
    images, classes = tf.constant(images), labels.max() + 1

    def sample(seed, live=False, **conditions):
        uniform = tf.map_fn(lambda s: tf.random.stateless_uniform([2], [s, 7]), seed, fn_output_signature=tf.float32)
        label = conditions.get("label", seed % classes)
        label = tf.where(uniform[:, 0] < wrong, (label + 1) % classes, label)
        chosen = tf.cast(uniform[:, 1] * tf.cast(tf.gather(rows.row_lengths(), label), tf.float32), tf.int64)
        return tf.image.convert_image_dtype(tf.gather(images, tf.gather_nd(rows, tf.stack([label, chosen], 1))), tf.float32)

    config = types.SimpleNamespace(image_shape=images.shape[1:], num_classes=int(classes))
    return types.SimpleNamespace(sample=sample, conditions=list(conditions), config=config)


def copier(source, split="train", **kwargs):
    drawn = source.arrays(split)
    return pretender(drawn["image"], drawn["label"], **kwargs)


def collapsed(source):
    """One picture a class."""
    drawn = source.arrays("train")
    firsts = [np.flatnonzero(drawn["label"] == label)[0] for label in range(source.num_classes)]
    return pretender(drawn["image"][firsts], drawn["label"][firsts])


def noise(source):
    draw = np.random.RandomState(0)
    return pretender(draw.randint(0, 256, (500, *source.image_shape)).astype(np.uint8), np.arange(500) % source.num_classes)


def drawn_on(path):
    """Whether a picture has more than a background."""
    pixels = np.asarray(Image.open(path).convert("L"))
    return pixels.shape[0] > 100 and np.mean(pixels < 250) > 0.005 and pixels.std() > 5


def well_formed(table):
    title, header, rows = table
    assert title and "\n" not in title and rows
    assert all(len(row) == len(header) and all(isinstance(cell, str) for cell in row) for row in rows)


# --- Discriminability


@pytest.mark.parametrize("wrong, expected", [(0.0, 0.93), (0.5, 0.5), (1.0, 0.0)])
def test_discriminability_is_the_share_of_right_classes(evaluation, digits, wrong, expected):
    found = analyses.discriminability(evaluation, copier(digits, wrong=wrong))
    assert found.resolutions == [16, 8, 4]
    assert found.generated.whole[0] == pytest.approx(expected, abs=0.08)
    assert list(found.generated.by_class) == list(digits.class_names)
    assert found.real.whole[0] > 0.85 and found.real.whole[0] > found.real.whole[2] and found.real.finer > 0.5
    by_hand = np.mean([shares[0] > shares[2] for shares in found.generated.by_class.values()])
    assert found.generated.finer == pytest.approx(by_hand)
    well_formed(found.table())


def test_discriminability_of_samples_already_made(evaluation, digits):
    game = copier(digits)
    fake = evaluation.samples(game)
    game.sample = None
    assert analyses.discriminability(evaluation, game, fake).generated.whole[0] > 0.85


@pytest.mark.parametrize(
    "size, expected", [((28, 28), [28, 14, 7]), ((128, 128), [128, 64, 32, 16]), ((64, 48), [48, 24, 12]), ((33, 33), [33, 16, 8])]
)
def test_resolutions(size, expected):
    assert [min(shape) for shape in analyses._shapes(*size)] == expected


# --- Diversity


def test_diversity_of_real_images_is_theirs(evaluation, digits):
    found = analyses.diversity(evaluation, copier(digits))
    for name in digits.class_names:
        assert found.generated[name] == pytest.approx(found.real[name], abs=0.12)
    assert found.share >= 0.8 and found.scales == 1 and min(found.accuracy.values()) > 0.7
    well_formed(found.table())


def test_one_picture_a_class_is_no_diversity(evaluation, digits):
    found = analyses.diversity(evaluation, collapsed(digits))
    assert min(found.generated.values()) == pytest.approx(1.0)
    assert found.share == 0 and found.correlation is None
    well_formed(found.table())


def test_correlation_of_accuracy_with_similarity(evaluation, digits):
    """Five classes are one picture of another class each: alike, and never taken for theirs."""
    drawn = digits.arrays("train")
    first, second = drawn["label"] < 5, drawn["label"] >= 5
    wrong = np.concatenate([drawn["image"][drawn["label"] == label][:1] for label in (1, 2, 3, 4, 0)])
    images, labels = np.concatenate([wrong, drawn["image"][second]]), np.concatenate([np.arange(5), drawn["label"][second]])
    found = analyses.diversity(evaluation, pretender(images, labels))
    assert first.any() and found.correlation < -0.8 and found.share == pytest.approx(0.5, abs=0.11)


def test_diversity_without_a_classifier(digits, linear_digits):
    features_only = dataclasses.replace(linear_digits, classes=None)
    found = analyses.diversity(Evaluation(digits, features_only, count=100), copier(digits))
    assert found.accuracy is None and found.correlation is None
    well_formed(found.table())


# --- Neighbours


def split(source, **rows):
    """The source with other splits, each some rows of its train split."""
    drawn = source.arrays("train")
    arrays = {name: {key: value[part] for key, value in drawn.items()} for name, part in rows.items()}
    sizes = {name: len(part["label"]) for name, part in arrays.items()}
    return dataclasses.replace(source, sizes=sizes, examples=lambda s: tf.data.Dataset.from_tensor_slices(arrays[s]), _held={})


def test_copies_are_found(digits, linear_digits):
    parts = split(digits, train=slice(500), test=slice(500, 1000), others=slice(1000, None))
    evaluation = Evaluation(parts, linear_digits, count=400)
    copies = analyses.neighbours(evaluation, copier(parts), count=4, nearest=3)
    fresh = analyses.neighbours(evaluation, copier(parts, "others"), count=4, nearest=3)
    assert copies.memorisation == 0 and copies.searched == copies.seen == 500
    assert fresh.memorisation == pytest.approx(1, abs=0.15)
    assert copies.grid.dtype == np.uint8 and copies.grid.shape == (4 * 18 - 2, 7 * 18 + 2 * 8 - 2, 1)
    for row in range(4):
        strip = copies.grid[18 * row : 18 * row + 16]
        sample, by_features, by_pixels = strip[:, :16], strip[:, 26:42], strip[:, 88:104]
        np.testing.assert_array_equal(sample, by_features)
        np.testing.assert_array_equal(sample, by_pixels)
    well_formed(copies.table())


def test_neighbours_where_all_was_seen_and_without_classes(digits, linear_digits):
    evaluation = Evaluation(digits, linear_digits, 50, "train")
    evaluation.seen = evaluation._taken("train", 0, 40)  # as where not all can be held
    found = analyses.neighbours(evaluation, copier(digits, conditions=()), count=3)
    assert found.memorisation is None and (found.searched, found.seen) == (40, 1437)
    well_formed(found.table())


def test_nearest_are_in_order():
    references = np.array([[0, 0], [5, 5], [1, 0], [9, 9]])
    assert analyses._nearest(np.array([[1, 1], [8, 8]]), references, 3).tolist() == [[2, 0, 1], [3, 1, 2]]


# --- Usefulness


@pytest.fixture
def trained(monkeypatch):
    """A linear classifier of every second pixel in the network's place, for it is learned at once; what it was given is kept."""
    given = []

    def train(images, labels, classes, seed, seen, epochs):
        given.append(types.SimpleNamespace(images=images, labels=labels, seed=seed, updates=seen / min(128, len(images)), epochs=epochs))
        fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5).fit(flat(images[:, ::2, ::2]), labels)
        return lambda images, training: {"probabilities": fitted.predict_proba(255 * flat(np.array(images)[:, ::2, ::2]))}

    monkeypatch.setattr(extractors, "train", train)
    return given


def test_gan_train_and_gan_test_with_the_network(evaluation, digits, monkeypatch):
    train, networks = extractors.train, []
    monkeypatch.setattr(extractors, "train", lambda *args, **kwargs: networks.append(train(*args, **kwargs)) or networks[-1])
    found = analyses.gan_train_test(evaluation, copier(digits, wrong=0.5), 2000, updates=100)
    assert found.real > 0.8 and found.images == 1437 and found.tested == 360
    assert found.gan_test == pytest.approx(0.5, abs=0.08)
    assert found.gan_train < found.real - 0.1
    assert [int(network.optimizer.iterations) for network in networks] == [found.updates] * 2
    well_formed(found.table())


def test_gan_train_sees_missing_images_and_gan_test_does_not(evaluation, digits, trained):
    whole, one = (analyses.gan_train_test(evaluation, game, count=500) for game in (copier(digits), collapsed(digits)))
    assert whole.gan_train == pytest.approx(whole.real, abs=0.06)
    assert one.gan_train < whole.gan_train - 0.15 and one.gan_test > 0.85
    assert {len(each.images) for each in trained} == {500} and {each.updates for each in trained} == {2000}
    np.testing.assert_array_equal(trained[0].labels, trained[1].labels)


def test_more_real_images_help_and_noise_does_not(evaluation, digits, trained):
    helped, hurt = (analyses.augmentation(evaluation, game, (100, 400), 1400, 2) for game in (copier(digits), noise(digits)))
    assert helped.rows[0]["gain"] > 0.02 and hurt.rows[0]["gain"] < 0.01
    assert [row["real"] for row in helped.rows] == [100, 400]
    assert helped.rows[0]["without"] == hurt.rows[0]["without"] < helped.rows[1]["without"]
    assert helped.rows[0]["gain"] == pytest.approx(helped.rows[0]["augmented"] - helped.rows[0]["without"])
    assert helped.saw == 1437 and "what the generator saw of the others" in helped.table()[0]
    well_formed(helped.table())
    assert len(trained) == 16 and {each.updates for each in trained} == {1000}  # as many with samples as without
    alone, mixed, again = trained[:3]
    assert alone.seed == mixed.seed != again.seed and not np.array_equal(alone.images, again.images)
    assert len(np.unique(flat(alone.images), axis=0)) <= 100 and len(mixed.images) == 2800
    assert np.bincount(alone.labels[:100]).tolist() == [10] * 10
    np.testing.assert_array_equal(mixed.images[:100], alone.images[:100])  # half of it is the same few real images


def test_augmentation_by_a_generator_that_saw_no_more(digits, linear_digits, trained):
    source = digits.few(100)
    found = analyses.augmentation(Evaluation(source, linear_digits), copier(source), (100,), 200, 1)
    assert found.saw == 100 and "others" not in found.table()[0] and found.rows[0]["gain_spread"] is None
    well_formed(found.table())
    drawn = digits.balanced(digits.some("train", analyses.POOL, 0)["label"], 100, 0)  # those that it draws first from all of them
    np.testing.assert_array_equal(source.arrays("train")["image"], digits.some("train", analyses.POOL, 0)["image"][drawn])


def test_sizes_are_those_that_the_data_have(evaluation, digits, trained):
    found = analyses.augmentation(evaluation, copier(digits), synthetic=100, repeats=1)
    assert [row["real"] for row in found.rows] == [100, 500]


def test_without_a_test_split_a_part_is_held_out(digits, linear_digits, trained):
    source = split(digits, train=slice(500))
    found = analyses.gan_train_test(Evaluation(source, linear_digits, 100), copier(source), 500)
    assert (found.images, found.tested) == (400, 100) and "which the model has seen" in found.table()[2][0][2]


def test_large_images_are_shrunk():
    assert analyses._small(np.zeros([3, 128, 256, 1], np.uint8)).shape == (3, 64, 128, 1)


# --- Plots


def test_plots_are_drawn(evaluation, digits, trained, tmp_path):
    game = copier(digits, wrong=0.3)
    fake = evaluation.samples(game)
    for i, found in enumerate(
        [
            analyses.discriminability(evaluation, game, fake),
            analyses.diversity(evaluation, game, fake),
            analyses.neighbours(evaluation, game, fake, 3),
            analyses.gan_train_test(evaluation, game, 200),
            analyses.augmentation(evaluation, game, (50, 100), 100, 2),
        ]
    ):
        path = tmp_path / "plots" / f"{i}.png"
        found.plot(path)
        assert drawn_on(path)
    with pytest.raises(UserError, match="cannot be written"):
        found.plot(tmp_path / "plot.nothing")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        found.plot(tmp_path / "file" / "plot.png")


# --- Errors


ALL = {
    "discriminability": analyses.discriminability,
    "diversity": analyses.diversity,
    "GAN-train": analyses.gan_train_test,
    "augmentation": analyses.augmentation,
}


def one_line(match, function, *args, **kwargs):
    with pytest.raises(UserError, match=match) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ALL)
def test_errors_of_model_and_data(name, evaluation, digits, linear_digits):
    game = copier(digits)
    one_line(f"{name} compares classes, and this model has none", ALL[name], evaluation, copier(digits, conditions=()))
    bare = dataclasses.replace(digits, class_names=None, _held={})
    one_line(f"{name} compares classes, and digits has no labels", ALL[name], Evaluation(bare, linear_digits), game)
    game.config.image_shape = (28, 28, 1)
    one_line("the model makes images of", ALL[name], evaluation, game)
    game.config.num_classes = 7
    one_line("the model makes 7 classes of images, and digits has 10", ALL[name], evaluation, game)


def test_errors_of_few_images(digits, linear_digits, trained):
    evaluation, game = Evaluation(digits, linear_digits, count=15), copier(digits)
    one_line(
        r"diversity needs at least 2 images of each of the 10 classes, and '\d' has [01] of the 15", analyses.diversity, evaluation, game
    )
    one_line("GAN-train needs at least 2 images of each", analyses.gan_train_test, evaluation, game, count=15)
    one_line("augmentation with 15 real images needs at least 2", analyses.augmentation, evaluation, game, (15,))
    one_line("2000 real images were asked for, and digits has 1437", analyses.augmentation, evaluation, game, (100, 2000))
    few = Evaluation(digits.few(4), linear_digits, count=15)
    one_line("the nearest 5 training images were asked for, and there are 4", analyses.neighbours, few, game)
    one_line("0 repeats: at least 1", analyses.augmentation, evaluation, game, repeats=0)
    assert not trained


def test_an_extractor_that_is_no_classifier(digits, linear_digits):
    evaluation = Evaluation(digits, dataclasses.replace(linear_digits, classes=None), count=50)
    one_line("needs a classifier of the 10 classes of digits, and linear is none", analyses.discriminability, evaluation, copier(digits))
