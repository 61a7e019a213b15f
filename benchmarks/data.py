"""Reading many pictures: seconds to index, prepare and start, memory, classes in a batch, and images per second beside plain tf.data.

    python benchmarks/data.py --count 200000

makes a folder of JPEG pictures in class folders (once, unless --folder names one), and prints a table. Every measurement runs in a process
of its own, so that memory is that of the measurement alone.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tyro

SMALL = 2_000  # pictures of the folder that memory is compared with
BATCH, BATCHES = 64, 300
TRAIN_STEPS = 60


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures how a folder of pictures is read."""

    count: int = 200_000
    """number of pictures"""
    classes: int = 100
    """number of class folders"""
    side: int = 64
    """side of the pictures in pixels"""
    folder: Path | None = None
    """where the pictures are made, or are already; default: a temporary folder"""
    part: str = ""
    """for internal use: the measurement that this process makes"""
    pictures: Path | None = None
    """for internal use: the folder that it reads"""


def make_pictures(folder: Path, count: int, classes: int, side: int) -> None:
    """Writes JPEG pictures, each a smooth random pattern with noise, so that they are about as large as photographs of that size."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True, exist_ok=True)
    for i in range(count):
        path = folder / f"class{i % classes}" / f"{i:07d}.jpg"
        if path.exists():
            continue
        colors = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(colors).resize((side, side), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(picture + rng.integers(-12, 13, picture.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(path, quality=90)


def read_memory() -> int:
    """Anonymous memory of this process in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def measure_start(options: Options) -> dict[str, Any]:
    """Seconds to import, to open the folder, and to its first batch."""
    began = time.monotonic()
    import tensorflow  # noqa: F401

    imported = time.monotonic()
    from zoo import data

    source = data.open_source(f"folder:{options.pictures}", keys=("image", "label"))
    opened = time.monotonic()
    batches = iter(source.batches(BATCH))
    first = next(batches)
    done = time.monotonic()
    labels = [len(set(np.asarray(next(batches)["label"]))) for _ in range(BATCHES)]
    return {
        "import tensorflow": imported - began,
        "index": opened - imported,
        "prepare": done - opened,
        "classes in a batch": [min(labels), float(np.mean(labels))],
        "shape": list(first["image"].shape),
    }


def measure_training(options: Options, **settings: Any) -> dict[str, Any]:
    """Peak anonymous memory of training the small DCGAN with these options, and its images per second."""
    import zoo

    peak = [0]
    with tempfile.TemporaryDirectory() as folder:
        import threading

        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.05):
                peak[0] = max(peak[0], read_memory())

        thread = threading.Thread(target=watch)
        thread.start()
        run = zoo.train(
            "dcgan",
            data=f"folder:{options.pictures}",
            steps=TRAIN_STEPS,
            eval_every=TRAIN_STEPS // 2,
            run_dir=f"{folder}/run",
            **settings,
        )
        stop.set()
        thread.join()
        return {"memory": peak[0], "images per second": run.evaluations()[-1]["images_per_second"]}


def measure_speed(options: Options) -> dict[str, Any]:
    """Images per second of the pipeline alone: ours, and plain ones that decode in every epoch."""
    import keras
    import tensorflow as tf

    from zoo import data

    source = data.open_source(f"folder:{options.pictures}", keys=("image", "label"))

    def decode(path: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.image.decode_jpeg(tf.io.read_file(path), 3), tf.float32) / 127.5 - 1

    files = tf.data.Dataset.list_files(f"{options.pictures}/*/*.jpg", shuffle=True)
    plain = files.map(decode, tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    from_directory = keras.utils.image_dataset_from_directory(
        options.pictures, batch_size=BATCH, image_size=(options.side, options.side), verbose=False
    ).prefetch(tf.data.AUTOTUNE)
    pipelines: dict[str, Callable[[], Any]] = {
        "zoo": lambda: source.batches(BATCH),
        "tf.data: list_files and decode": lambda: plain.repeat(),
        "keras: image_dataset_from_directory": lambda: from_directory.repeat(),
    }
    speeds: dict[str, list[float]] = {name: [] for name in pipelines}
    for _ in range(3):  # in turns: the machine may be busy for a while
        for name, make in pipelines.items():
            batches = iter(make())
            for _ in range(20):
                next(batches)
            began = time.monotonic()
            for _ in range(BATCHES):
                next(batches)
            speeds[name].append(BATCH * BATCHES / (time.monotonic() - began))
    return {name: float(np.median(values)) for name, values in speeds.items()}


PARTS: dict[str, Callable[[Options], dict[str, Any]]] = {
    "start": measure_start,
    "training": functools.partial(measure_training, eval_samples=0),
    "training with scores": measure_training,
    "speed": measure_speed,
}


def run_part(options: Options, part: str, pictures: Path, cache: Path) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--part", part, "--pictures", str(pictures), "--side", str(options.side)]
    environment = {**os.environ, "TFDS_DATA_DIR": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3"}
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def main(options: Options) -> None:
    if options.part:
        print(json.dumps(PARTS[options.part](options)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder, cache = options.folder or Path(name) / "pictures", Path(name) / "cache"
        small = Path(name) / "small"
        make_pictures(folder, options.count, options.classes, options.side)
        make_pictures(small, SMALL, options.classes, options.side)
        first, second = (run_part(options, "start", folder, cache) for _ in range(2))
        speed = run_part(options, "speed", folder, cache)
        trainings = {part: [run_part(options, part, one, cache) for one in (folder, small)] for part in PARTS if "training" in part}
    memory = {part: f"{(large['memory'] - small['memory']) / 2**30:.2f} GiB" for part, (large, small) in trainings.items()}
    trained = trainings["training"][0]["images per second"]
    rows = [
        ("seconds to index", f"{first['index']:.1f}"),
        ("seconds to prepare", f"{first['prepare']:.1f}"),
        ("seconds to the first batch at a second start", f"{second['index'] + second['prepare']:.1f}"),
        ("seconds of importing TensorFlow", f"{second['import tensorflow']:.1f}"),
        (f"classes in a batch of {BATCH}: least, mean", f"{second['classes in a batch'][0]}, {second['classes in a batch'][1]:.1f}"),
        *((f"peak anonymous memory of {part} above that of {SMALL:,} pictures", value) for part, value in memory.items()),
        *((f"images/s, {name}", f"{value:,.0f}") for name, value in speed.items()),
        ("images/s of training dcgan", f"{trained:,.0f}"),
        ("pipeline over training", f"{speed['zoo'] / trained:.1f}"),
    ]
    print(f"\n| {options.count:,} pictures of {options.side}x{options.side} in {options.classes} classes | |\n|---|---|")
    for title, value in rows:
        print(f"| {title} | {value} |")


if __name__ == "__main__":
    main(tyro.cli(Options))
