"""The registry of metrics: one entry per metric, with its direction, its requirements and the function that computes it.

To add a metric, write a function of an `Evaluation` and the samples, and add an entry to `METRICS`. Model-specific metrics (of held-out
images, for example) are entries of the model's `own_metrics`, whose functions take the evaluation and the model.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from zoo.errors import UserError, suggest
from zoo.metrics import distances, image_similarity

if TYPE_CHECKING:
    from zoo.metrics.evaluation import Evaluation, ImageSet

MEMORIZATION_QUERIES = 1000  # images whose nearest training image is searched

Better = Literal["lower", "higher", "closer to 1"]
Need = Literal[
    "samples",  # a model that generates images from noise
    "held_out",  # held-out examples, which every evaluation has
    "labels",  # classes: of the samples or, for a model-specific metric, of the held-out examples
    "extractor",  # a feature extractor
    "probabilities",  # an extractor that also classifies, into any classes
    "classifier",  # an extractor that classifies into the classes of the data
    "inception",  # the Inception graph of 2015
    "unseen",  # real images that were not used in training
]


class Score(NamedTuple):
    """A metric's value, and its uncertainty if the metric estimates one."""

    value: float
    error: float | None = None


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric by name.

    Attributes:
        name: Name in `--metrics`, in the scores and in the tables.
        better: Which values are better.
        needs: Requirements of the metric.
        compute: Function of (evaluation, samples) or, for a model-specific metric, of (evaluation, model), that returns scores by name.
            Metrics that share a function are computed by one call. A score that the data do not support may be missing.
        during_training: Whether it is cheap enough to be computed at every evaluation during training.
        more_scores: Regular expression of the names of further scores that `compute` returns and that are reported with this one.
    """

    name: str
    better: Better
    needs: tuple[Need, ...]
    compute: Callable[[Evaluation, Any], dict[str, Score]]
    during_training: bool = False
    more_scores: str | None = None

    def sort_key(self, value: float) -> float:
        """Maps a value to a number that is smaller for better values."""
        return {"lower": value, "higher": -value, "closer to 1": abs(value - 1)}[self.better]

    def is_better(self, value: float, other: float) -> bool:
        """Whether `value` is better than `other`."""
        return self.sort_key(value) < self.sort_key(other)

    def includes(self, score: str) -> bool:
        """Whether a score of this name belongs to the metric."""
        return score == self.name or bool(self.more_scores and re.fullmatch(self.more_scores, score))


def find_metric(name: str, own: Iterable[Metric] = ()) -> Metric:
    """Returns the metric to which a score belongs.

    Args:
        name: Name of a metric, or of a further score of one (`swd_16`), which is then the name of the metric that is returned.
        own: The model-specific metrics; they come first.

    Raises:
        UserError: The name is unknown; the message lists those available.
    """
    metrics = [*own, *METRICS.values()]
    for metric in metrics:
        if metric.includes(name):
            return metric if name == metric.name else dataclasses.replace(metric, name=name, more_scores=None)
    names = list(dict.fromkeys(metric.name for metric in metrics))
    raise UserError(f"unknown metric '{name}'{suggest(name, names)} Available: {', '.join(names)}.")


def generates_images(model: Any) -> bool:
    """Whether a model, or its class, generates images from noise, so that the metrics of samples apply to it."""
    return model.generates_from_noise and model.modality.key == "image"


def requires_extractor(model: Any) -> bool:
    """Whether a model's metrics need a feature extractor: it generates images from noise, or a model-specific metric needs one.

    Args:
        model: A model, or its class.
    """
    needs = {need for metric in model.own_metrics for need in metric.needs}
    return generates_images(model) or not needs.isdisjoint(("extractor", "probabilities", "classifier", "inception"))


def unmet_need(metric: Metric, evaluation: Evaluation, samples: bool, labels: bool) -> str | None:
    """Explains why a metric is not available, or returns None if it is.

    Args:
        metric: The metric.
        evaluation: Provides the extractor, the split and the data.
        samples: Whether the model generates images from noise.
        labels: Whether there are classes.
    """
    name, extractor = metric.name, evaluation.extractor
    by = extractor.name if extractor else "none"
    unmet: dict[Need, bool] = {
        "samples": not samples,
        "labels": not labels,
        "extractor": not extractor,
        "probabilities": not (extractor and (extractor.classes or extractor.is_inception)),
        "classifier": not (extractor and extractor.classes),
        "inception": not (extractor and extractor.is_inception),
        "unseen": evaluation.split == "train",
    }
    reasons: dict[Need, str] = {
        "samples": f"{name} needs a model that generates images from noise; this model does not",
        "labels": f"{name} needs a model with classes; this model has none",
        "extractor": f"{name} needs a feature extractor: --feature-extractor classifier",
        "probabilities": f"{name} needs a feature extractor that classifies (feature extractor: {by})",
        "classifier": f"{name} needs a classifier of the dataset's classes (feature extractor: {by}); use --feature-extractor classifier",
        "inception": f"only the Inception graph's Fréchet distance is called fid; for other feature extractors ({by}) it is called frechet",
        "unseen": f"{name} needs real images that were not used in training: --split test, if {evaluation.source.name} has it",
    }
    return next((reasons[need] for need in metric.needs if unmet.get(need)), None)


def _frechet(evaluation: Evaluation, samples: ImageSet) -> dict[str, Score]:
    return {evaluation.score_name("frechet"): Score(distances.frechet(evaluation.real.gaussian, samples.features))}


def _kid(evaluation: Evaluation, samples: ImageSet) -> dict[str, Score]:
    sets = {"real": evaluation.real, "generated": samples}
    for kind, images in sets.items():
        distances.check_rows("KID with its error", kind, images.features, 4)
    # The subsets must differ: with all images in each subset, the error would be 0.
    size = min(1000, *(len(images) // 2 for images in sets.values()))
    return {"kid": Score(*distances.kid(evaluation.real.features, samples.features, size=size, seed=evaluation.seed))}


def _inception_score(evaluation: Evaluation, samples: ImageSet) -> dict[str, Score]:
    splits = min(10, max(1, len(samples) // 2))
    return {"inception_score": Score(*distances.inception_score(samples.predictions["probabilities"], splits))}


def _prdc(evaluation: Evaluation, samples: ImageSet) -> dict[str, Score]:
    return {name: Score(value) for name, value in distances.prdc(evaluation.real.features, samples.features).items()}


def class_accuracy(evaluation: Evaluation, samples: ImageSet) -> dict[str, Score]:
    """Fraction of images that the classifier assigns to their own class."""
    return {"class_accuracy": Score(float(np.mean(samples.predictions["probabilities"].argmax(1) == samples.labels)))}


def _ms_ssim(evaluation: Evaluation, samples: ImageSet) -> dict[str, Score]:
    assert samples.labels is not None
    similarity = image_similarity.class_similarity(samples.unit_images, samples.labels, seed=evaluation.seed)
    return {"ms_ssim": Score(float(np.mean(list(similarity.values()))))}


def _swd(evaluation: Evaluation, samples: ImageSet) -> dict[str, Score]:
    count = min(len(samples), len(evaluation.real))
    by_resolution = image_similarity.sliced_wasserstein(evaluation.real.unit_images[:count], samples.unit_images[:count], evaluation.seed)
    scores = {f"swd_{resolution}": Score(value) for resolution, value in by_resolution.items()}
    return scores | {"swd": Score(float(np.mean(list(by_resolution.values()))))}


def _memorization(evaluation: Evaluation, samples: ImageSet) -> dict[str, Score]:
    queries, unseen = samples.features[:MEMORIZATION_QUERIES], evaluation.real.features[:MEMORIZATION_QUERIES]
    return {"memorization": Score(distances.memorization(queries, evaluation.train_images.features, unseen))}


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("frechet", "lower", ("samples", "extractor"), _frechet, during_training=True),
        Metric("fid", "lower", ("samples", "inception"), _frechet),
        Metric("kid", "lower", ("samples", "extractor"), _kid),
        Metric("inception_score", "higher", ("samples", "probabilities"), _inception_score),
        Metric("precision", "higher", ("samples", "extractor"), _prdc, during_training=True),
        Metric("recall", "higher", ("samples", "extractor"), _prdc, during_training=True),
        Metric("density", "higher", ("samples", "extractor"), _prdc),
        Metric("coverage", "higher", ("samples", "extractor"), _prdc),
        Metric("class_accuracy", "higher", ("samples", "labels", "classifier"), class_accuracy, during_training=True),
        Metric("ms_ssim", "lower", ("samples", "labels"), _ms_ssim),
        Metric("swd", "lower", ("samples",), _swd, more_scores=r"swd_\d+"),
        Metric("memorization", "closer to 1", ("samples", "extractor", "unseen"), _memorization),
    )
}
