"""Folders of runs, as training and evaluation write them, without any training."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.runs.folder import Run
from zoo.types import Protocol

PROTOCOL = Protocol(
    extractor="classifier-mnist-1a2b",
    extractor_sha256="1a2b" * 16,
    data="mnist 3.0.1",
    split="test",
    real_images=1000,
    fake_images=1000,
    image_shape=(28, 28, 1),
    resizing="to 28x28",
    seed=0,
    generator="ema",
    precision="float32",
    truncation=None,
)
CONFIG = {
    "image_shape": [28, 28, 1],
    "num_classes": 10,
    "batch_size": 64,
    "steps": 800,
    "eval_every": 200,
    "seed": 0,
    "discriminator_steps": 1,
    "generator_learning_rate": 0.0005,
    "widths": [64, 32],
}
RECORD = {
    "model": "acgan",
    "data": {"name": "mnist", "version": "3.0.1", "class_names": list("0123456789")},
    "precision": "float32",
    "replicas": 1,
    "xla": False,
    "parameters": {"generator": 1_234_567, "discriminator": 898_304},
    "versions": {"python": "3.12.3", "tensorflow": "2.21.0"},
    "command": "python train.py --model acgan --data mnist",
    "created": "2026-11-22T10:00:00+00:00",
    "schema": 2,
}


def changed(protocol: Protocol, **fields) -> Protocol:
    """A protocol that differs in some fields."""
    return Protocol.from_dict({**protocol.to_dict(), **fields})


LARGE = changed(PROTOCOL, fake_images=10_000, real_images=10_000)


def training_row(step, scores=None, protocol=PROTOCOL, errors=None, **more):
    """A line of metrics.jsonl as training writes it."""
    row = {"step": step, "images": 64 * step, "seconds": step / 10, "images_per_second": 640.1, "d_adversarial": 0.5, **more}
    return {**row, **score_fields(scores, protocol, errors)}


def evaluated_row(step, scores, protocol=LARGE, checkpoint="last", errors=None):
    """The same as a later evaluation writes it."""
    return {"step": step, "evaluated": True, "checkpoint": checkpoint, **score_fields(scores, protocol, errors)}


def score_fields(scores, protocol, errors):
    fields = {"scores": scores, "protocol": protocol.to_dict()} if scores else {}
    return {**fields, "errors": errors} if errors else fields


def score_rows(*values, name="frechet", protocol=PROTOCOL):
    """Rows of training whose score takes these values."""
    return [training_row(200 * (i + 1), {name: value}, protocol) for i, value in enumerate(values)]


def write_run(folder: Path, rows=(), config=None, **record) -> Run:
    """Writes the folder of a run, with a sample grid."""
    (folder / "samples").mkdir(parents=True)
    content = {**RECORD, "config": {**CONFIG, **(config or {})}, **record}
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    noise = np.random.default_rng(len(folder.name)).integers(0, 256, (60, 60), np.uint8)
    Image.fromarray(noise).save(folder / "samples" / "step-000800.png")
    return Run(folder)
