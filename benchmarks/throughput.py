"""Times a training step of DCGAN (28x28 grayscale images, batches of 128) in several styles of code with exactly the same networks.

    python benchmarks/throughput.py                       # prints a table
    python benchmarks/throughput.py --repetitions 20      # more measurements of each style

The styles are in `dcgan_styles.py`. Each runs in a process of its own. They are measured in turn, a few steps at a time, so that other
load on the machine affects all of them alike. A ratio is the median over the repetitions, the milliseconds are those of the fastest
repetition. The PyTorch styles are measured if PyTorch is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shlex
import statistics
import subprocess
import sys

from dcgan_styles import BASELINE, OVERRIDES, STYLES


class Worker:
    """The process of one style, which builds its model and measures a few steps whenever it is sent a line.

    Args:
        style: Name of the style.

    Attributes:
        precision: Of the style's layers.
        parameters: Number of trainable parameters of each network.
        seconds: Measurements, per step.
    """

    def __init__(self, style: str) -> None:
        # TensorFlow enables oneDNN by itself only on some CPUs: one style shows what oneDNN alone is worth.
        environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1"} if "oneDNN" in style else None
        command = [sys.executable, __file__, "--style", style]
        pipe, no_log = subprocess.PIPE, subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=no_log, text=True, env=environment)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"throughput.py: error: the process of '{style}' failed; to see why: {shlex.join(command)}")
        self.precision, self.parameters = json.loads(line)
        self.seconds: list[float] = []

    def measure(self) -> None:
        """Trains for a few steps."""
        self.process.stdin.write("measure\n")
        self.process.stdin.flush()
        self.seconds.append(json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()


def serve(style: str) -> None:
    """The body of a worker process: prints precision and numbers of parameters, then the seconds per step for each line of stdin."""
    trainer = STYLES[style]()
    trainer.time_steps()  # traces the step and warms up
    print(json.dumps([trainer.precision, trainer.parameters]), flush=True)
    for _ in sys.stdin:
        print(json.dumps(trainer.time_steps()), flush=True)


def print_table(workers: dict[str, Worker]) -> None:
    """Prints the measurements of all styles."""

    def speedup(style: str, baseline: str) -> float:
        pairs = zip(workers[baseline].seconds, workers[style].seconds, strict=True)
        return statistics.median(baseline_seconds / seconds for baseline_seconds, seconds in pairs)

    height, width, _ = OVERRIDES["image_shape"]
    batch_size, baseline = OVERRIDES["batch_size"], workers[BASELINE]
    parameters = sum(baseline.parameters.values())
    print(f"DCGAN {height}x{width}, batch size {batch_size}, {parameters:,} parameters, repetitions: {len(baseline.seconds)}")
    print(f"{'':34}{'precision':16}{'ms/step':>9}{'images/s':>10}{f'{BASELINE} = 1':>17}")
    for style, worker in workers.items():
        fastest = min(worker.seconds)
        print(f"{style:34}{worker.precision:16}{fastest * 1e3:9.1f}{batch_size / fastest:10.0f}{speedup(style, BASELINE):17.2f}")
    if torch_styles := [style for style in workers if style.startswith("PyTorch")]:
        print(f"zoo relative to the fastest PyTorch style: {min(speedup('zoo', style) for style in torch_styles):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=10, help="measurements of each style")
    parser.add_argument("--style", choices=STYLES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.style:
        return serve(options.style)
    if options.repetitions < 1:
        parser.error(f"--repetitions {options.repetitions}: must be at least 1")
    has_torch = importlib.util.find_spec("torch")
    workers = {style: Worker(style) for style in STYLES if has_torch or not style.startswith("PyTorch")}
    parameters = {style: worker.parameters for style, worker in workers.items()}
    assert all(counts == parameters[BASELINE] for counts in parameters.values()), f"the networks differ: {parameters}"
    for _ in range(options.repetitions):
        for worker in workers.values():
            worker.measure()
    for worker in workers.values():
        worker.close()
    print_table(workers)


if __name__ == "__main__":
    main()
