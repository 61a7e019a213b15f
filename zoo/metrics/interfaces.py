"""The interfaces of models and data sources that the metrics require; both are passed as values and not imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from zoo.metrics.registry import Metric

Wrapper = Callable[[Iterable[Any]], Iterable[Any]]  # wrapper of a loop, such as a progress bar
Progress = Callable[[str], Wrapper]  # description -> wrapper of the loop that it describes


class Source(Protocol):
    """A data source: names, sizes, and a split as arrays."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def image_shape(self) -> tuple[Any, ...]: ...

    @property
    def sizes(self) -> Mapping[str, int]: ...

    @property
    def keys(self) -> tuple[str, ...]: ...

    @property
    def class_names(self) -> tuple[str, ...] | None: ...

    @property
    def num_classes(self) -> int | None: ...

    @property
    def cache_dir(self) -> Any: ...

    @property
    def read_only_cache_dir(self) -> Any: ...

    def arrays(self, split: str = ...) -> dict[str, Any]: ...

    def load_examples(self, split: str = ..., count: int = ..., seed: int = ...) -> dict[str, Any]: ...


class BalancedSource(Source, Protocol):
    """A data source that draws examples balanced over the classes."""

    def balanced_rows(self, labels: np.ndarray, count: int, seed: int) -> np.ndarray: ...


class Modality(Protocol):
    """The kind of a model's samples; that of images has the key `image`."""

    @property
    def key(self) -> str: ...

    def sample_shape(self, config: Any) -> tuple[int, ...]: ...


class Model(Protocol):
    """A model: whether it generates from noise, what it can be conditioned on, its configuration and its samples."""

    config: Any

    @property
    def modality(self) -> Modality: ...

    @property
    def generates_from_noise(self) -> bool: ...

    @property
    def conditions(self) -> list[str]: ...

    @property
    def own_metrics(self) -> tuple[Metric, ...]: ...

    def sample(self, seed: Any, live: bool = ..., truncation: float | None = ..., **conditions: Any) -> Any: ...


def no_progress(description: str) -> Wrapper:
    """A `Progress` that shows nothing."""
    return iter


Arrays = dict[str, np.ndarray]
