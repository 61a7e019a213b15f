"""Damaged and hostile run folders: every command works, or refuses them with one line."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import socket
from pathlib import Path
from typing import Any, NamedTuple

from faults import runs
from faults.batches import Reply, call

WRONG = (None, True, 3, -1, 1.5, "4", "", [], [1], {}, {"a": 1}, 2**70, float("nan"), float("inf"))
DAMAGE = ("truncate", "flip", "append", "remove", "empty", "replace")
HOSTILE = ("pipe", "folder", "file", "dangling link", "loop", "link to a file", "link to a folder", "socket")
COMMANDS = ("generate", "resume", "go on", "compare", "export", "evaluate")
PLACES = ("config.json", "metrics.jsonl", "README.md", "samples", "checkpoints", "checkpoints/checkpoint", "checkpoints/progress.json")
PLACES += ("checkpoints/best", "checkpoints/best/score.json", "export", "export/acgan", "train", ".lock", "curve.png")
PLACES += ("samples/step-000002.png", "samples/step-999999.png", "checkpoints/ckpt-4", "checkpoints/ckpt-99.index")
UNCHECKED = ("config.json", "checkpoints/checkpoint")  # of which another valid content is not an error: they name what is loaded


class Case(NamedTuple):
    """One damaged run.

    Attributes:
        run: Folder of the run, which is copied.
        picture: Digest of what `zoo generate` makes of the undamaged run.
        place: The damaged file, relative to the run.
        kind: What is done to it.
        seed: Of the damage.
        command: The command that is tried after `generate`.
    """

    run: str
    picture: str
    place: str
    kind: str
    seed: int
    command: str


def list_damage(run: Path, picture: str, count: int, seed: int) -> list[Case]:
    """Random damage to all files of a run."""
    rng = random.Random(seed)
    files = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
    json_files = [name for name in files if name.endswith((".json", ".jsonl"))]
    cases = []
    for i in range(count):
        kind = DAMAGE[i % len(DAMAGE)] if i % 3 else "wrong type"
        name = rng.choice(json_files) if kind == "wrong type" else files[i % len(files)]
        cases.append(Case(str(run), picture, name, kind, rng.randrange(2**32), rng.choice(COMMANDS)))
    return cases


def list_hostile(run: Path, picture: str, seed: int) -> list[Case]:
    """Something else in each place of a run, for two of the commands."""
    rng = random.Random(seed)
    return [
        Case(str(run), picture, place, kind, 0, command)
        for place in PLACES
        for kind in HOSTILE
        for command in ("resume", rng.choice([name for name in COMMANDS if name != "resume"]))
    ]


def play(case: Case, folder: Path) -> list[str]:
    """Damages a copy of the run, and tries two commands on it."""
    run, outside = folder / "run", folder / "outside"
    shutil.copytree(case.run, run)
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_text("outside")
    damage(run / case.place, case.kind, random.Random(case.seed), outside)
    problems = []
    for command in ("generate", case.command):
        reply = try_command(command, run, folder)
        problems += [f"{command}: {problem}" for problem in [reply.find_fault()] if problem]
        if command == "generate" and reply.status == 0 and case.place not in UNCHECKED and "warning: " not in reply.output:
            problems += [] if digest_picture(folder) == case.picture else ["generate: another picture without a warning"]
    if (outside / "file").read_text() != "outside" or list((outside / "folder").iterdir()):
        problems.append("writes outside of the run")
    return [f"{case.place}, {case.kind}: {problem}" for problem in problems]


def try_command(name: str, run: Path, folder: Path) -> Reply:
    """Runs one of `COMMANDS`."""
    picture = str(folder / "picture.png")
    words = {
        "generate": ("zoo", "generate", str(run), "--count", "2", "--out", picture),
        "resume": ("train", "--resume", str(run)),
        "go on": ("train", "--resume", str(run), "--steps", str(runs.STEPS + 1)),
        "compare": ("zoo", "compare", str(run), "--out", str(folder / "page")),
        "export": ("zoo", "export", str(run)),
        "evaluate": ("zoo", "evaluate", str(run), "--count", "20"),
    }[name]
    return call(lambda: runs.run_command(*words))


def digest_picture(folder: Path) -> str:
    """SHA-256 of what `generate` has written."""
    return hashlib.sha256((folder / "picture.png").read_bytes()).hexdigest()


def damage(path: Path, kind: str, rng: random.Random, outside: Path) -> None:
    """Damages a file, or puts something else in its place."""
    if kind in HOSTILE:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        _put(path, kind, outside)
        return
    content = bytearray(path.read_bytes())
    place = rng.randrange(max(len(content), 1))
    if kind == "truncate":
        del content[place:]
    elif kind == "flip" and content:
        content[place] ^= 1 << rng.randrange(8)
    elif kind == "append":
        content += rng.randbytes(rng.randrange(1, 40))
    elif kind == "empty":
        content.clear()
    elif kind == "replace":
        content[:] = rng.randbytes(len(content))
    elif kind == "wrong type":
        content[:] = _change_value(bytes(content), rng)
    path.unlink()
    if kind != "remove":
        path.write_bytes(content)


def _put(path: Path, kind: str, outside: Path) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        (path / "folder").mkdir(parents=True)
    elif kind == "file":
        path.write_bytes(b"\xff\x00" * 50)
    elif kind == "socket":
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as server, contextlib.suppress(OSError):  # the path may be too long
            server.bind(str(path))
    else:
        targets = {"dangling link": outside / "nothing", "loop": path, "link to a file": outside / "file"}
        path.symlink_to(targets.get(kind, outside / "folder"))


def _change_value(content: bytes, rng: random.Random) -> bytes:
    """JSON, or lines of it, in which one value is replaced by one of `WRONG`."""
    lines = content.splitlines() if content.count(b"\n{") else [content]
    i = rng.randrange(len(lines))
    fields: Any = json.loads(lines[i])
    parents = [fields]
    for value in parents:  # grows
        parents += [below for below in (value.values() if isinstance(value, dict) else value) if isinstance(below, (dict, list)) and below]
    parent = rng.choice(parents)
    parent[rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))] = rng.choice(WRONG)
    lines[i] = json.dumps(fields).encode()
    return b"\n".join(lines) + b"\n"
