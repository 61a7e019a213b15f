"""Analyses of a model's samples, as in the figures of papers.

Each returns plain values (a dataclass of numbers, lists and dicts) with `table()`, a tuple of title, header and rows of text, and
`plot(path)`.
"""

from zoo.metrics.analyses._common import Analysis, Table
from zoo.metrics.analyses._discriminability import ClassAccuracy, Discriminability, discriminability
from zoo.metrics.analyses._diversity import Diversity, diversity
from zoo.metrics.analyses._downstream import Augmentation, AugmentationRow, Mean, TrainTest, augmentation, gan_train_test
from zoo.metrics.analyses._neighbors import Neighbors, neighbors

__all__ = [
    "Analysis",
    "Augmentation",
    "AugmentationRow",
    "ClassAccuracy",
    "Discriminability",
    "Diversity",
    "Mean",
    "Neighbors",
    "Table",
    "TrainTest",
    "augmentation",
    "discriminability",
    "diversity",
    "gan_train_test",
    "neighbors",
]
