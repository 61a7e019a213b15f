"""Rank-1 identification: the nearest gallery image by hand, accuracy by the distance of the poses, and DR-GAN scored by it."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model

from zoo.metrics import identification


def compute_rank1(model, held_out):
    """The values of the scores of a model on held-out arrays."""
    scores = identification.compute_rank1(SimpleNamespace(held_out=held_out), model)
    return {name: score.value for name, score in scores.items()}


def test_probes_are_identified_by_the_nearest_gallery_image():
    label = np.array([7, 7, 9, 9, 9, 7])
    pose = np.array([3, 1, 0, 4, 2, 8])  # the gallery is row 1 (identity 7, pose 1) and row 2 (identity 9, pose 0)
    vectors = np.float32([[1, 1], [0, 0], [10, 0], [4, 0], [9, 3], [7, 0]])
    correct, distance = identification.identify_probes(vectors, label, pose)  # probes: rows 0, 3, 4, 5
    np.testing.assert_array_equal(correct, [True, False, True, False])
    np.testing.assert_array_equal(distance, [2, 4, 2, 7])


def test_scores_by_hand():
    """Features and pixels that disagree: the second channel of the features is the identity, pixels show the pose."""
    model = tiny_model("drgan_96")
    label, pose = np.repeat([2, 3], 9), np.tile(np.arange(9), 2)
    images = np.zeros((18, 16, 16, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = pose * 20, (label - 2) * 10
    images[(label == 3) & (pose == 8), 0, 0, 1] = 0  # one that cannot be identified

    def extract_angle(image):
        identity = image[:, 0, 0, 1] > -0.99
        return tf.stack([tf.where(identity, 1.0, 3.0), tf.where(identity, 3.0, 1.0)], 1) * (image[:, 0, 0, :1] + 1.1)

    model.extract_features = extract_angle
    held_out = {"image": images, "label": label, "pose": pose}
    scores = compute_rank1(model, held_out)
    assert scores["rank1"] == 15 / 16 and scores["rank1_pixels"] == 15 / 16
    assert [scores[f"rank1_apart_{percent}"] for percent in (25, 50, 75, 100)] == [1, 1, 1, 3 / 4]
    assert [scores[f"rank1_pixels_apart_{percent}"] for percent in (25, 50, 75, 100)] == [1, 1, 1, 3 / 4]
    assert set(scores) <= {metric.name for metric in model.own_metrics} and not any("encoder" in name for name in scores)
    order = np.random.RandomState(0).permutation(18)
    assert compute_rank1(model, {key: values[order] for key, values in held_out.items()}) == scores
    assert compute_rank1(model, {key: values[:1] for key, values in held_out.items()}) == {}
    model.config = dataclasses.replace(model.config, circular_poses=True)  # poses 1 and 8 are one apart, 2 and 7 two
    circular = compute_rank1(model, held_out)
    assert [circular[f"rank1_apart_{percent}"] for percent in (25, 50, 75, 100)] == [3 / 4, 1, 1, 1]
    assert circular["rank1"] == scores["rank1"]


def test_the_baseline_encoder_is_scored():
    model = tiny_model("drgan")
    scores = compute_rank1(model, random_source(model).load_examples("test", 40))
    assert list(scores) and set(scores) == {metric.name for metric in model.own_metrics if metric.during_training}
    assert all(0 <= value <= 1 for value in scores.values())


def test_higher_is_better():
    assert [metric.name for metric in identification.IDENTIFICATION_METRICS][:3] == ["rank1", "rank1_apart_25", "rank1_apart_50"]
    assert all(metric.is_better(0.9, 0.1) for metric in identification.IDENTIFICATION_METRICS)


@pytest.mark.slow
def test_the_identity_of_generated_views_is_recognized():
    """Poses are brightness, identities the lit quarter: of a model that moves the light at two poses, and is right at the others."""
    label, pose = np.repeat([5, 6, 7, 8], 8), np.tile(np.arange(8), 4)
    corner = [(0, 0), (0, 8), (8, 0), (8, 8)]
    images = np.zeros((32, 16, 16, 1), np.uint8)
    for image, identity, brightness in zip(images, label - 5, pose, strict=True):
        row, column = corner[identity]
        image[row : row + 8, column : column + 8] = 120 + 15 * brightness

    def rotate(image, pose):
        lit = tf.where(image > -0.9, tf.reshape(tf.cast(120 + 15 * pose, tf.float32) / 127.5 - 1, [-1, 1, 1, 1]), -1.0)
        return tf.where(tf.reshape(pose < 6, [-1, 1, 1, 1]), lit, tf.reverse(lit, [1, 2]))

    model = SimpleNamespace(rotate=rotate, config=SimpleNamespace(num_poses=8))
    held_out = {"image": images, "label": label, "pose": pose}
    scores = identification.compute_view_accuracy(SimpleNamespace(held_out=held_out), model)
    assert {name: score.value for name, score in scores.items() if name != "view_accuracy"} == {
        f"view_accuracy_pose_{i}": float(i < 6) for i in range(8)
    }
    assert scores["view_accuracy"].value == 6 / 8
    single = {key: values[::8] for key, values in held_out.items()}
    assert identification.compute_view_accuracy(SimpleNamespace(held_out=single), model) == {}
