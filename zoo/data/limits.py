"""Limits on the data that are held in memory or drawn."""

from __future__ import annotations

MEMORY_BYTES = 2**26  # examples that are decoded into memory at every start; larger splits are decoded once, into files
LOADED_BYTES = 2**30  # uint8 pixels that are loaded at once: for scores, feature extractors and subsets
SUBSET_POOL = 60_000  # training images from which a subset is drawn
MEASURED_PICTURES = 64  # pictures whose median area determines the number of crops per picture
