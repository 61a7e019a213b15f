"""An estimate of memory before data are read into it: the system ends a process that takes more, without a message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zoo.data import limits
from zoo.errors import UserError

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
ARRAY_COPIES, TENSOR_COPIES = 2, 4  # of the pixels while a folder is opened, trained on and scored; measured


def available_memory() -> int | None:
    """Bytes that this process can still allocate: free on the machine, and within the limits of its control groups; None: unknown."""
    return min(_available_amounts(), default=None)


def check_memory(description: str, pixels: int, advice: str) -> None:
    """Raises a UserError if data do not fit in memory.

    Args:
        description: What is read.
        pixels: Its bytes, as one array.
        advice: What to change.
    """
    required, available = ARRAY_COPIES * pixels + TENSOR_COPIES * min(pixels, limits.MEMORY_BYTES), available_memory()
    if available is not None and required > available:
        raise UserError(f"{description} takes {required:,} bytes of memory, and {available:,} are available; {advice}")


def _available_amounts() -> Iterator[int]:
    for line in _read(PROC / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024
    for line in _read(PROC / "self" / "cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            yield from _within_limits(CGROUPS, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            yield from _within_limits(CGROUPS / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _within_limits(root: Path, path: str, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    """What is left of the limit of a control group and of those above it; pages of files that can be dropped do not count as used."""
    group = root / path.strip("/")
    for folder in (group, *group.parents):
        maximum, used = _read(folder / limit).strip(), _read(folder / usage).strip()
        if maximum.isdecimal() and used.isdecimal():
            counts = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
            yield max(0, int(maximum) - int(used) + int(counts.get(reclaimable, 0)))
        if folder == root:
            return


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
