"""Metrics of generative models; each score has the protocol under which it was computed."""

from zoo.metrics import analyses, distances, extractors, image_similarity
from zoo.metrics.evaluation import Evaluation, ImageSet, check_sample_count
from zoo.metrics.extractors import FeatureExtractor, load_extractor
from zoo.metrics.registry import METRICS, Better, Metric, Need, Score, find_metric, requires_extractor

__all__ = [
    "METRICS",
    "Better",
    "Evaluation",
    "FeatureExtractor",
    "ImageSet",
    "Metric",
    "Need",
    "Score",
    "analyses",
    "check_sample_count",
    "distances",
    "extractors",
    "find_metric",
    "image_similarity",
    "load_extractor",
    "requires_extractor",
]
