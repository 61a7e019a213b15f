"""An evaluation: scores, their protocol, what is available, and the registry of metrics."""

import types

import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model

from zoo import data, metrics
from zoo.core.images import Images
from zoo.errors import UserError
from zoo.metrics import METRICS, Evaluation, ImageSet, Metric, Score, find_metric, requires_extractor


@pytest.fixture(scope="module")
def digits():
    return data.open_source("digits")


@pytest.fixture(scope="module")
def classifier(digits):
    return metrics.load_extractor("classifier", digits)


# -- the registry ---------------------------------------------------------------------------------------------------------------------


def test_every_metric_has_a_direction():
    directions = {name: metric.better for name, metric in METRICS.items()}
    assert directions == {
        "frechet": "lower",
        "fid": "lower",
        "kid": "lower",
        "inception_score": "higher",
        "precision": "higher",
        "recall": "higher",
        "density": "higher",
        "coverage": "higher",
        "class_accuracy": "higher",
        "ms_ssim": "lower",
        "swd": "lower",
        "memorization": "closer to 1",
    }
    assert [name for name, metric in METRICS.items() if metric.during_training] == ["frechet", "precision", "recall", "class_accuracy"]


@pytest.mark.parametrize("better, order", [("lower", [0.5, 1.5, 3.0]), ("higher", [3.0, 1.5, 0.5]), ("closer to 1", [0.75, 1.5, 3.0])])
def test_directions_order_values(better, order):
    metric = Metric("any", better, (), lambda evaluation, samples: {})
    assert sorted(np.roll(order, 1).tolist(), key=metric.sort_key) == order
    assert metric.is_better(order[0], order[1]) and not metric.is_better(order[1], order[0]) and not metric.is_better(order[0], order[0])


def test_an_unknown_metric_is_refused_with_those_available():
    with pytest.raises(UserError, match=r"unknown metric 'lpips'\. Available: frechet, fid, kid, .*memorization\.$"):
        find_metric("lpips")
    own = (Metric("translation_accuracy", "higher", ("held_out",), lambda evaluation, model: {}),)
    with pytest.raises(UserError, match=r"unknown metric 'translation'; did you mean 'translation_accuracy'\? Available: translation_acc"):
        find_metric("translation", own)
    assert find_metric("translation_accuracy", own) is own[0]


def test_resolutions_of_the_sliced_wasserstein_distance_belong_to_it():
    assert find_metric("swd_16").better == "lower" and find_metric("swd_16").compute is METRICS["swd"].compute
    for name in ("swd_", "swd_a", "frechet_16"):
        with pytest.raises(UserError, match="unknown metric"):
            find_metric(name)


# -- an evaluation --------------------------------------------------------------------------------------------------------------------


def test_real_images_score_well_and_noise_does_not(digits, classifier):
    evaluation = Evaluation(digits, classifier, 300)
    names = ["frechet", "precision", "class_accuracy"]
    real = evaluation.scores(evaluation.other_real(), names)
    noise = ImageSet(np.random.RandomState(0).randint(0, 256, (300, 32, 32, 1)).astype(np.uint8), evaluation.real.labels, classifier)
    bad = evaluation.scores(noise, names)
    assert 0 < real["frechet"].value < bad["frechet"].value / 5
    assert real["class_accuracy"].value > 0.9 > 0.3 > bad["class_accuracy"].value
    assert set(real) == set(names)
    same = evaluation.scores(evaluation.real, ["frechet"])
    assert same["frechet"].value == pytest.approx(0, abs=1e-6)


def test_scores_with_errors_and_by_resolution(digits, classifier):
    evaluation = Evaluation(digits, classifier, 100)
    others = evaluation.other_real()
    scores = evaluation.scores(others, ["swd", "kid"])
    assert set(scores) == {"swd", "swd_32", "swd_16", "kid"}
    assert scores["kid"].error > 0 and scores["swd"].error is None
    assert scores["swd"].value == pytest.approx((scores["swd_32"].value + scores["swd_16"].value) / 2)
    assert set(evaluation.scores(others, ["swd_16"])) == {"swd_16"}


def test_reference_scores_are_of_other_real_images(digits, classifier):
    evaluation = Evaluation(digits, classifier, 100)
    reference, description = evaluation.reference(["frechet", "memorization", "class_accuracy", "recall"])
    assert set(reference) == {"frechet", "class_accuracy", "recall"} and reference["class_accuracy"].value > 0.8
    assert description.startswith("100 images of the train split") and description.endswith("class accuracy: the 100 real images")


