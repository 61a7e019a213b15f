"""Stateless seeds: random numbers that are a function of the step, so that a resumed run draws the same ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf


class TracePosition(threading.local):
    """How many seeds have been drawn in one tracing of the step; replicas are traced in threads of their own, which take turns.

    Attributes:
        value: The number of seeds.
        graph: The graph in which the last seed was drawn, and `of_step`, what all seeds of a step in that graph are derived from.
    """

    def __init__(self) -> None:
        self.value, self.graph, self.of_step = 0, None, None


class StatelessSeeds(keras.random.SeedGenerator):
    """Seeds that are a function of (seed, retries, step, position in the step), and the same in all replicas.

    It replaces the seed generator of every Keras layer, whose state is in no checkpoint. Replicas draw the numbers of all rows with the
    same seed, and keep those of their own rows; see `zoo.core.replicas`.

    Args:
        seed: The run's seed.
        retries: Counter of the times that training went back to a checkpoint after diverging; each retry draws other noise.
        step: Counter of completed steps.
    """

    def __init__(self, seed: int, retries: keras.Variable, step: keras.Variable) -> None:
        super().__init__(seed)
        self.base_seed, self.retries, self.step, self.position = seed, retries, step, TracePosition()

    def restart(self) -> None:
        """Begins a new step: its first draw comes next."""
        self.position.value, self.position.graph, self.position.of_step = 0, None, None

    def next(self, ordered: bool = True) -> tf.Tensor:
        """The next seed, int64 [2], for `tf.random.stateless_*` operations."""
        seed = self._fold(self._seed_of_step(), self.position.value, 0)  # 0: so that runs of earlier versions resume exactly
        self.position.value += 1
        return seed

    def _seed_of_step(self) -> tf.Tensor:
        """The part of a seed that is the same for all of a step: traced once per graph."""
        graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        if graph is None or graph is not self.position.graph:
            start = tf.constant([self.base_seed, 0], tf.int64)
            self.position.graph, self.position.of_step = graph, self._fold(start, self.retries.value, self.step.value)
        return self.position.of_step

    @staticmethod
    def _fold(seed: tf.Tensor, *parts: Any) -> tf.Tensor:
        for part in parts:
            seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(part, tf.int64))
        return seed


class ReplicaSeeds(keras.random.SeedGenerator):
    """Seeds that differ between replicas, for layers that draw the numbers of their own rows only, as Keras' do.

    Args:
        seeds: What they are derived from.
    """

    def __init__(self, seeds: StatelessSeeds) -> None:
        super().__init__(seeds.base_seed)
        self.seeds = seeds

    def next(self, ordered: bool = True) -> tf.Tensor:
        seed, replica = self.seeds.next(), tf.distribute.get_replica_context()
        several = replica is not None and replica.num_replicas_in_sync > 1
        return tf.random.experimental.stateless_fold_in(seed, tf.cast(replica.replica_id_in_sync_group, tf.int64)) if several else seed


def flatten_layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """The layer and all layers nested in it, each once, in the order of their definition."""
    pending, visited = [layer], set()
    while pending:
        current = pending.pop(0)
        if id(current) in visited:
            continue
        visited.add(id(current))
        yield current
        pending = [*(current.layers if isinstance(current, keras.Model) else _sublayers(current)), *pending]


def replace_seed_generators(model: keras.Model, seeds: StatelessSeeds) -> None:
    """Makes every random layer (dropout, noise) of a model draw from `seeds`, or from seeds of each replica that are derived from them.

    Raises:
        RuntimeError: If a layer keeps a seed generator of its own under an unexpected name: a resumed run would draw other numbers.
    """
    of_replica = ReplicaSeeds(seeds)
    for layer in flatten_layers(model):
        if layer is model:
            continue
        if hasattr(layer, "seed_generator"):
            own = seeds if getattr(layer, "draws_all_rows", False) else of_replica
            vars(layer)["seed_generator"] = own  # not by `setattr`: Keras tracks the state of what is assigned to a layer
        for name, value in vars(layer).items():
            if isinstance(value, keras.random.SeedGenerator) and value not in (seeds, of_replica):
                raise RuntimeError(
                    f"layer {layer.name} keeps a seed generator of its own in '{name}'; runs of this model would not resume exactly"
                )


def _sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers among a layer's attributes, and in its lists of them."""
    values = [part for value in vars(layer).values() for part in (value if isinstance(value, (list, tuple)) else [value])]
    return [value for value in values if isinstance(value, keras.layers.Layer)]
