"""Metrics of image-to-image translation on held-out images: PSNR against the ground truth, translation accuracy, cycle error.

Translation accuracy is the fraction of translations that an independent classifier assigns to the right class: the class of the original
image if the dataset has classes, otherwise the target domain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import tensorflow as tf

from zoo.metrics.registry import Metric, Score

if TYPE_CHECKING:
    from zoo.metrics.evaluation import Evaluation

BATCH = 50  # images per forward pass
DOMAINS = {"x": 0, "y": 1}  # the classes of a classifier that distinguishes the two domains


class PairedTranslator(Protocol):
    """The interface of a model that the metrics of paired translation require."""

    def translate(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Translate images in [-1, 1]; seed: int64 [n], of the noise of each."""


class UnpairedTranslator(Protocol):
    """The interface of a model that the metrics of unpaired translation require."""

    def translate(self, images: tf.Tensor, domain: str) -> tf.Tensor:
        """Translate images in [-1, 1] of the other domain to `domain`, x or y."""


def compute_paired_scores(evaluation: Evaluation, model: PairedTranslator) -> dict[str, Score]:
    """Compute `psnr`, in dB, and with a classifier `translation_accuracy`, of translations from x to y.

    The seed of a translation is the index of its pair.
    """
    held_out = evaluation.held_out
    parts = []
    for i in range(0, len(held_out["x"]), BATCH):
        seed = tf.constant(held_out["pair"][i : i + BATCH], tf.int64)
        parts.append(_to_unit(model.translate(_from_pixels(held_out["x"][i : i + BATCH]), seed)))
    translations = tf.concat(parts, 0)
    scores = {"psnr": _mean_psnr(translations, held_out["y"])}
    if evaluation.classify:
        correct = evaluation.classify(translations.numpy()) == held_out.get("label", DOMAINS["y"])
        scores["translation_accuracy"] = Score(float(tf.reduce_mean(tf.cast(correct, tf.float32))))
    return scores


def compute_unpaired_scores(evaluation: Evaluation, model: UnpairedTranslator) -> dict[str, Score]:
    """Compute the scores of a model that translates in both directions.

    Returns:
        `cycle_error`: mean absolute error of images translated to the other domain and back, for images in [0, 1]. If the held-out images
        are paired, `psnr_x` and `psnr_y`: PSNR in dB of the translations to that domain. With a classifier, `translation_accuracy` of both.
    """
    held_out, translations, cycle_errors = evaluation.held_out, {}, []
    for domain, other in ("xy", "yx"):
        parts, errors = [], []
        for i in range(0, len(held_out[domain]), BATCH):
            images = _from_pixels(held_out[domain][i : i + BATCH])
            translated = model.translate(images, other)
            parts.append(_to_unit(translated))
            errors.append(tf.reduce_mean(tf.abs(model.translate(translated, domain) - images), (1, 2, 3)) / 2)
        translations[other] = tf.concat(parts, 0)
        cycle_errors.append(tf.reduce_mean(tf.concat(errors, 0)))
    scores = {"cycle_error": Score(float(tf.reduce_mean(cycle_errors)))}
    if "pair" in held_out:
        scores |= {f"psnr_{domain}": _mean_psnr(translations[domain], held_out[domain]) for domain in "xy"}
    if evaluation.classify:
        labels = {"x": held_out.get("label_y", DOMAINS["x"]), "y": held_out.get("label_x", DOMAINS["y"])}  # those of the originals
        correct = np.concatenate([evaluation.classify(translations[domain].numpy()) == labels[domain] for domain in "xy"])
        scores["translation_accuracy"] = Score(float(correct.sum() / len(correct)))
    return scores


def _from_pixels(images: np.ndarray) -> tf.Tensor:
    """uint8 -> float32 in [-1, 1]."""
    return tf.cast(images, tf.float32) / 127.5 - 1


def _to_unit(images: tf.Tensor) -> tf.Tensor:
    """[-1, 1] -> [0, 1], float32, clipped."""
    return tf.clip_by_value((tf.cast(images, tf.float32) + 1) / 2, 0, 1)


def _mean_psnr(images: tf.Tensor, pixels: np.ndarray) -> Score:
    """Mean peak signal-to-noise ratio in dB of images in [0, 1] against uint8 ones."""
    return Score(float(tf.reduce_mean(tf.image.psnr(images, pixels / 255.0, 1.0))))


PAIRED_METRICS = (
    Metric("psnr", "higher", ("held_out",), compute_paired_scores, during_training=True),
    Metric("translation_accuracy", "higher", ("held_out", "classifier"), compute_paired_scores, during_training=True),
)
UNPAIRED_METRICS = (
    Metric("translation_accuracy", "higher", ("held_out", "classifier"), compute_unpaired_scores, during_training=True),
    Metric("cycle_error", "lower", ("held_out",), compute_unpaired_scores, during_training=True),
    Metric("psnr_x", "higher", ("held_out",), compute_unpaired_scores, during_training=True),
    Metric("psnr_y", "higher", ("held_out",), compute_unpaired_scores, during_training=True),
)
