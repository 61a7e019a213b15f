"""Limits on the data that are loaded into memory, shuffled together or sampled."""

from __future__ import annotations

MEMORY_BYTES = 2**30  # uint8 pixels of a split that are loaded as one tensor; larger splits are read from disk in every epoch
SHUFFLE_WINDOW = 4096  # examples that are shuffled together when read from disk, or as many as fit in MEMORY_BYTES
SUBSET_POOL = 60_000  # training images from which a subset is drawn
INTERLEAVED_PICTURES = 32  # pictures of any size whose crops are interleaved when read from disk
MEASURED_PICTURES = 64  # pictures whose median area determines the number of crops per picture
