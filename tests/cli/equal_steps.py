"""What the workers of test_multi_worker.py compute, and one process too: a few steps of tiny models with plain SGD.

Usage, with TF_CONFIG: python equal_steps.py FOLDER STEPS MODEL... Writes what changed to FOLDER/MODEL-INDEX.npz.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import conftest
import keras
import numpy as np
import tensorflow as tf

import zoo
from zoo.testing import random_source, weights
from zoo.training.cluster import Cluster, open_cluster
from zoo.training.loop import phases
from zoo.training.workers import find_worker

RATE = 0.01
BATCH = 6  # two or three workers share it


def train(cluster: Cluster, name: str, steps: int) -> dict[str, np.ndarray]:
    """The change of each weight, divided by the learning rate: after one step, the gradient."""
    keras.utils.set_random_seed(1)
    with cluster.strategy.scope():
        model = zoo.create(name, **{**conftest.tiny_settings(name), "batch_size": BATCH})
        model.compile(keras.optimizers.SGD(RATE), keras.optimizers.SGD(RATE), jit_compile=False, run_eagerly=True)
    cluster.copy_from_chief(model)
    before = {player: weights(network) for player, network in model.players.items()}
    source = random_source(model)
    for start, length, count, _ in phases(0, steps, steps, 1, model.config.stage_boundaries):
        batches = cluster.batches(source, model.config, start)
        model.fit(batches, steps_per_epoch=length, epochs=count, verbose=0, shuffle=False, callbacks=model.callbacks())
    return {
        f"{player}/{i}": (after - start) / RATE
        for player, network in model.players.items()
        for i, (after, start) in enumerate(zip(weights(network), before[player], strict=True))
    }


def train_alone(name: str, steps: int) -> dict[str, np.ndarray]:
    return train(Cluster(tf.distribute.OneDeviceStrategy("CPU:0")), name, steps)


if __name__ == "__main__":
    folder, steps, *names = sys.argv[1:]
    worker = find_worker()
    cluster = open_cluster("multi_worker", worker)
    for name in names:
        np.savez(Path(folder, f"{name}-{worker.index}.npz"), **train(cluster, name, int(steps)))
    cluster.agree(None)  # a worker that ends first would be missing
