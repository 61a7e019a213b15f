"""The distribution of a model's latent vectors in closed form, for programs that draw them without TensorFlow."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from zoo.core import Game
from zoo.errors import UserError
from zoo.latent.distribution import DRAWS, LatentDistribution

MAX_DISTANCE = (
    0.01  # between the distribution functions of the draws and of a closed form: larger than that of any 10,000 draws of 8 values
)


@dataclasses.dataclass(frozen=True)
class LatentPrior:
    """Independent coordinates, all normal or all uniform; some of them may be a one-hot category instead.

    Attributes:
        kind: `normal` or `uniform`.
        distribution: Means, standard deviations and ranges of the coordinates.
    """

    kind: str
    distribution: LatentDistribution

    @classmethod
    def fit(cls, model: Game) -> LatentPrior:
        """The distribution of a model.

        Raises:
            UserError: It is neither normal nor uniform, or has discrete coordinates that are not one category.
        """
        from scipy.stats import kstest

        distribution = LatentDistribution.measure(model)
        draws = model.sample_latent([DRAWS, model.config.latent_dim], [0, 0]).numpy()
        categories = draws[:, distribution.is_discrete]
        if categories.size and not (np.all(categories.sum(1) == 1) and np.all(np.isin(categories, (0, 1)))):
            raise UserError("the latent vectors of this model have discrete values that are not one category; export ONNX files instead")
        continuous = (draws - distribution.mean) / np.maximum(distribution.deviation, 1e-12)
        values = continuous[:, ~distribution.is_discrete].ravel()
        bound = 3**0.5  # of a uniform distribution with standard deviation 1
        distances = {"normal": kstest(values, "norm").statistic, "uniform": kstest(values, "uniform", (-bound, 2 * bound)).statistic}
        kind = min(distances, key=distances.__getitem__)
        if distances[kind] > MAX_DISTANCE:
            raise UserError("the latent vectors of this model are neither normal nor uniform; export ONNX files instead")
        return cls(kind, distribution)

    def to_json(self) -> dict[str, Any]:
        """JSON values: the kind, numbers for each coordinate, and the coordinates of the category."""
        numbers = {name: getattr(self.distribution, name).astype(float).round(4).tolist() for name in ("mean", "deviation", "low", "high")}
        return {"kind": self.kind, **numbers, "category": np.flatnonzero(self.distribution.is_discrete).tolist()}
