"""What the rows of the benchmarks were made with: the model's preset and the machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
from pathlib import Path

from zoo import registry

LENGTH_FIELDS = ("steps", "eval_every")  # chosen by the benchmarks
CPU_INFO = Path("/proc/cpuinfo")


def preset_digest(model: str) -> str:
    """Digest of a model's configuration: rows whose digest is another one are out of date.

    Fields that all models share count only if they differ from their defaults, so that a new one does not invalidate every row.
    """
    from zoo.core import ImageConfig

    defaults = {field.name: field.default for field in dataclasses.fields(ImageConfig)}
    config = dataclasses.asdict(registry.get_entry(model).config)
    fields = {name: value for name, value in config.items() if name not in defaults or value != defaults[name]}
    fields = {name: value for name, value in fields.items() if name not in LENGTH_FIELDS}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:8]


def describe_machine() -> str:
    """Processor and number of threads."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} threads"
