"""Numbers about images: each score with the protocol it was made by."""

from zoo.metrics import analyses, distances, extractors, pictures
from zoo.metrics.evaluation import METRICS, Evaluation, known, plausible

__all__ = ["METRICS", "Evaluation", "analyses", "distances", "extractors", "known", "pictures", "plausible"]
