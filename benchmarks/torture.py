"""What a run survives: kills, full disks, damaged and hostile folders, bad inputs. Prints a table and stops by itself.

    python benchmarks/torture.py              # everything, about an hour on two threads
    python benchmarks/torture.py --short      # a few cases of each part, about a minute

Training is deterministic on the CPU, so that a run which was interrupted and resumed must hold the same rows, pictures and weights as one
that was not. A C compiler is needed for the faults at every call; mounting small disks needs root. Exits with 1 if anything is wrong.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro
from faults import batches, conditions, damage, inputs, kills, processes, runs
from provenance import describe_machine

PARTS = ("calls", "disk", "kills", "signals", "conditions", "damage", "hostile", "inputs")
SHORT_STRIDE = 60
DISK_STRIDE = 15
MAX_SHOWN = 5  # problems of a part that are shown


@dataclasses.dataclass(frozen=True)
class Torture:
    """tortures a small run"""

    parts: tuple[str, ...] = PARTS
    """parts to run"""
    short: bool = False
    """a few cases of each part"""
    seed: int = 0
    """seed of all that is random"""
    damaged: int = 500
    """number of damaged files"""
    inputs: int = 2000
    """number of bad inputs"""
    kills: int = 60
    """number of kills at random times"""
    out: Path | None = None
    """JSON file for the table"""

    def __call__(self) -> int:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            os.environ["TFDS_DATA_DIR"] = str(folder / "data")  # digits and the feature extractor are prepared once
            library = processes.compile_injector(folder)
            context = processes.start_server(library)
            print("training without faults")
            (folder / "reference").mkdir()
            reference = kills.make_reference(context, folder / "reference")
            rows = [self._play(part, context, folder, reference) for part in self.parts if library or part not in ("calls", "disk")]
        table = {"machine": describe_machine(), "date": time.strftime("%Y-%m-%d"), "seed": self.seed, "rows": rows}
        print_table(rows)
        print(f"{time.monotonic() - start:.0f} s on {table['machine']}")
        if self.out:
            self.out.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        return int(any(row["wrong"] for row in rows))

    def _play(self, part: str, context: Any, folder: Path, reference: kills.Reference) -> dict[str, Any]:
        start = time.monotonic()
        title, outcomes = getattr(self, f"_play_{part}")(context, folder, reference)
        problems = [f"{place}: {text}" for place, texts in outcomes for text in texts]
        for problem in problems:
            print(f"  {problem}"[:400])
        wrong = sum(bool(texts) for _, texts in outcomes)
        return {"part": title, "cases": len(outcomes), "wrong": wrong, "seconds": round(time.monotonic() - start), "problems": problems}

    def _play_calls(self, context: Any, folder: Path, reference: kills.Reference) -> tuple[str, list[kills.Outcome]]:
        outcomes = kills.kill_everywhere(context, reference, SHORT_STRIDE if self.short else 1)
        return (
            f"killed at each of {len(reference.calls)} calls that change a file ({kills.count_calls(reference.calls)}); equal states once",
            outcomes,
        )

    def _play_disk(self, context: Any, folder: Path, reference: kills.Reference) -> tuple[str, list[kills.Outcome]]:
        outcomes = kills.fill_disk(context, reference, 2 * SHORT_STRIDE if self.short else DISK_STRIDE)
        return f"no space from a call on (each {DISK_STRIDE}th)", outcomes

    def _play_kills(self, context: Any, folder: Path, reference: kills.Reference) -> tuple[str, list[kills.Outcome]]:
        count = kills.KILLS_IN_A_ROW if self.short else self.kills
        outcomes = kills.kill_at_random(context, reference, count, self.seed, (signal.SIGKILL,))
        return f"SIGKILL at random times, {kills.KILLS_IN_A_ROW} per run", outcomes

    def _play_signals(self, context: Any, folder: Path, reference: kills.Reference) -> tuple[str, list[kills.Outcome]]:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        outcomes = kills.kill_at_random(context, reference, kills.KILLS_IN_A_ROW if self.short else self.kills // 2, self.seed, numbers)
        return f"Ctrl-C, SIGTERM and SIGHUP at random times, {kills.KILLS_IN_A_ROW} per run", outcomes

    def _play_conditions(self, context: Any, folder: Path, reference: kills.Reference) -> tuple[str, list[kills.Outcome]]:
        outcomes = conditions.try_all(context, reference, folder / "reference" / "run")
        return "umask, clock set back, read-only and small disks", outcomes

    def _play_damage(self, context: Any, folder: Path, reference: kills.Reference) -> tuple[str, list[kills.Outcome]]:
        run, count = folder / "reference" / "run", 6 if self.short else self.damaged
        cases = damage.list_damage(run, self._picture(context, run, folder), count, self.seed)
        return "damaged files of a run, two commands each", _play_batches(context, damage.play, cases, 10, "damaged files")

    def _play_hostile(self, context: Any, folder: Path, reference: kills.Reference) -> tuple[str, list[kills.Outcome]]:
        run = folder / "reference" / "run"
        cases = damage.list_hostile(run, self._picture(context, run, folder), self.seed)[:: 20 if self.short else 1]
        return "pipes, links, sockets and folders in a run, two commands each", _play_batches(
            context, damage.play, cases, 10, "hostile runs"
        )

    def _play_inputs(self, context: Any, folder: Path, reference: kills.Reference) -> tuple[str, list[kills.Outcome]]:
        cases = inputs.list_inputs(folder / "reference" / "run", 60 if self.short else self.inputs, self.seed)
        return "bad inputs to train.py, zoo and the Python API", _play_batches(context, inputs.play, cases, 50, "bad inputs")

    def _picture(self, context: Any, run: Path, folder: Path) -> str:
        """Digest of the picture that the undamaged run generates."""
        made = processes.run(context, runs.run_command, "zoo", *_generate(run, folder), folder=run)
        assert made.status == 0, made.output
        return damage.digest_picture(folder)


def _generate(run: Path, folder: Path) -> tuple[str, ...]:
    return ("generate", str(run), "--count", "2", "--out", str(folder / "picture.png"))


def _play_batches(context: Any, play: Callable[[Any, Path], list[str]], cases: list[Any], size: int, title: str) -> list[kills.Outcome]:
    problems = batches.play_all(context, play, cases, size, title)
    return [kills.Outcome(f"case {i}", texts) for i, texts in enumerate(problems)]


def print_table(rows: list[dict[str, Any]]) -> None:
    """Prints the table in Markdown."""
    print("\n| what is done | cases | wrong | seconds |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['part']} | {row['cases']} | {row['wrong']} | {row['seconds']} |")
    print()


if __name__ == "__main__":
    sys.exit(tyro.cli(Torture)())
