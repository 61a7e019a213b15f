"""Feature extractors: networks that compute the features for the metrics. The protocol of a score names its feature extractor.

`classifier` is trained once on the dataset's labels and cached with its accuracy and hash; if labels are missing or scarce, it is
self-supervised and predicts rotations. `inception` is the graph of 2015 behind published FIDs; `keras:NAME` is any network of
`keras.applications`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from zoo.errors import UserError, suggest
from zoo.metrics.extractors.applications import find_application, load_application
from zoo.metrics.extractors.base import FeatureExtractor
from zoo.metrics.extractors.classifier import REQUESTED, load_classifier, load_file
from zoo.metrics.extractors.inception import load_inception
from zoo.metrics.interfaces import Source

__all__ = [
    "NAMES",
    "FeatureExtractor",
    "check_extractor_name",
    "load_application",
    "load_classifier",
    "load_extractor",
    "load_file",
    "load_inception",
]

MAX_SEED_DIGITS = 6
NAMES = ("classifier", "classifier:SEED", "rotations", "file:PATH", "inception", "inception:FILE", "keras:NETWORK")


def load_extractor(
    name: str, source: Source, folder: str | os.PathLike[str] | None = None, log: Callable[[str], object] = print
) -> FeatureExtractor:
    """Loads a feature extractor by name, training or fetching it if necessary.

    Args:
        name: `classifier`, `classifier:SEED`, `rotations`, `file:PATH`, `inception`, `inception:FILE` or `keras:NETWORK`.
        source: The dataset; a classifier is trained on its train split.
        folder: Where trained and fetched networks are cached; default: `source.cache_dir`.
        log: Called with a message when training or a download starts.

    Raises:
        UserError: The name is unknown, or the weights can neither be loaded nor fetched.
    """
    check_extractor_name(name)
    kind, _, argument = name.partition(":")
    if kind == "classifier":
        return load_classifier(source, int(argument or 0), folder, log)
    if name == "rotations":
        return load_classifier(source, 0, folder, log, rotations=REQUESTED)
    if kind == "file":
        return load_file(argument, source)
    if kind == "inception":
        return load_inception(argument or None, folder or source.cache_dir, log, source.read_only_cache_dir)
    return load_application(argument)


def check_extractor_name(name: str) -> None:
    """Raises UserError for an unknown name and a missing file; trains, reads and fetches nothing."""
    kind, colon, argument = name.partition(":")
    is_seed = argument.isdecimal() and len(argument) <= MAX_SEED_DIGITS
    if kind == "keras":
        find_application(argument)
    elif colon and kind in ("file", "inception"):
        if not os.path.isfile(os.path.expanduser(argument)):
            raise UserError(f"--feature-extractor {name}: no such file")
    elif name not in ("classifier", "rotations", "inception") and not (kind == "classifier" and is_seed):
        raise UserError(f"unknown feature extractor '{name}'{suggest(name, NAMES)} Available: {', '.join(NAMES)}.")
