"""The distribution of a model's latent vectors, measured by drawing from it: models define it by a function alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from zoo.core import Game

DRAWS = 10_000  # as many as StyleGAN2's projector draws (Karras et al. 2019, appendix D)
SIGNIFICANT = 5  # standard errors by which a mean must differ from 0


@dataclasses.dataclass(frozen=True)
class LatentDistribution:
    """The distribution of each coordinate of the latent vectors, float32 [latent_dim] each.

    Attributes:
        mean: Means; exactly 0 where the draws are compatible with 0.
        deviation: Standard deviations.
        low: The lowest values that were drawn: close to the bound of a bounded distribution.
        high: The highest values that were drawn.
        is_discrete: Whether a coordinate has two values only, such as those of a one-hot category.
    """

    mean: np.ndarray
    deviation: np.ndarray
    low: np.ndarray
    high: np.ndarray
    is_discrete: np.ndarray

    @classmethod
    def measure(cls, model: Game) -> LatentDistribution:
        """Draws latent vectors of a model; the result is a function of the model's distribution alone."""
        draws = model.sample_latent([DRAWS, model.config.latent_dim], [0, 0]).numpy()
        mean, deviation, low, high = draws.mean(0), draws.std(0), draws.min(0), draws.max(0)
        mean[np.abs(mean) < SIGNIFICANT * deviation / DRAWS**0.5] = 0
        return cls(mean, deviation, low, high, np.all((draws == low) | (draws == high), axis=0))

    def deviation_along(self, vectors: np.ndarray) -> np.ndarray:
        """Standard deviations of the latent vectors along unit vectors [k, latent_dim], [k]: its coordinates are independent."""
        return np.sqrt(np.square(vectors) @ np.square(self.deviation))

    def clip(self, latent: np.ndarray, *starts: np.ndarray) -> np.ndarray:
        """Latent vectors, each value of which is clipped to the range of the distribution, widened to those of `starts` [n, latent_dim]."""
        low, high = self.low, self.high
        for start in starts:
            low, high = np.minimum(low, start), np.maximum(high, start)
        return np.clip(latent, low, high)
