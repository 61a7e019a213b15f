"""What the workers of test_multi_worker.py compute, and one process too: a few steps of tiny models with plain SGD.

Usage: python equal_steps.py WORKERS STEPS MODEL... prints by how much workers and one process differ, relative to the largest change of a
player's weights; and by how much one process differs if its initial weights are changed by one part in ten million.
With TF_CONFIG, it is one of the workers: python equal_steps.py FOLDER STEPS MODEL... writes what changed to FOLDER/MODEL-INDEX.npz.
"""

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import conftest
import keras
import numpy as np
import tensorflow as tf

import zoo
from zoo.testing import random_source, weights
from zoo.training.cluster import Cluster, open_cluster
from zoo.training.local_workers import LocalWorkers
from zoo.training.loop import phases
from zoo.training.workers import find_worker

RATE = 0.01
BATCH = 6  # two or three workers share it


def train(cluster: Cluster, name: str, steps: int, perturbation: float = 0.0) -> dict[str, np.ndarray]:
    """The change of each weight, divided by the learning rate: after one step, the gradient."""
    keras.utils.set_random_seed(1)
    with cluster.strategy.scope():
        model = zoo.create(name, **{**conftest.tiny_settings(name), "batch_size": BATCH})
        model.compile(keras.optimizers.SGD(RATE), keras.optimizers.SGD(RATE), jit_compile=False, run_eagerly=True)
    cluster.copy_from_chief(model)
    draw = np.random.default_rng(0)
    for network in model.players.values() if perturbation else ():
        network.set_weights([value * (1 + perturbation * draw.standard_normal(value.shape)) for value in weights(network)])
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


def train_alone(name: str, steps: int, perturbation: float = 0.0) -> dict[str, np.ndarray]:
    return train(Cluster(tf.distribute.OneDeviceStrategy("CPU:0")), name, steps, perturbation)


def difference(changes: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """The largest difference of a change, relative to the largest change of the same player."""
    players: dict[str, list[str]] = {}
    for key in expected:
        players.setdefault(key[0], []).append(key)
    return max(
        max(np.abs(changes[key] - expected[key]).max() for key in keys) / max(np.abs(expected[key]).max() for key in keys)
        for keys in players.values()
    )


def compare(workers: int, steps: int, names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        status = LocalWorkers(workers).run([sys.executable, __file__, folder, str(steps), *names], fatal=1)
        if any(status):
            sys.exit(f"workers ended with {status}")
        for name in names:
            alone = train_alone(name, steps)
            together = [dict(np.load(Path(folder, f"{name}-{worker}.npz"))) for worker in range(workers)]
            equal = all(np.array_equal(together[0][key], one[key]) for one in together for key in one)
            workers_differ, perturbed = difference(together[0], alone), difference(train_alone(name, steps, 1e-7), alone)
            print(f"{name}: workers {workers_differ:.1e}, weights changed by 1e-7 {perturbed:.1e}, workers equal: {equal}", flush=True)


if __name__ == "__main__":
    folder, steps, *names = sys.argv[1:]
    if "TF_CONFIG" not in os.environ:
        compare(int(folder), int(steps), names)
        sys.exit()
    worker = find_worker()
    cluster = open_cluster("multi_worker", worker)
    for name in names:
        np.savez(Path(folder, f"{name}-{worker.index}.npz"), **train(cluster, name, int(steps)))
    cluster.agree(None)  # a worker that ends first would be missing