def test_samples_are_a_function_of_the_seed_and_follow_the_real_classes(digits, classifier):
    # Wide enough for the noise to have a visible effect.
    model = tiny_model("acgan", image_shape=(32, 32, 1), num_classes=10, generator_widths=(256, 128, 64, 32))
    evaluation = Evaluation(digits, classifier, 40)
    first, second = evaluation.generate_samples(model), evaluation.generate_samples(model)
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.labels, evaluation.real.labels)
    np.testing.assert_array_equal(evaluation.generate_images(model, 40), first.images)
    other = Evaluation(digits, classifier, 40, seed=1)
    assert not np.array_equal(other.generate_samples(model).images, first.images)
    assert not np.array_equal(other.real.images, evaluation.real.images)
    longer = Evaluation(digits, classifier, 60).generate_samples(model)
    np.testing.assert_array_equal(longer.images[:40], first.images)


def test_live_and_ema_generators_are_distinguished(digits, classifier):
    model = tiny_model("acgan", image_shape=(32, 32, 1), num_classes=10)
    model.generator.trainable_variables[0].assign_add(tf.ones_like(model.generator.trainable_variables[0]))
    live, ema = (Evaluation(digits, classifier, 10, live=live) for live in (True, False))
    first, second = (evaluation.generate_images(model, 10) for evaluation in (live, ema))
    assert not np.array_equal(first, second)
    assert live.protocol("float32").generator == "live" and ema.protocol("float32").generator == "ema"


def test_the_protocol_contains_what_a_score_depends_on(digits, classifier):
    protocol = Evaluation(digits, classifier, 500, seed=3).protocol("float32")
    assert protocol.extractor == classifier.name and protocol.extractor_sha256 == classifier.sha256
    assert (protocol.real_images, protocol.fake_images, protocol.split, protocol.seed) == (360, 500, "test", 3)
    assert protocol.data == "digits 1.0.0" and protocol.image_shape == (32, 32, 1) and "32x32" in protocol.resizing


@pytest.mark.parametrize(
    "name, with_labels, part",
    [
        ("freshet", True, "did you mean 'frechet'?"),
        ("fid", True, "only the Inception graph's"),
        ("class_accuracy", False, "needs a model with classes"),
        ("ms_ssim", False, "needs a model with classes"),
    ],
)
def test_scores_that_are_not_available(digits, classifier, name, with_labels, part):
    evaluation = Evaluation(digits, classifier, 20)
    images = ImageSet(evaluation.real.images, evaluation.real.labels if with_labels else None, classifier)
    with pytest.raises(UserError, match=part.replace("?", r"\?")):
        evaluation.scores(images, [name])


def test_an_evaluation_needs_two_images_a_split_and_the_models_size(digits, classifier):
    with pytest.raises(UserError, match="use 2 to"):
        Evaluation(digits, classifier, 1)
    with pytest.raises(UserError, match=r"no such split\. Available: .*test"):
        Evaluation(digits, classifier, 10, "validation")
    with pytest.raises(UserError, match=r"\(16, 16, 1\), and the real images have shape \(32, 32, 1\)"):
        Evaluation(digits, classifier, 10).generate_samples(tiny_model("gan"))
    constant = ImageSet(np.zeros([20, 32, 32, 1], np.uint8), None, classifier)
    scores = Evaluation(digits, classifier, 20).scores(constant, ["frechet", "recall"])
    assert scores["recall"].value == 0 and scores["frechet"].value > 1


class GrayModel:
    """A model whose samples are black and gray in turn."""

    modality, generates_from_noise, conditions, own_metrics = Images(), True, [], ()

    def __init__(self, value):
        self.config, self.value = types.SimpleNamespace(image_shape=(32, 32, 1)), value

    def sample(self, seed, live=False):
        values = tf.cast(seed % 2, tf.float32) * self.value
        return tf.broadcast_to(values[:, None, None, None], [tf.shape(seed)[0], 32, 32, 1])


@pytest.mark.parametrize(
    "value, message", [(float("nan"), "20 of 20 samples have values that are NaN"), (0.0, "all 20 samples are the same image")]
)
def test_samples_that_cannot_be_compared_are_refused(digits, classifier, value, message):
    evaluation = Evaluation(digits, classifier, 20)
    with pytest.raises(UserError, match=message):
        evaluation.evaluate(GrayModel(value), ["frechet"], pytest.fail)
    assert set(evaluation.evaluate(GrayModel(0.5), ["frechet"])) == {"frechet"}


def test_memorization_is_relative_to_the_training_images(digits, classifier):
    for source, count in ((digits, 1437), (digits.subset(50), 50)):
        evaluation = Evaluation(source, classifier, 20)
        assert list(evaluation.evaluate(GrayModel(0.5), ["memorization"])) == ["memorization"]
        assert len(evaluation.train_images) == count
    assert Evaluation(digits, classifier, 20, "train").protocol("float32").split == "train, of 1437 images"
    assert Evaluation(digits.subset(50), classifier, 20).protocol("float32").split == "test"


