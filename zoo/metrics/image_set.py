"""A set of images with their labels and features: one of the two sets that a metric compares."""

from __future__ import annotations

import functools

import numpy as np

from zoo.errors import UserError
from zoo.metrics import distances
from zoo.metrics.extractors import FeatureExtractor
from zoo.metrics.extractors.base import on_white
from zoo.metrics.interfaces import Arrays, Wrapper


class ImageSet:
    """Real images or samples, and the output of a feature extractor for them.

    Attributes:
        images: uint8 [n, h, w, 1 or 3]; RGBA is composited onto white.
        labels: [n], or None if there are no classes.
        extractor: Feature extractor; None if no metric needs features.
        progress: Wrapper of the loop over the batches.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray | None, extractor: FeatureExtractor | None, progress: Wrapper = iter):
        self.images, self.labels, self.extractor, self.progress = on_white(images), labels, extractor, progress

    def __len__(self) -> int:
        return len(self.images)

    @functools.cached_property
    def predictions(self) -> Arrays:
        """Output of the extractor: `features` [n, d] and, if it classifies, `probabilities` [n, k]."""
        if self.extractor is None:
            raise UserError("these metrics need a feature extractor: --feature-extractor classifier")
        return self.extractor(self.images, self.progress)

    @property
    def features(self) -> np.ndarray:
        """float32 [n, d]."""
        return self.predictions["features"]

    @functools.cached_property
    def gaussian(self) -> distances.Gaussian:
        """Gaussian fitted to the features."""
        return distances.fit_gaussian(self.features)

    @property
    def unit_images(self) -> np.ndarray:
        """The images as float32 in [0, 1]."""
        return self.images.astype(np.float32) / 255

    def with_extractor(self, extractor: FeatureExtractor, progress: Wrapper = iter) -> ImageSet:
        """The same images for another extractor."""
        return ImageSet(self.images, self.labels, extractor, progress)
