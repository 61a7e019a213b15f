"""Times one round of DCGAN, 28x28 grey images in batches of 128, in several styles with the very same layers.

    python benchmarks/throughput.py                 # a table on the console
    python benchmarks/throughput.py --turns 20      # a longer look

Each style is a process of its own; they take turns, one at a time, in short stretches, so that other work on the machine meets
all of them. A ratio is the median over the turns, the milliseconds are the fastest turn's. PyTorch's rows appear where torch is
installed.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time

BATCH, SIDE, LATENT, WIDTH = 128, 28, 100, 64
ROUNDS = 8  # in one stretch


def ours(precision):
    """The zoo's model, as train.py runs it."""
    import zoo  # isort: skip
    from zoo import scale

    policy = scale.precision(precision)
    game = zoo.create("dcgan", image_shape=(SIDE, SIDE, 1), width=WIDTH, output_bias=False, batch_size=BATCH)
    game.compile(jit_compile=scale.xla(), steps_per_execution=4)
    return policy, parameters(game), keras_stretch(game)


def plain():
    """The usual Keras example: two passes of the generator, Keras' own batch norm, float32, one `fit`."""
    import keras
    import tensorflow as tf
    from keras import layers

    generator = keras.Sequential(
        [
            layers.Input((LATENT,)),
            layers.Dense(7 * 7 * 2 * WIDTH, use_bias=False),
            layers.Reshape((7, 7, 2 * WIDTH)),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2DTranspose(WIDTH, 4, 2, "same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2DTranspose(1, 4, 2, "same", use_bias=False, activation="tanh"),
        ]
    )
    discriminator = keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 1)),
            layers.Conv2D(WIDTH, 4, 2, "same", use_bias=False),
            layers.LeakyReLU(0.2),
            layers.Conv2D(2 * WIDTH, 4, 2, "same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dense(1, use_bias=False),
        ]
    )

    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.generator, self.discriminator = generator, discriminator
            self.d_loss, self.g_loss = keras.metrics.Mean(name="d_loss"), keras.metrics.Mean(name="g_loss")
            self.bce = keras.losses.BinaryCrossentropy(from_logits=True)

        def compile(self, d_optimizer, g_optimizer):
            super().compile()
            self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

        @property
        def metrics(self):
            return [self.d_loss, self.g_loss]

        def train_step(self, batch):
            real = batch["image"]
            fake = self.generator(tf.random.normal((BATCH, LATENT)), training=True)
            with tf.GradientTape() as tape:
                on_real, on_fake = self.discriminator(real, training=True), self.discriminator(fake, training=True)
                d_loss = self.bce(tf.ones_like(on_real), on_real) + self.bce(tf.zeros_like(on_fake), on_fake)
            weights = self.discriminator.trainable_weights
            self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights))
            with tf.GradientTape() as tape:
                on_fake = self.discriminator(self.generator(tf.random.normal((BATCH, LATENT)), training=True), training=True)
                g_loss = self.bce(tf.ones_like(on_fake), on_fake)
            weights = self.generator.trainable_weights
            self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights))
            self.d_loss.update_state(d_loss)
            self.g_loss.update_state(g_loss)
            return {"d_loss": self.d_loss.result(), "g_loss": self.g_loss.result()}

    model = Plain()
    model.compile(keras.optimizers.Adam(2e-4, 0.5), keras.optimizers.Adam(2e-4, 0.5))
    return "float32", parameters(model), keras_stretch(model)


def keras_stretch(model):
    """A function that plays some rounds by `fit` and returns the seconds of one."""
    import keras
    import numpy as np
    import tensorflow as tf

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds = (time.perf_counter() - self.began) / ROUNDS

    clock = Clock()
    data = tf.data.Dataset.from_tensors({"image": np.random.rand(BATCH, SIDE, SIDE, 1).astype("float32") * 2 - 1}).repeat()

    def stretch():
        model.fit(data, steps_per_epoch=ROUNDS, verbose=0, shuffle=False, callbacks=[clock])
        return clock.seconds

    return stretch


def parameters(model):
    return sum(w.shape.num_elements() for network in (model.generator, model.discriminator) for w in network.trainable_weights)


