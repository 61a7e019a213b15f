"""Kills and full disks: at every call that changes a file of a run, and kills at random times."""

from __future__ import annotations

import collections
import json
import random
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from faults import runs
from faults.processes import FULL_DISK, Fault, Result, run, run_all

KILLS_IN_A_ROW = 3


class Outcome(NamedTuple):
    """One case: where the fault was, and what is wrong (nothing: empty)."""

    place: str
    problems: list[str]


class Reference(NamedTuple):
    """A run that was never interrupted: what it holds, its calls, and its seconds."""

    description: dict[str, Any]
    calls: list[str]
    seconds: float


def make_reference(context: Any, folder: Path) -> Reference:
    """Trains without a fault, resumes the complete run, and checks that nothing changes."""
    trained = run(context, runs.train, str(folder / "run"), folder=folder / "run")
    described = run(context, runs.write_description, str(folder / "run"), str(folder / "before.json"), folder=folder)
    resumed = run(context, runs.resume, str(folder / "run"), str(folder / "after.json"), folder=folder)
    assert trained.status == described.status == 0 and _is_complete(resumed), trained.output + described.output + resumed.output
    before = json.loads((folder / "before.json").read_text())
    assert json.loads((folder / "after.json").read_text()) == before, "resuming a complete run changes it"
    return Reference(before, trained.calls, trained.seconds)


def kill_everywhere(context: Any, reference: Reference, stride: int) -> list[Outcome]:
    """Resumes a run as it is left by a kill at each call that changes a file, and compares it with the run without faults.

    The process is not killed: what it would leave is copied at each call, with half of what the call writes. Equal copies are tried once.

    Args:
        context: From `processes.start_server`.
        reference: The run without faults.
        stride: Every how many copies one is tried.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, snapshots = Path(name) / "run", Path(name) / "snapshots"
        snapshots.mkdir()
        observed = run(context, runs.train, str(folder), folder=folder, fault=Fault(snapshots=str(snapshots)))
        assert observed.status == 0, observed.output

        def play(number: int) -> Outcome:
            with tempfile.TemporaryDirectory() as case:
                (snapshots / str(number)).rename(Path(case) / "run")
                return Outcome(observed.calls[number - 1], _resume(context, Path(case), reference))

        numbers = sorted(int(path.name) for path in snapshots.iterdir())
        return list(run_all(play, numbers[::stride], "killed at each call"))


def fill_disk(context: Any, reference: Reference, stride: int) -> list[Outcome]:
    """Lets each `stride`-th call and all later ones fail for lack of space, resumes, and compares with the run without faults."""

    def play(call: int) -> Outcome:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "run"
            result = run(context, runs.train, str(folder), folder=folder, fault=Fault(call, FULL_DISK))
            place = result.calls[-1] if result.calls else "?"
            return Outcome(place, _check_full_disk(result) + _resume(context, Path(name), reference))

    return list(run_all(play, range(1, len(reference.calls) + 1, stride), "full disk"))


def _check_full_disk(result: Result) -> list[str]:
    """What is wrong with a process that ran out of space: it ends with one line, or only warns of what can be written later."""
    problem = result.find_fault((0, 1, 2))
    errors = [line for line in result.output.splitlines() if ": error:" in line]
    return [*([problem] if problem else []), *(["no line of error"] if result.status and len(errors) != 1 else [])]


def _resume(context: Any, folder: Path, reference: Reference) -> list[str]:
    result = run(context, runs.resume, str(folder / "run"), str(folder / "after.json"), folder=folder / "run")
    if problem := None if _is_complete(result) else result.find_fault((0,)):
        return [f"resume: {problem}: {result.output.strip().splitlines()[-1:]}"]
    return [f"{part} differ" for part in runs.compare(reference.description, json.loads((folder / "after.json").read_text()))]


def _is_complete(result: Result) -> bool:
    """Whether a run was not resumed because it has no steps left."""
    return result.status == 2 and f"has completed its {runs.STEPS} steps" in result.output


def kill_at_random(context: Any, reference: Reference, count: int, seed: int, numbers: tuple[int, ...]) -> list[Outcome]:
    """Sends signals at random times, three to each run, then lets it end and compares it with the run without faults."""
    rng = random.Random(seed)
    chains = [[(rng.random(), rng.choice(numbers)) for _ in range(KILLS_IN_A_ROW)] for _ in range(-(-count // KILLS_IN_A_ROW))]

    def play(chain: list[tuple[float, int]]) -> Outcome:
        with tempfile.TemporaryDirectory() as name:
            folder, problems, places = Path(name) / "run", list[str](), list[str]()
            for share, number in chain:
                arguments = (str(folder), str(Path(name) / "unused.json"))
                result = run(context, runs.resume, *arguments, folder=folder, kill_after=share * reference.seconds, number=number)
                problem = None if _is_complete(result) else result.find_fault((0, -number, 128 + number))
                problems += [problem] if problem else []
                places += result.calls[-1:]
            return Outcome(", ".join(places), problems + _resume(context, Path(name), reference))

    return list(run_all(play, chains, "signals at random times"))


def count_calls(calls: list[str]) -> str:
    """Numbers of the calls by kind: `close 40, fsync 12`."""
    return ", ".join(f"{name} {count}" for name, count in sorted(collections.Counter(call.split()[0] for call in calls).items()))
