"""Numbers about images: each score with the protocol it was made by."""

from zoo.metrics.evaluation import CHEAP, METRICS, Evaluation, Side

__all__ = ["CHEAP", "METRICS", "Evaluation", "Side"]
