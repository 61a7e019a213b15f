"""Unusual surroundings: a small disk, masks of permissions, a clock that is set back, a run that cannot be written to."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from faults import runs
from faults.kills import Outcome, Reference
from faults.processes import Result, run

DISK_SIZES = (20, 60, 150, 300)  # kB
UMASKS = (0o077, 0o000)


def try_all(context: Any, reference: Reference, complete: Path) -> list[Outcome]:
    """All conditions that this machine allows."""
    outcomes = [_with_umask(context, reference, mask) for mask in UMASKS]
    outcomes.append(_with_clock_set_back(context, reference))
    outcomes += _on_a_read_only_disk(context, complete)
    outcomes += [outcome for size in DISK_SIZES for outcome in _on_a_small_disk(context, reference, size)]
    return outcomes


def set_umask(mask: int, folder: str, description: str) -> int:
    """A run with this mask."""
    os.umask(mask)
    return runs.resume(folder, description)


def set_clock_back(folder: str, description: str) -> int:
    """A run during which the clock jumps back by a day."""
    start, now = time.monotonic(), time.time
    time.time = lambda: now() - 86400 * (time.monotonic() - start > 2)
    return runs.resume(folder, description)


def read_run(folder: str, out: str) -> int:
    """All commands that read a run; returns the number of those that fail."""
    statuses = [
        runs.run_command("zoo", "generate", folder, "--count", "2", "--out", f"{out}/picture.png"),
        runs.run_command("zoo", "compare", folder, "--out", f"{out}/curve.png"),
        runs.run_command("zoo", "evaluate", folder, "--count", "20", "--out", f"{out}/scores.json"),
        runs.run_command("zoo", "analyze", folder, "--count", "20", "--out", f"{out}/analysis"),
    ]
    return sum(status != 0 for status in statuses)


def _compare(reference: Reference, result: Result, description: Path) -> list[str]:
    if problem := result.find_fault((0,)):
        return [f"{problem}: {result.output.strip().splitlines()[-1:]}"]
    return [f"{part} differ" for part in runs.compare(reference.description, json.loads(description.read_text()))]


def _with_umask(context: Any, reference: Reference, mask: int) -> Outcome:
    with tempfile.TemporaryDirectory() as name:
        folder, description = Path(name, "run"), Path(name, "after.json")
        result = run(context, set_umask, mask, str(folder), str(description), folder=folder)
        problems = _compare(reference, result, description)
        wrong = [path for path in [folder, *folder.rglob("*")] if path.stat().st_mode & 0o777 & mask]
        return Outcome(f"umask {mask:03o}", problems + [f"{path.name} has other permissions" for path in wrong[:1]])


def _with_clock_set_back(context: Any, reference: Reference) -> Outcome:
    with tempfile.TemporaryDirectory() as name:
        folder, description = Path(name, "run"), Path(name, "after.json")
        result = run(context, set_clock_back, str(folder), str(description), folder=folder)
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        negative = [row["step"] for row in rows for key in runs.TIMES if row.get(key, 0) < 0]
        problems = _compare(reference, result, description) + [f"negative times at step {step}" for step in negative]
        return Outcome("clock set back", problems)


def _mount(folder: Path, *options: str) -> bool:
    return subprocess.run(["mount", *options, str(folder)], capture_output=True).returncode == 0


def _on_a_read_only_disk(context: Any, complete: Path) -> list[Outcome]:
    with tempfile.TemporaryDirectory() as name:
        mounted, out = Path(name, "disk"), Path(name, "out")
        mounted.mkdir()
        out.mkdir()
        if not _mount(mounted, "--bind", str(complete.parent)):
            return []
        try:
            if not _mount(mounted, "-o", "remount,ro,bind"):
                return []
            result = run(context, read_run, str(mounted / complete.name), str(out), folder=mounted)
        finally:
            subprocess.run(["umount", str(mounted)], check=True)
        problem = result.find_fault((0,))
        files = {path.name for path in out.iterdir()}
        missing = {"picture.png", "scores.json"} - files
        return [
            Outcome(
                "read-only disk", [f"{problem}: {result.output[-300:]}"] * bool(problem) + [f"{sorted(missing)} missing"] * bool(missing)
            )
        ]


def _on_a_small_disk(context: Any, reference: Reference, size: int) -> list[Outcome]:
    """Trains on a full disk, then resumes when it has more room."""
    with tempfile.TemporaryDirectory() as name:
        disk, description = Path(name, "disk"), Path(name, "after.json")
        disk.mkdir()
        if not _mount(disk, "-t", "tmpfs", "-o", f"size={size}k", "tmpfs"):
            return []
        try:
            result = run(context, runs.train, str(disk / "run"), folder=disk / "run")
            problem = result.find_fault((1, 2))
            subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
            resumed = run(context, runs.resume, str(disk / "run"), str(description), folder=disk / "run")
            problems = _compare(reference, resumed, description)
        finally:
            subprocess.run(["umount", str(disk)], check=True)
        return [Outcome(f"disk of {size} kB", [f"{problem}: {result.output[-300:]}"] * bool(problem) + problems)]
