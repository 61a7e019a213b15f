"""The analyses on made-up models whose answer is known: each generates images by class out of real digits."""

import dataclasses

import numpy as np
import pytest
from made_up_models import (
    SHAPE,
    assert_drawn,
    assert_refused,
    assert_well_formed,
    collapsed_model,
    copying_model,
    image_model,
    linear_extractor,
)

from zoo import data
from zoo.errors import UserError
from zoo.metrics import Evaluation, analyses
from zoo.metrics.analyses import _discriminability, _neighbors


@pytest.fixture(scope="module")
def digits():
    return data.open_source("digits", image_shape=SHAPE)


@pytest.fixture(scope="module")
def extractor(digits):
    return linear_extractor(digits)


@pytest.fixture
def evaluation(digits, extractor):
    return Evaluation(digits, extractor, count=360)


# --- Discriminability


@pytest.mark.parametrize("wrong, expected", [(0.0, 0.93), (0.5, 0.5), (1.0, 0.0)])
def test_discriminability_is_the_class_accuracy(evaluation, digits, wrong, expected):
    result = analyses.discriminability(evaluation, copying_model(digits, wrong=wrong))
    assert result.resolutions == [16, 8, 4]
    assert result.generated.overall[0] == pytest.approx(expected, abs=0.08)
    assert list(result.generated.by_class) == list(digits.class_names)
    assert result.real.overall[0] > 0.85 and result.real.overall[0] > result.real.overall[2] and result.real.better_at_full > 0.5
    by_hand = np.mean([accuracies[0] > accuracies[2] for accuracies in result.generated.by_class.values()])
    assert result.generated.better_at_full == pytest.approx(by_hand)
    assert_well_formed(result.table())


def test_discriminability_of_given_samples(evaluation, digits):
    model = copying_model(digits)
    samples = evaluation.generate_samples(model)
    model.sample = None
    assert analyses.discriminability(evaluation, model, samples).generated.overall[0] > 0.85


@pytest.mark.parametrize(
    "size, expected", [((28, 28), [28, 14, 7]), ((128, 128), [128, 64, 32, 16]), ((64, 48), [48, 24, 12]), ((33, 33), [33, 16, 8])]
)
def test_resolutions(size, expected):
    assert [min(shape) for shape in _discriminability._shrunk_shapes(*size)] == expected


# --- Diversity


def test_diversity_of_real_images_is_theirs(evaluation, digits):
    result = analyses.diversity(evaluation, copying_model(digits))
    for name in digits.class_names:
        assert result.generated[name] == pytest.approx(result.real[name], abs=0.12)
    assert result.fraction_below_real >= 0.8 and result.scales == 1 and min(result.accuracy.values()) > 0.7
    assert_well_formed(result.table())


def test_one_image_per_class_has_no_diversity(evaluation, digits):
    result = analyses.diversity(evaluation, collapsed_model(digits))
    assert min(result.generated.values()) == pytest.approx(1.0)
    assert result.fraction_below_real == 0 and result.correlation is None
    assert_well_formed(result.table())


def test_correlation_of_accuracy_with_similarity(evaluation, digits):
    """Five classes are a single image of another class each: similar, and never recognized."""
    examples = digits.arrays("train")
    first, second = examples["label"] < 5, examples["label"] >= 5
    wrong = np.concatenate([examples["image"][examples["label"] == label][:1] for label in (1, 2, 3, 4, 0)])
    images, labels = np.concatenate([wrong, examples["image"][second]]), np.concatenate([np.arange(5), examples["label"][second]])
    result = analyses.diversity(evaluation, image_model(images, labels))
    assert first.any() and result.correlation < -0.8 and result.fraction_below_real == pytest.approx(0.5, abs=0.11)


def test_diversity_without_a_classifier(digits, extractor):
    features_only = dataclasses.replace(extractor, classes=None)
    result = analyses.diversity(Evaluation(digits, features_only, count=100), copying_model(digits))
    assert result.accuracy is None and result.correlation is None
    assert_well_formed(result.table())


# --- Neighbors


def with_splits(source, **rows):
    """The source with other splits, each some rows of its train split."""
    examples = source.arrays("train")
    arrays = {name: {key: value[part] for key, value in examples.items()} for name, part in rows.items()}
    sizes = {name: len(part["label"]) for name, part in arrays.items()}
    return dataclasses.replace(source, sizes=sizes, load=lambda split: arrays[split])