def torch_row(half):
    """The usual PyTorch loop, eager; `half`: bfloat16 by autocast, channels last."""
    import contextlib

    import torch
    from torch import nn
    from torch.nn.functional import binary_cross_entropy_with_logits as bce

    same = dict(kernel_size=4, stride=2, padding=1, bias=False)  # noqa: C408  (as TensorFlow pads a 4x4 kernel at stride 2)

    generator = nn.Sequential(
        nn.Linear(LATENT, 7 * 7 * 2 * WIDTH, bias=False),
        nn.Unflatten(1, (2 * WIDTH, 7, 7)),
        nn.BatchNorm2d(2 * WIDTH),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * WIDTH, WIDTH, **same),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(),
        nn.ConvTranspose2d(WIDTH, 1, **same),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, WIDTH, **same),
        nn.LeakyReLU(0.2),
        nn.Conv2d(WIDTH, 2 * WIDTH, **same),
        nn.BatchNorm2d(2 * WIDTH),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(7 * 7 * 2 * WIDTH, 1, bias=False),
    )
    real = torch.rand(BATCH, 1, SIDE, SIDE) * 2 - 1
    cast = contextlib.nullcontext
    if half:
        generator, discriminator = (n.to(memory_format=torch.channels_last) for n in (generator, discriminator))
        real = real.contiguous(memory_format=torch.channels_last)

        def cast():
            return torch.autocast("cpu", torch.bfloat16)

    optimizers = [torch.optim.Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in (discriminator, generator)]
    ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)

    def step():
        with cast():
            fake = generator(torch.randn(BATCH, LATENT))
            d_loss = bce(discriminator(real).float(), ones) + bce(discriminator(fake.detach()).float(), zeros)
        optimizers[0].zero_grad()
        d_loss.backward()
        optimizers[0].step()
        with cast():
            g_loss = bce(discriminator(fake).float(), ones)
        optimizers[1].zero_grad()
        g_loss.backward()
        optimizers[1].step()

    def stretch():
        rounds = 1 if half else ROUNDS  # without bfloat16 units one round takes seconds
        began = time.perf_counter()
        for _ in range(rounds):
            step()
        return (time.perf_counter() - began) / rounds

    count = sum(p.numel() for network in (generator, discriminator) for p in network.parameters())
    return "bfloat16" if half else "float32", count, stretch


ROWS = {
    "zoo": lambda: ours("auto"),
    "zoo, float32": lambda: ours("float32"),
    "plain Keras": plain,
    "plain Keras, oneDNN forced on": plain,
    "PyTorch": lambda: torch_row(False),
    "PyTorch, bfloat16 channels_last": lambda: torch_row(True),
}


def work(name):
    """One style's process: says what it is, then plays a stretch for each line that it is given."""
    precision, count, stretch = ROWS[name]()
    stretch()  # traces, warms up
    print(json.dumps([precision, count]), flush=True)
    for _ in sys.stdin:
        print(json.dumps(stretch()), flush=True)


def start(name):
    # Where TensorFlow does not turn oneDNN on by itself, one row shows what that alone is worth.
    env = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1"} if "oneDNN" in name else None
    command = [sys.executable, __file__, "--row", name]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=env)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=10, help="stretches of each style")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turns < 1:
        parser.error(f"--turns {options.turns}: at least 1")
    if options.row:
        return work(options.row)
    rows = [name for name in ROWS if not name.startswith("PyTorch") or importlib.util.find_spec("torch")]
    workers, precision, counts, times = {}, {}, {}, {name: [] for name in rows}
    for name in rows:
        workers[name] = start(name)
        precision[name], counts[name] = json.loads(workers[name].stdout.readline())
    assert len(set(counts.values())) == 1, f"the networks differ: {counts}"
    for _ in range(options.turns):
        for name, worker in workers.items():
            worker.stdin.write("go\n")
            worker.stdin.flush()
            times[name].append(json.loads(worker.stdout.readline()))
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()

    def ratio(name, to):
        return statistics.median(a / b for a, b in zip(times[to], times[name]))

    print(f"DCGAN {SIDE}x{SIDE}, batch {BATCH}, {counts[rows[0]]:,} parameters, {options.turns} turns")
    print(f"{'':34}{'precision':16}{'ms/round':>9}{'images/s':>10}{'plain Keras = 1':>17}")
    for name in rows:
        best = min(times[name])
        print(f"{name:34}{precision[name]:16}{best * 1e3:9.1f}{BATCH / best:10.0f}{ratio(name, 'plain Keras'):17.2f}")
    if torch := [name for name in rows if name.startswith("PyTorch")]:
        print(f"zoo against the best PyTorch line: {min(ratio('zoo', name) for name in torch):.2f}")


if __name__ == "__main__":
    main()
