"""The workers that train together: which ones, from TF_CONFIG or from the variables of SLURM. Imports nothing heavy but for SLURM."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping

from zoo.errors import UserError, shorten

SLURM_PORTS = 20_000, 10_000  # the first port, and how many are used; which one depends on the job
MAX_PORT = 2**16 - 1
ADDRESS = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
EXPECTED = 'expected {"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}'


@dataclasses.dataclass(frozen=True)
class Worker:
    """This process as one of the workers of a cluster.

    Attributes:
        addresses: HOST:PORT of each worker, the chief first.
        index: Position of this process among them.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this is the worker that writes checkpoints, scores and exports."""
        return self.index == 0

    @property
    def name(self) -> str:
        """How messages name it: `worker 1 of 2 (10.0.0.2:8888)`."""
        return f"worker {self.index} of {len(self.addresses)} ({self.addresses[self.index]})"


def find_worker(environment: Mapping[str, str] = os.environ) -> Worker:
    """This process in its cluster.

    Args:
        environment: Environment variables.

    Returns:
        The worker.

    Raises:
        UserError: There is no cluster, or its description is wrong.
    """
    if "TF_CONFIG" in environment:
        return _from_tf_config(environment["TF_CONFIG"])
    if environment.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        return _from_slurm(environment)
    raise UserError(
        "--strategy multi_worker: there is no cluster; set TF_CONFIG on each machine, start with srun, or on this machine: "
        "zoo launch --workers 2 -- train --model acgan"
    )


def select_worker(strategy: str) -> Worker | None:
    """This process in its cluster if the value of `--strategy` asks for one, else None; see `find_worker`."""
    return find_worker() if strategy == "multi_worker" else None


def _from_tf_config(text: str) -> Worker:
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        kind, index = task["type"], int(task["index"] if not isinstance(task["index"], bool) else "")
        addresses = {kind: list(cluster.get(kind, ())) for kind in ("chief", "worker")}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"TF_CONFIG={shorten(text)}: {EXPECTED}") from None
    if kind not in addresses:
        raise UserError(f"TF_CONFIG: the task is a {shorten(kind)}; this program runs as a worker (or chief): {EXPECTED}")
    workers = [*addresses["chief"], *addresses["worker"]]
    if wrong := [one for one in workers if not _is_address(one)]:
        raise UserError(f"TF_CONFIG: {shorten(wrong[0])} is not an address HOST:PORT")
    if repeated := [one for one in workers if workers.count(one) > 1]:
        raise UserError(f"TF_CONFIG: {repeated[0]} is listed twice; each worker needs a port of its own")
    if not 0 <= index < len(addresses[kind]):
        raise UserError(f"TF_CONFIG: the task is {kind} {index}, and the cluster has {len(addresses[kind])}; they are numbered from 0")
    return Worker(tuple(workers), index + (len(addresses["chief"]) if kind == "worker" else 0))


def _is_address(text: object) -> bool:
    return isinstance(text, str) and bool(ADDRESS.fullmatch(text)) and 0 < int(text.rpartition(":")[2]) <= MAX_PORT


def _from_slurm(environment: Mapping[str, str]) -> Worker:
    # Not by `SlurmClusterResolver`: it sorts hosts by name, n10 before n2, and tasks are numbered in the order of the list.
    from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver as slurm

    try:
        hosts = slurm.expand_hostlist(environment["SLURM_STEP_NODELIST"])
        counts = slurm.expand_tasks_per_node(environment["SLURM_STEP_TASKS_PER_NODE"])
        first, count = SLURM_PORTS
        port = first + int(environment.get("SLURM_JOB_ID", "0")) % count
        addresses = [f"{host}:{port + i}" for host, tasks in zip(hosts, counts, strict=True) for i in range(tasks)]
        return Worker(tuple(addresses), range(len(addresses)).index(int(environment["SLURM_PROCID"])))
    except (KeyError, ValueError) as error:
        raise UserError(f"--strategy multi_worker: the variables of SLURM do not describe a cluster ({error}); start with srun") from None