def test_copies_are_detected(digits, extractor):
    parts = with_splits(digits, train=slice(500), test=slice(500, 1000), others=slice(1000, None))
    evaluation = Evaluation(parts, extractor, count=400)
    copies = analyses.neighbors(evaluation, copying_model(parts), count=4, nearest=3)
    fresh = analyses.neighbors(evaluation, copying_model(parts, "others"), count=4, nearest=3)
    assert copies.memorization == 0 and copies.searched == copies.train_images == 500
    assert fresh.memorization == pytest.approx(1, abs=0.15)
    assert copies.grid.dtype == np.uint8 and copies.grid.shape == (4 * 18 - 2, 7 * 18 + 2 * 8 - 2, 1)
    for row in range(4):
        strip = copies.grid[18 * row : 18 * row + 16]
        sample, by_features, by_pixels = strip[:, :16], strip[:, 26:42], strip[:, 88:104]
        np.testing.assert_array_equal(sample, by_features)
        np.testing.assert_array_equal(sample, by_pixels)
    assert_well_formed(copies.table())


def test_neighbors_without_unseen_images_and_without_classes(digits, extractor):
    evaluation = Evaluation(digits, extractor, 50, "train")
    evaluation.train_images = evaluation._load("train", 40)  # as if not all fitted in memory
    result = analyses.neighbors(evaluation, copying_model(digits, conditions=()), count=3)
    assert result.memorization is None and (result.searched, result.train_images) == (40, 1437)
    assert_well_formed(result.table())


def test_nearest_are_in_order():
    references = np.array([[0, 0], [5, 5], [1, 0], [9, 9]])
    assert _neighbors._nearest_indices(np.array([[1, 1], [8, 8]]), references, 3).tolist() == [[2, 0, 1], [3, 1, 2]]


# --- Plots


def test_plots_are_drawn(evaluation, digits, tmp_path):
    model = copying_model(digits, wrong=0.3)
    samples = evaluation.generate_samples(model)
    results = [
        analyses.discriminability(evaluation, model, samples),
        analyses.diversity(evaluation, model, samples),
        analyses.neighbors(evaluation, model, samples, 3),
    ]
    for i, result in enumerate(results):
        result.plot(tmp_path / "plots" / f"{i}.png")
        assert_drawn(tmp_path / "plots" / f"{i}.png")
    with pytest.raises(UserError, match="cannot be written"):
        results[0].plot(tmp_path / "plot.nothing")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        results[0].plot(tmp_path / "file" / "plot.png")


# --- Errors


ALL = {
    "discriminability": analyses.discriminability,
    "diversity": analyses.diversity,
    "GAN-train": analyses.gan_train_test,
    "augmentation": analyses.augmentation,
}


@pytest.mark.parametrize("name", ALL)
def test_errors_of_model_and_data(name, evaluation, digits, extractor):
    model = copying_model(digits)
    assert_refused(f"{name} compares classes, and this model has none", ALL[name], evaluation, copying_model(digits, conditions=()))
    bare = dataclasses.replace(digits, class_names=None)
    assert_refused(f"{name} compares classes, and digits has no labels", ALL[name], Evaluation(bare, extractor), model)
    model.config.image_shape = (28, 28, 1)
    assert_refused("the model generates images of", ALL[name], evaluation, model)
    model.config.num_classes = 7
    assert_refused("the model generates 7 classes of images, and digits has 10", ALL[name], evaluation, model)


def test_errors_of_few_images(digits, extractor):
    evaluation, model = Evaluation(digits, extractor, count=15), copying_model(digits)
    match = r"diversity needs at least 2 images of each of the 10 classes, and '\d' has [01] of the 15"
    assert_refused(match, analyses.diversity, evaluation, model)
    small = Evaluation(digits.subset(4), extractor, count=15)
    assert_refused("the nearest 5 training images are requested, but only 4 are available", analyses.neighbors, small, model)


def test_an_extractor_that_does_not_classify(digits, extractor):
    evaluation = Evaluation(digits, dataclasses.replace(extractor, classes=None), count=50)
    match = r"needs a classifier of the 10 classes of digits \(feature extractor: linear\)"
    assert_refused(match, analyses.discriminability, evaluation, copying_model(digits))