# -- a model's own metrics ------------------------------------------------------------------------------------------------------------


class OwnModel(GrayModel):
    """A model with two own metrics by one function, which needs a classifier for the second one, and a slow one."""

    def __init__(self, generates_from_noise):
        super().__init__(0.5)
        self.generates_from_noise, self.calls = generates_from_noise, 0
        self.own_metrics = (
            Metric("darkness", "lower", ("held_out",), self.compute, during_training=True),
            Metric("confidence", "higher", ("held_out", "classifier"), self.compute, during_training=True),
            Metric("slow", "lower", ("held_out",), lambda evaluation, model: {"slow": Score(1.0)}),
        )

    def compute(self, evaluation, model):
        assert model is self
        self.calls += 1
        scores = {"darkness": Score(float(evaluation.held_out["image"].mean()))}
        return scores | ({"confidence": Score(1.0, 0.5)} if evaluation.classify else {})


def test_own_metrics_are_computed_by_one_call(digits, classifier):
    evaluation, model = Evaluation(digits, classifier, 20), OwnModel(True)
    scores = evaluation.evaluate(model, ["confidence", "frechet", "darkness"])
    assert set(scores) == {"confidence", "frechet", "darkness"} and model.calls == 1 and scores["confidence"] == Score(1.0, 0.5)
    assert list(evaluation.evaluate(model, ["darkness"])) == ["darkness"]
    np.testing.assert_array_equal(evaluation.classify(evaluation.real.images).shape, [20])


def test_own_metrics_that_are_not_available(digits):
    evaluation, model, messages = Evaluation(digits, None, 20), OwnModel(False), []
    assert evaluation.classify is None and evaluation.available_metrics(model, ["darkness", "confidence", "swd"]) == ["darkness"]
    with pytest.raises(UserError, match=r"confidence needs a classifier of the dataset's classes \(feature extractor: none\)"):
        evaluation.evaluate(model, ["confidence", "darkness"])
    assert list(evaluation.evaluate(model, ["confidence", "darkness"], messages.append)) == ["darkness"] and "confidence" in messages[0]
    assert evaluation.metrics_during_training(model, "darkness") == ["darkness"]
    with pytest.raises(UserError, match=r"frechet needs a model that generates images from noise; .*Available: darkness, slow\.$"):
        evaluation.metrics_during_training(model, "frechet")
    with pytest.raises(UserError, match="frechet needs a model that generates images from noise"):
        evaluation.evaluate(model, ["frechet"])
    with pytest.raises(UserError, match="unknown metric 'lpips'"):
        evaluation.metrics_during_training(model, "lpips")


def test_metrics_during_training_are_the_cheap_ones(digits, classifier):
    evaluation = Evaluation(digits, classifier, 20)
    assert evaluation.metrics_during_training(GrayModel(0.5), "frechet") == ["frechet", "precision", "recall"]
    assert evaluation.metrics_during_training(GrayModel(0.5), "swd") == ["frechet", "precision", "recall", "swd"]
    names = ["frechet", "precision", "recall", "darkness", "confidence"]
    assert evaluation.metrics_during_training(OwnModel(True), "darkness") == names
    assert evaluation.metrics_during_training(OwnModel(True), "slow") == [*names, "slow"]
    with pytest.raises(UserError, match="class_accuracy needs a model with classes"):
        evaluation.metrics_during_training(GrayModel(0.5), "class_accuracy")


def test_which_models_require_an_extractor():
    without = types.SimpleNamespace(modality=Images(), generates_from_noise=False, own_metrics=OwnModel(False).own_metrics[:1])
    assert requires_extractor(GrayModel(0.5)) and requires_extractor(OwnModel(False)) and not requires_extractor(without)


def test_the_frechet_distance_of_the_inception_graph_is_called_fid(digits, classifier):
    inception = type(classifier)("inception-2015-1a2b", "0", "", classifier.shape, "", classifier.run)
    evaluation = Evaluation(digits, inception, 20)
    assert set(evaluation.evaluate(GrayModel(0.5), ["frechet"])) == set(evaluation.evaluate(GrayModel(0.5), ["fid"])) == {"fid"}
    assert evaluation.score_name("frechet") == "fid" and Evaluation(digits, classifier, 20).score_name("frechet") == "frechet"
    assert "inception_score" in evaluation.available_metrics(GrayModel(0.5), METRICS)
    assert "inception_score" not in Evaluation(digits, None, 20).available_metrics(GrayModel(0.5), METRICS)
