"""Workers wait for each other before TensorFlow does, so that signals end them meanwhile."""

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.errors import UserError
from zoo.training.rendezvous import split_address, wait_for_others
from zoo.training.workers import Worker

ROOT = Path(__file__).parents[2]


@pytest.fixture
def addresses():
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        for each in (one, two, three):
            each.bind(("localhost", 0))
        return tuple(f"localhost:{each.getsockname()[1]}" for each in (one, two, three))


def test_workers_wait_until_all_are_there_and_free_their_ports(addresses):
    with concurrent.futures.ThreadPoolExecutor() as threads:
        first = [threads.submit(wait_for_others, Worker(addresses, index), 30) for index in (0, 2)]
        assert not concurrent.futures.wait(first, 0.5).done
        with socket.create_server(("", split_address(addresses[1])[1])):  # it may be in TensorFlow already
            for future in first:
                future.result(30)
    for address in addresses:
        socket.create_server(("", split_address(address)[1])).close()


def test_a_worker_that_is_missing_is_named(addresses):
    with pytest.raises(UserError, match=rf"worker 0 of 3 .*: {addresses[1]}, {addresses[2]} did not start in time"):
        wait_for_others(Worker(addresses, 0), timeout=0.3)


def test_a_port_that_is_taken_is_one_line(addresses):
    with socket.create_server(("", split_address(addresses[0])[1])), pytest.raises(UserError, match="its port is taken"):
        wait_for_others(Worker(addresses, 0), timeout=1)


def test_addresses_are_split():
    assert split_address("a.b:80") == ("a.b", 80) and split_address("[::1]:65535") == ("::1", 65535)


@pytest.mark.slow
@pytest.mark.parametrize("number, status", [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 128 + signal.SIGINT)])
def test_a_worker_that_waits_ends_at_once(addresses, working_directory, number, status):
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 0}}
    command = [sys.executable, str(ROOT / "train.py"), "--model", "gan", "--strategy", "multi_worker", "--run-dir", "run"]
    process = subprocess.Popen(
        command,
        env={**os.environ, "TF_CONFIG": json.dumps(config)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # xdist ignores it
    )
    try:
        assert any("waiting for the others" in line for line in process.stdout)
        process.send_signal(number)
        assert process.wait(60) == status
    finally:
        process.kill()
        process.communicate()
    assert not (working_directory / "run").exists()
