"""Waiting for the other workers to start, before TensorFlow does: while TensorFlow waits, Ctrl-C and SIGTERM have no effect."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from zoo.errors import UserError, join_first
from zoo.training.workers import Worker

TIMEOUT = 3600.0  # seconds in which all workers have to start
POLL_SECONDS, CONNECT_SECONDS = 0.2, 5.0


def wait_for_others(worker: Worker, timeout: float = TIMEOUT) -> None:
    """Waits until each of the other workers has answered at its address, which it does from when it calls this until it ends.

    Args:
        worker: This process in its cluster.
        timeout: Seconds after which to give up.

    Raises:
        UserError: The port of this worker is taken, or the others do not start in time.
    """
    print(f"{worker.name}: waiting for the others", flush=True)
    missing = [address for index, address in enumerate(worker.addresses) if index != worker.index]
    end = time.monotonic() + timeout
    with _answering(worker):
        while missing := [address for address in missing if not _answers(address)]:
            if time.monotonic() > end:
                raise UserError(f"{worker.name}: {join_first(missing)} did not start in time; check the addresses, and start all again")
            time.sleep(POLL_SECONDS)


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPV6]:PORT`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def _answering(worker: Worker) -> Iterator[None]:
    """Accepts connections at the worker's port while the block runs."""
    _, port = split_address(worker.addresses[worker.index])
    has_both = socket.has_dualstack_ipv6()
    try:
        server = socket.create_server(("", port), family=socket.AF_INET6 if has_both else socket.AF_INET, dualstack_ipv6=has_both)
    except OSError:
        raise UserError(f"{worker.name}: its port is taken; choose another one") from None
    thread = threading.Thread(target=_accept, args=(server,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it is not connected, but this wakes the thread
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def _accept(server: socket.socket) -> None:
    """Accepts connections, each of which is closed by the other side first, until the server is closed."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            connection.settimeout(CONNECT_SECONDS)
            connection.recv(1)


def _answers(address: str) -> bool:
    try:
        with socket.create_connection(split_address(address), timeout=CONNECT_SECONDS):
            return True
    except OSError:  # refused, or a name that is not known yet
        return False
