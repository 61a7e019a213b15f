"""Training on several workers: the strategy over them, their rows of the data, agreement on signals, and errors about a lost worker."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from zoo.core import optimizers, replicas
from zoo.errors import UserError, join_first
from zoo.training import runtime
from zoo.training.interrupt import keeping_handlers
from zoo.training.rendezvous import wait_for_others
from zoo.training.workers import Worker

if TYPE_CHECKING:
    from zoo.core import Game
    from zoo.data import Source

ABORTED = "Collective ops is aborted"  # in TensorFlow's error when a worker is gone
TASK = re.compile(r"/job:worker/replica:\d+/task:(\d+)")  # how TensorFlow names a worker
MAX_NUMBER = 127  # that workers can agree on, such as that of a signal


def create_strategy(worker: Worker) -> tf.distribute.Strategy:
    """Connects with the other workers, which it waits for; before TensorFlow has computed anything.

    Args:
        worker: This process in its cluster.

    Returns:
        A strategy with one replica for each GPU of each worker, or for each worker without one.

    Raises:
        UserError: The port of this worker is taken, TensorFlow has computed something, or the other workers do not start.
    """
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(worker.addresses)}),
        task_type="worker",
        task_id=worker.index,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
    wait_for_others(worker)
    try:
        with keeping_handlers():
            return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except tf.errors.DeadlineExceededError:
        raise UserError(f"{worker.name}: the other workers did not start in time; check their addresses, and start all again") from None
    except tf.errors.UnknownError as error:  # another program was faster
        if "Could not start gRPC server" not in str(error):
            raise
        raise UserError(f"{worker.name}: its port is taken; choose another one") from None
    except RuntimeError as error:
        if "program startup" not in str(error):
            raise
        raise UserError("--strategy multi_worker: TensorFlow has computed something in this process; start training first") from None


class LostWorkerError(UserError):
    """Another worker is gone; the message names it. If all workers are started again, the run can be resumed."""

    exit_status = 4


@contextlib.contextmanager
def explain_lost_worker(worker: Worker | None) -> Iterator[None]:
    """Converts the error with which TensorFlow fails inside the block when another worker is gone.

    Args:
        worker: This process in its cluster; None: it trains alone.

    Raises:
        LostWorkerError: Another worker is gone.
    """
    try:
        yield
    except tf.errors.OpError as error:
        lost = TASK.findall(str(error))
        if not worker or not (lost or ABORTED in str(error)):
            raise
        indices = sorted({int(index) for index in lost} - {worker.index})
        names = join_first(f"worker {index} ({worker.addresses[index]})" for index in indices if index < len(worker.addresses))
        raise LostWorkerError(
            f"{names or 'another worker'} is gone; start all workers again with --resume to continue from the last checkpoint"
        ) from None


def open_cluster(choice: str, worker: Worker | None) -> Cluster:
    """The cluster of a training; waits until all workers are there.

    Args:
        choice: The value of `--strategy`.
        worker: This process in its cluster; None: it trains alone.

    Returns:
        The cluster, with the strategy of the training.

    Raises:
        UserError: As `create_strategy`.
    """
    runtime.limit_gpu_memory()
    return Cluster(create_strategy(worker) if worker else runtime.select_strategy(choice), worker)


class Cluster:
    """The workers that train together, and the role of this process; a process that trains alone is a cluster of one.

    Args:
        strategy: The strategy of the training.
        worker: This process; None: it trains alone, on as many replicas as the strategy has.
    """

    def __init__(self, strategy: tf.distribute.Strategy, worker: Worker | None = None) -> None:
        self.strategy, self.worker = strategy, worker

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints, scores and exports."""
        return self.worker is None or self.worker.is_chief

    @property
    def num_workers(self) -> int:
        """Number of workers."""
        return len(self.worker.addresses) if self.worker else 1

    @functools.cached_property
    def own_replicas(self) -> list[int]:
        """Numbers of the replicas of this worker."""
        count = self.strategy.num_replicas_in_sync // self.num_workers
        first = count * self.worker.index if self.worker else 0
        return list(range(first, first + count))

    def batches(self, source: Source, config: Any, start: int) -> Any:
        """The training batches, of which each replica of this worker reads its own rows.

        Args:
            source: The prepared dataset.
            config: The configuration of the model.
            start: Number of the first step.

        Returns:
            The dataset that `fit` takes: of global batches, or for one of several workers of its own rows.
        """
        size, parts = config.batch_size * config.discriminator_steps, config.discriminator_steps * config.gradient_accumulation
        if self.worker is None:
            return source.batches(size, config.seed, start)
        own, count = self.own_replicas, self.strategy.num_replicas_in_sync
        positions = [position for replica in own for position in replicas.replica_positions(replica, count, size, parts)]
        batches = source.batches(size, config.seed, start, positions=positions)

        def split(batch: Any) -> tf.data.Dataset:
            pieces = {key: tf.reshape(value, [len(own), -1, *value.shape[1:]]) for key, value in batch.items()}
            return tf.data.Dataset.from_tensor_slices(pieces)

        return self.strategy.distribute_datasets_from_function(lambda _: batches.flat_map(split) if len(own) > 1 else batches)

    def agree(self, number: int | None) -> int | None:
        """Waits until all workers have called this.

        Args:
            number: A number from 1 to `MAX_NUMBER`, or None.

        Returns:
            The largest number that any worker gives, or None if none gives one.
        """
        if self.worker is None:
            return number
        (counts,) = self._sum([np.eye(MAX_NUMBER + 1, dtype=np.int64)[number or 0]])
        return int(np.flatnonzero(counts)[-1]) or None

    def release(self) -> None:
        """Lets the other workers end: they wait in `agree` until the chief has written everything. A worker that is lost is ignored."""
        with contextlib.suppress(tf.errors.OpError):
            self.agree(None)

    def copy_from_chief(self, model: Game) -> None:
        """Copies weights, optimizers and counters from the chief's model to that of each worker; waits until all workers have called this.

        Args:
            model: The compiled model, with the same variables in all workers.
        """
        if self.worker is None:
            return
        of_optimizers = [variable for optimizer in optimizers.by_player(model).values() for variable in optimizer.variables]
        variables = list({id(variable): variable for variable in [*model.variables, *of_optimizers]}.values())
        values = [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in variables]
        values = [value if value.dtype.kind == "f" else value.astype(np.int64) for value in values]
        sums = self._sum(values if self.is_chief else [np.zeros_like(value) for value in values])
        for variable, value in zip(variables, sums, strict=True):
            variable.assign(value.astype(variable.dtype))

    def _sum(self, values: list[np.ndarray]) -> list[np.ndarray]:
        """The sums of arrays over all workers."""
        sums = self.strategy.run(self._add, args=([tf.constant(value) for value in values],))
        return [self.strategy.experimental_local_results(value)[0].numpy() for value in sums]

    @functools.cached_property
    def _add(self) -> Any:
        """A function of tensors that returns their sums over all workers; each shape of them is traced once."""
        first = self.own_replicas[0]

        def add(values: list[tf.Tensor]) -> list[tf.Tensor]:
            context: Any = tf.distribute.get_replica_context()
            is_first = tf.equal(context.replica_id_in_sync_group, first)  # the others of this worker give zeros
            own = [tf.where(is_first, value, tf.zeros_like(value)) for value in values]
            return [context.all_reduce(tf.distribute.ReduceOp.SUM, value) for value in own]

        return tf.function(add, autograph=False)
