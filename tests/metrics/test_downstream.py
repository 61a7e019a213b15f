"""Downstream utility on made-up models whose answer is known: GAN-train, GAN-test, and augmentation."""

import dataclasses
import types

import numpy as np
import pytest
from made_up_models import (
    SHAPE,
    assert_drawn,
    assert_refused,
    assert_well_formed,
    collapsed_model,
    copying_model,
    flatten,
    linear_extractor,
    noise_model,
)
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from zoo import data
from zoo.metrics import Evaluation, analyses
from zoo.metrics.analyses import _downstream
from zoo.metrics.extractors import small_classifier


@pytest.fixture(scope="module")
def digits():
    return data.open_source("digits", image_shape=SHAPE)


@pytest.fixture(scope="module")
def extractor(digits):
    return linear_extractor(digits)


@pytest.fixture
def evaluation(digits, extractor):
    return Evaluation(digits, extractor, count=360)


@pytest.fixture
def trainings(monkeypatch):
    """A linear classifier of every second pixel in place of the network, which trains at once; lists the arguments of each training run."""
    calls = []

    def train_classifier(images, labels, classes, seed, max_images, epochs):
        updates = max_images / min(128, len(images))
        calls.append(types.SimpleNamespace(images=images, labels=labels, seed=seed, updates=updates, epochs=epochs))
        fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5).fit(flatten(images[:, ::2, ::2]), labels)
        return lambda images, training: {"probabilities": fitted.predict_proba(255 * flatten(np.array(images)[:, ::2, ::2]))}

    monkeypatch.setattr(small_classifier, "train_classifier", train_classifier)
    return calls


# --- GAN-train and GAN-test


def test_gan_train_and_gan_test_with_the_network(evaluation, digits, monkeypatch):
    train, networks = small_classifier.train_classifier, []
    monkeypatch.setattr(
        small_classifier, "train_classifier", lambda *args, **kwargs: networks.append(train(*args, **kwargs)) or networks[-1]
    )
    result = analyses.gan_train_test(evaluation, copying_model(digits, wrong=0.5), 2000, updates=100)
    assert result.real > 0.8 and result.images == 1437 and result.test_images == 360
    assert result.gan_test == pytest.approx(0.5, abs=0.08)
    assert result.gan_train < result.real - 0.1
    assert [int(network.optimizer.iterations) for network in networks] == [result.updates] * 2
    assert_well_formed(result.table())


def test_missing_images_lower_gan_train_but_not_gan_test(evaluation, digits, trainings):
    models = (copying_model(digits), collapsed_model(digits))
    complete, collapsed = (analyses.gan_train_test(evaluation, model, count=500) for model in models)
    assert complete.gan_train == pytest.approx(complete.real, abs=0.06)
    assert collapsed.gan_train < complete.gan_train - 0.15 and collapsed.gan_test > 0.85
    assert {len(call.images) for call in trainings} == {500} and {call.updates for call in trainings} == {2000}
    np.testing.assert_array_equal(trainings[0].labels, trainings[1].labels)


def test_without_a_test_split_a_part_is_held_out(digits, extractor, trainings):
    examples = {key: value[:500] for key, value in digits.arrays("train").items()}
    source = dataclasses.replace(digits, sizes={"train": 500}, load=lambda split: examples)
    result = analyses.gan_train_test(Evaluation(source, extractor, 100), copying_model(source), 500)
    assert (result.images, result.test_images) == (400, 100) and "which the model was trained on" in result.table()[2][0][2]


def test_large_images_are_shrunk():
    assert _downstream._shrink(np.zeros([3, 128, 256, 1], np.uint8)).shape == (3, 64, 128, 1)


# --- Augmentation


def test_more_real_images_help_and_noise_does_not(evaluation, digits, trainings):
    models = (copying_model(digits), noise_model(digits))
    helpful, harmful = (analyses.augmentation(evaluation, model, (100, 400), 1400, 2) for model in models)
    row = helpful.rows[0]
    assert row.gain.value > 0.02 and harmful.rows[0].gain.value < 0.01
    assert [row.real_images for row in helpful.rows] == [100, 400]
    assert row.without == harmful.rows[0].without and row.without.value < helpful.rows[1].without.value
    assert row.gain.value == pytest.approx(row.augmented.value - row.without.value)
    assert helpful.generator_images == 1437 and "what the generator learned from the others" in helpful.table()[0]
    assert_well_formed(helpful.table())
    assert len(trainings) == 16 and {call.updates for call in trainings} == {1000}  # as many with samples as without
    alone, mixed, again = trainings[:3]
    assert alone.seed == mixed.seed != again.seed and not np.array_equal(alone.images, again.images)
    assert len(np.unique(flatten(alone.images), axis=0)) <= 100 and len(mixed.images) == 2800
    assert np.bincount(alone.labels[:100]).tolist() == [10] * 10
    np.testing.assert_array_equal(mixed.images[:100], alone.images[:100])  # half of it is the same few real images


def test_augmentation_by_a_generator_trained_on_as_many_images(digits, extractor, trainings):
    source = digits.subset(100)
    result = analyses.augmentation(Evaluation(source, extractor), copying_model(source), (100,), 200, 1)
    assert result.generator_images == 100 and "others" not in result.table()[0] and result.rows[0].gain.deviation is None
    assert_well_formed(result.table())
    pool = digits.load_examples("train", _downstream.POOL, 0)
    rows = digits.balanced_rows(pool["label"], 100, 0)  # those that the augmentation draws first from all of them
    np.testing.assert_array_equal(source.arrays("train")["image"], pool["image"][rows])


def test_default_sizes_are_those_that_the_data_have(evaluation, digits, trainings):
    result = analyses.augmentation(evaluation, copying_model(digits), synthetic=100, repeats=1)
    assert [row.real_images for row in result.rows] == [100, 500]


# --- Plots and errors


def test_plots_are_drawn(evaluation, digits, trainings, tmp_path):
    model = copying_model(digits, wrong=0.3)
    results = [analyses.gan_train_test(evaluation, model, 200), analyses.augmentation(evaluation, model, (50, 100), 100, 2)]
    for i, result in enumerate(results):
        result.plot(tmp_path / "plots" / f"{i}.png")
        assert_drawn(tmp_path / "plots" / f"{i}.png")


def test_errors_of_few_images(digits, extractor, trainings):
    evaluation, model = Evaluation(digits, extractor, count=15), copying_model(digits)
    assert_refused("GAN-train needs at least 2 images of each", analyses.gan_train_test, evaluation, model, count=15)
    assert_refused("augmentation with 15 real images needs at least 2", analyses.augmentation, evaluation, model, (15,))
    assert_refused("--sizes 2000: digits has 1437 training images", analyses.augmentation, evaluation, model, (100, 2000))
    assert_refused("--repeats 0: .*at least 1", analyses.augmentation, evaluation, model, repeats=0)
    assert not trainings
