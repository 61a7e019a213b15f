"""What one worker of several does by itself: its rows of the data, its strategy, errors about the others."""

import types

import numpy as np
import pytest
import tensorflow as tf

from zoo import data
from zoo.core import replicas
from zoo.training import cluster
from zoo.training.cluster import Cluster, LostWorkerError, explain_lost_worker
from zoo.training.workers import Worker

WORKER = Worker(("a:1", "b:2", "c:3"), 0)
ABORTED = "Collective ops is aborted by: {}\nThe error could be from a previous operation."
UNHEALTHY = (
    "Error reported from /job:worker/task:2: The following tasks are unhealthy (stopped sending heartbeats):\n/job:worker/replica:0/task:1"
)
RESET = "recvmsg:Connection reset by peer\nAdditional GRPC error information from remote target /job:worker/replica:0/task:2 while calling"


@pytest.mark.parametrize("reason, names", [(UNHEALTHY, r"worker 1 \(b:2\)"), (RESET, r"worker 2 \(c:3\)"), ("", "another worker")])
def test_the_lost_worker_is_named(reason, names):
    with pytest.raises(LostWorkerError, match=f"^{names} is gone; start all workers again with --resume"), explain_lost_worker(WORKER):
        raise tf.errors.UnavailableError(None, None, ABORTED.format(reason))


@pytest.mark.parametrize("worker, text", [(None, ABORTED.format(RESET)), (WORKER, "gs://bucket is not available")])
def test_other_errors_are_raised_unchanged(worker, text):
    with pytest.raises(tf.errors.UnavailableError), explain_lost_worker(worker):
        raise tf.errors.UnavailableError(None, None, text)


def test_each_replica_of_a_worker_reads_its_rows():
    """Two workers with two replicas each, and two updates of the discriminator per step."""
    source, config = data.open_source("digits"), types.SimpleNamespace(batch_size=8, discriminator_steps=2, gradient_accumulation=1, seed=3)
    whole = next(iter(source.batches(16, 3, 5)))
    ordered = replicas.in_order_of_parts(whole, 2, 4)
    strategy = types.SimpleNamespace(num_replicas_in_sync=4, distribute_datasets_from_function=lambda function: function(None))
    for index in range(2):
        batches = iter(Cluster(strategy, Worker(("a:1", "b:2"), index)).batches(source, config, 5))
        for replica in (2 * index, 2 * index + 1):
            batch = next(batches)
            for key, value in ordered.items():
                np.testing.assert_array_equal(batch[key], value[4 * replica : 4 * (replica + 1)])


def test_the_strategy_has_all_gpus_of_the_worker(monkeypatch):
    resolvers = []
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda cluster_resolver: resolvers.append(cluster_resolver))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"] * 3)
    monkeypatch.setattr(cluster, "wait_for_others", lambda worker: None)
    cluster.create_strategy(WORKER)
    assert resolvers[0].num_accelerators()["GPU"] == 3 and resolvers[0].task_id == 0
    assert resolvers[0].cluster_spec().as_dict() == {"worker": list(WORKER.addresses)}


def test_a_process_alone_agrees_with_itself():
    alone = Cluster(tf.distribute.get_strategy())
    assert alone.is_chief and alone.agree(15) == 15 and alone.agree(None) is None and alone.own_replicas == [0]
