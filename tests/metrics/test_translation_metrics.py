"""Translation metrics by hand: PSNR, cycle error, accuracy by class or by domain."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model

from zoo import data
from zoo.metrics import translation


def compute_scores(function, model, held_out, classify=None):
    scores = function(SimpleNamespace(held_out=held_out, classify=classify), model)
    return {name: score.value for name, score in scores.items()}


def test_scores_of_unpaired_translation(monkeypatch):
    model = tiny_model("cyclegan")
    monkeypatch.setattr(model, "translate", lambda images, domain: images + (0.2 if domain == "y" else -0.1))
    held_out = {"x": np.full((3, 16, 16, 1), 100, np.uint8), "y": np.full((3, 16, 16, 1), 140, np.uint8)}
    scores = compute_scores(translation.compute_unpaired_scores, model, held_out)
    assert scores == {"cycle_error": pytest.approx(0.05, abs=1e-5)}
    paired = {**held_out, "pair": np.arange(3), "label_x": np.array([1, 1, 2]), "label_y": np.array([1, 1, 2])}
    scores = compute_scores(translation.compute_unpaired_scores, model, paired, lambda images: np.array([1, 2, 2]))
    assert scores["psnr_y"] == pytest.approx(-20 * np.log10(140 / 255 - 100 / 255 - 0.1), rel=1e-3)
    assert scores["psnr_x"] == pytest.approx(-20 * np.log10(140 / 255 - 0.05 - 100 / 255), rel=1e-3)
    assert scores["translation_accuracy"] == pytest.approx(2 / 3)
    assert set(scores) == {metric.name for metric in model.own_metrics}

    def classify_domain(images):
        return (images.mean((1, 2, 3)) > 0.5).astype(int)

    without_classes = compute_scores(translation.compute_unpaired_scores, model, held_out, classify_domain)
    assert without_classes["translation_accuracy"] == pytest.approx(0.5)  # both translations are below a half: domain x


def test_scores_of_paired_translation(monkeypatch):
    model = tiny_model("pix2pix")
    monkeypatch.setattr(model, "translate", lambda images, seed: images + 0.02 * tf.cast(seed, tf.float32)[:, None, None, None])
    x, y = np.full((60, 16, 16, 1), 100, np.uint8), np.full((60, 16, 16, 1), 140, np.uint8)
    held_out = {"x": x, "y": y, "pair": np.arange(60) % 2, "label": np.array([0, 1, 2] * 20)}
    scores = compute_scores(translation.compute_paired_scores, model, held_out, lambda images: np.array([0, 1, 1] * 20))
    errors = [140 / 255 - 100 / 255, 140 / 255 - 100 / 255 - 0.01]
    assert scores["psnr"] == pytest.approx(np.mean(-20 * np.log10(errors)), rel=1e-4)
    assert scores["translation_accuracy"] == pytest.approx(2 / 3) and set(scores) == {metric.name for metric in model.own_metrics}
    del held_out["label"]
    scores = compute_scores(translation.compute_paired_scores, model, held_out, lambda images: np.array([0, 1, 1] * 20))
    assert scores["translation_accuracy"] == pytest.approx(2 / 3)  # of the target domain, 1
    assert set(compute_scores(translation.compute_paired_scores, model, held_out)) == {"psnr"}


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_translation_is_compared_with_the_class_of_its_original_on_any_split(split):
    model = tiny_model("cyclegan", image_shape=(16, 16, 1), num_classes=10)
    held_out = data.open_source("outlines", image_shape=(16, 16, 1), keys=("x", "y")).load_examples(split, 40)
    assert {"label_x", "label_y"} <= set(held_out) and ("pair" in held_out) == (split == "test")
    assert split == "test" or (held_out["label_x"] != held_out["label_y"]).any()
    labels = iter([held_out["label_y"], held_out["label_x"]])  # of what is translated to x, that is y's; then the other
    scores = compute_scores(translation.compute_unpaired_scores, model, held_out, lambda images: next(labels))
    assert scores["translation_accuracy"] == 1


def test_directions():
    better = {metric.name: metric.better for metric in (*translation.UNPAIRED_METRICS, *translation.PAIRED_METRICS)}
    assert better.pop("cycle_error") == "lower" and set(better.values()) == {"higher"}
    assert translation.UNPAIRED_METRICS[0].name == "translation_accuracy"  # the first one decides which checkpoint is best
