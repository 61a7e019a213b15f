"""Identification across poses, the protocol of DR-GAN (Tran, Yin, Liu 2017, §4): rank-1 accuracy on identities without training images.

The gallery holds one image per identity, that of its first pose. All other images are probes: images to identify. A probe is assigned the
identity of the nearest gallery image by cosine distance of the features; rank-1 accuracy is the fraction of probes whose identity is right.
There are two baselines: pixels (Euclidean distance), and an encoder that was trained for recognition only, if the model has one. Accuracy
is also reported by the distance between the poses of the probe and its gallery image.

Generated views keep the identity if a classifier recognizes it in them. Each gallery image is rotated to every pose; the classifier is
trained on the real images of these identities, which had no part in training the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import tensorflow as tf

from zoo.errors import UserError
from zoo.metrics.extractors import small_classifier
from zoo.metrics.registry import Metric, Score

if TYPE_CHECKING:
    from zoo.metrics.evaluation import Evaluation

HELD_OUT_FRACTION = 0.3  # default fraction of the identities
MIN_IDENTITIES = 2  # minimum to train on, and to test on
BATCH = 250  # images per forward pass
QUARTERS = (25, 50, 75, 100)  # upper bounds, in percent of the pose range, of the distance between a probe and its gallery image


class Recognizer(Protocol):
    """The interface of a model that rank-1 accuracy requires."""

    config: Any  # `num_poses`; `circular_poses`: whether the last pose is next to the first

    def rotate(self, image: tf.Tensor, pose: tf.Tensor) -> tf.Tensor:
        """Images in [-1, 1] rotated to poses int64 [n], in [-1, 1]."""

    @property
    def encoders(self) -> Mapping[str, Callable[[tf.Tensor], tf.Tensor]]:
        """Name -> function from images in [-1, 1] to features [n, f]: the model's own under "", baselines under other names."""


def default_held_out(identities: int) -> int:
    """The number of identities to test on by default."""
    return max(MIN_IDENTITIES, round(HELD_OUT_FRACTION * identities))


def check_held_out(held_out: int, identities: int) -> None:
    """Raises UserError unless `held_out` of the identities can be tested on and the others trained on."""
    largest = identities - MIN_IDENTITIES
    if largest < MIN_IDENTITIES:
        raise UserError(f"{identities} identities: at least {2 * MIN_IDENTITIES} are needed, half of them to test on")
    if not MIN_IDENTITIES <= held_out <= largest:
        raise UserError(f"--held-out-identities {held_out}: of {identities} identities, {MIN_IDENTITIES} to {largest} can be held out")


def identify_probes(vectors: np.ndarray, label: np.ndarray, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Identify each probe by its nearest neighbor in the gallery.

    Args:
        vectors: Features, [n, f], compared by their Euclidean distance.
        label: Identities, int [n].
        pose: Poses, int [n].

    Returns:
        Whether each probe is identified correctly, bool [probes], and the number of poses between it and the gallery image of its
        identity, int [probes].
    """
    gallery = choose_gallery(label, pose)
    probes = np.setdiff1d(np.arange(len(label)), gallery)
    probe_vectors, gallery_vectors = (np.asarray(vectors[rows], np.float64) for rows in (probes, gallery))
    # Squared distances without the squared norm of the probe, which does not change the order within a row.
    distances = np.square(gallery_vectors).sum(1) - 2 * probe_vectors @ gallery_vectors.T
    predictions = label[gallery][distances.argmin(1)]
    own = np.searchsorted(label[gallery], label[probes])
    return predictions == label[probes], np.abs(pose[probes] - pose[gallery][own])


def choose_gallery(label: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """The row of each identity's image of its first pose, in the order of the labels."""
    order = np.lexsort((pose, label))
    return order[np.unique(label[order], return_index=True)[1]]


def compute_rank1(evaluation: Evaluation, model: Recognizer) -> dict[str, Score]:
    """Compute rank-1 identification accuracy on held-out identities.

    Returns:
        `rank1` of the model's features, `rank1_pixels`, and `rank1_NAME` of each baseline encoder; with `_apart_25` to `_apart_100` the
        accuracy of the probes in each quarter of the pose range that has probes. Nothing if no identity has two images.
    """
    images, label, pose = (evaluation.held_out[key] for key in ("image", "label", "pose"))
    if len(np.unique(label)) == len(label):
        return {}
    vectors = {"": encode_images(model.encoders[""], images), "_pixels": images.reshape(len(images), -1)}
    vectors |= {f"_{name}": encode_images(encoder, images) for name, encoder in model.encoders.items() if name}
    num_poses, scores = model.config.num_poses, {}
    for suffix, rows in vectors.items():
        correct, distance = identify_probes(rows, label, pose)
        largest = num_poses - 1
        if model.config.circular_poses:
            distance, largest = np.minimum(distance, num_poses - distance), num_poses // 2
        quarter = np.maximum(np.ceil(distance * 4 / max(largest, 1)), 1)
        scores[f"rank1{suffix}"] = correct.mean()
        for i, percent in enumerate(QUARTERS, 1):
            if (quarter == i).any():
                scores[f"rank1{suffix}_apart_{percent}"] = correct[quarter == i].mean()
    return {name: Score(float(value)) for name, value in scores.items()}


def compute_view_accuracy(evaluation: Evaluation, model: Recognizer) -> dict[str, Score]:
    """Compute how often a classifier recognizes the identity in generated views.

    Returns:
        `view_accuracy` over all held-out identities and poses, and `view_accuracy_pose_N` of each pose; nothing if no identity has two
        images.
    """
    images, label, pose = (evaluation.held_out[key] for key in ("image", "label", "pose"))
    identities, classes = np.unique(label, return_inverse=True)
    if len(identities) == len(label):
        return {}
    classifier = small_classifier.train_classifier(images, classes, len(identities))
    gallery = images[choose_gallery(label, pose)]
    scores = {}
    for target in range(model.config.num_poses):
        views = [
            model.rotate(tf.constant(part / 127.5 - 1, tf.float32), tf.fill([len(part)], tf.constant(target, tf.int64)))
            for part in np.split(gallery, range(BATCH, len(gallery), BATCH))
        ]
        unit = np.clip(np.concatenate([np.asarray(view) for view in views]) / 2 + 0.5, 0, 1)
        scores[f"view_accuracy_pose_{target}"] = small_classifier.measure_accuracy(classifier, unit, np.arange(len(identities)))
    scores["view_accuracy"] = float(np.mean(list(scores.values())))
    return {name: Score(value) for name, value in scores.items()}


def encode_images(encoder: Callable[[tf.Tensor], tf.Tensor], images: np.ndarray) -> np.ndarray:
    """Encode uint8 images as unit-length features [n, f], so that Euclidean distances have the same order as cosine distances."""
    batches = [tf.constant(images[i : i + BATCH] / 127.5 - 1, tf.float32) for i in range(0, len(images), BATCH)]
    vectors = np.concatenate([np.asarray(encoder(batch)) for batch in batches])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


IDENTIFICATION_METRICS = tuple(
    Metric(f"rank1{suffix}{quarter}", "higher", ("held_out",), compute_rank1, during_training=True)
    for suffix in ("", "_pixels", "_baseline")
    for quarter in ("", *(f"_apart_{percent}" for percent in QUARTERS))
) + (Metric("view_accuracy", "higher", ("held_out",), compute_view_accuracy, more_scores=r"view_accuracy_pose_\d+"),)
