"""Numbers about images: each score with the protocol it was made by."""

from zoo.metrics import analyses, distances, extractors, pictures
from zoo.metrics.evaluation import METRICS, Evaluation, best_first, known, samples

__all__ = ["METRICS", "Evaluation", "analyses", "best_first", "distances", "extractors", "known", "pictures", "samples"]
