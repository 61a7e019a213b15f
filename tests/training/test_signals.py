"""Signals that end training after the current step."""

import os
import signal
from types import SimpleNamespace

import pytest

from zoo.training import interrupt as module
from zoo.training.interrupt import Interrupt

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def interrupt():
    original = {number: signal.signal(number, signal.SIG_DFL) for number in NUMBERS}  # a job in the background ignores some
    interrupt = Interrupt()
    interrupt.set_model(SimpleNamespace(stop_training=False))
    yield interrupt
    interrupt.restore_handlers()
    assert {signal.getsignal(number) for number in NUMBERS} == {signal.SIG_DFL}
    for number, handler in original.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_stops_training_after_the_step(interrupt, monkeypatch, number):
    left = []
    monkeypatch.setattr(module, "_leave_terminal", lambda: left.append(True))
    interrupt.on_train_begin()
    os.kill(os.getpid(), number)
    assert bool(left) == (number == signal.SIGHUP) and not interrupt.model.stop_training
    interrupt.on_train_batch_end(0)
    assert interrupt.signal == number and interrupt.model.stop_training


def test_a_second_hangup_does_not_end_the_process_before_it_has_saved(interrupt, monkeypatch):
    monkeypatch.setattr(module, "_leave_terminal", lambda: None)
    interrupt.on_train_begin()
    for _ in range(2):  # the shell and the kernel both send it
        os.kill(os.getpid(), signal.SIGHUP)
    interrupt.on_train_end()
    assert interrupt.signal == signal.SIGHUP


def test_an_ignored_hangup_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under `nohup`
    try:
        interrupt = Interrupt()
        interrupt.on_train_begin()
        os.kill(os.getpid(), signal.SIGHUP)
        interrupt.on_train_end()
        assert interrupt.signal is None
        interrupt.restore_handlers()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
