"""Trains a model of the zoo: parse, open the data, create, compile, fit, export."""

# ruff: noqa: I001
import contextlib
import dataclasses
import errno
import sys
from typing import Literal

import zoo  # before TensorFlow, whose start-up noise it silences
import keras
import tensorflow as tf

from zoo import callbacks, command, data, export, game, registry, runs, scale
from zoo.errors import UserError


def options_for(kind):
    """The command line: the driver's own options, then the fields of one model's Config."""

    @dataclasses.dataclass(frozen=True)
    class Options:
        config: command.tyro.conf.OmitArgPrefixes[kind]
        model: str = ""
        """which model; `--list` shows them, `--model NAME --help` its options"""
        data: str = "digits"
        """`digits` (embedded, no download), a TFDS name (mnist, cifar10, celeb_a, ...), or folder:PATH"""
        data_dir: str | None = None
        """where TFDS keeps its data sets (default: TFDS_DATA_DIR, or ~/tensorflow_datasets)"""
        run_dir: str | None = None
        """folder of the run (default: the next free runs/MODEL-DATA-NNNN)"""
        resume: str | None = None
        """folder of a run to go on with, from its last checkpoint; --steps may be larger than it was"""
        precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
        """of the layers; auto: bfloat16 where the machine has units for it, float16 on older GPUs, else float32"""
        xla: Literal["auto", "on", "off"] = "auto"
        """compile the step by XLA; auto: on one GPU"""
        strategy: Literal["auto", "none", "mirrored"] = "auto"
        """replicas; auto: mirrored where there are several GPUs"""
        steps_per_execution: int = 8
        """most rounds between two returns to Python; a divisor of --every is used"""
        profile: bool = False
        """trace a few rounds for TensorBoard's profiler"""
        dry_run: bool = False
        """print the resolved configuration, the networks' sizes and one batch's shapes, and stop"""
        list: bool = False
        """print the table of models and stop"""

    return Options


def parse(argv):
    """(Options, Run to resume or None). The model is read first: it decides which options there are."""
    given = {name: _value(argv, name) for name in ("--model", "--resume")}
    if "--list" in argv:
        print(registry.table())
        sys.exit()
    if given["--resume"]:
        run = runs.Run(given["--resume"])
        record = run.record
        entry, config = registry.entry(record["model"]), registry.entry(record["model"]).config
        config = dataclasses.replace(config, **registry.settings(record["config"]))
        spoken = {v: k for k, v in scale.PRECISIONS.items()}[record["precision"]]
        default = {"config": config, "model": entry.name, "data": record["data"]["name"], "precision": spoken}
    elif given["--model"]:
        run, entry = None, registry.entry(given["--model"])
        default = {"config": entry.config, "model": entry.name, "data": entry.model.data}
    elif {"-h", "--help"} & set(argv):
        run, default = None, {"config": game.Config()}
    else:
        raise UserError(f"which model? python train.py --model NAME, with one of: {', '.join(registry.names())}")
    kind = options_for(type(default["config"]))
    options = command.parse(kind, argv, "train.py", __doc__, kind(**default))
    if run and options.run_dir:
        raise UserError("--resume goes on in its own folder; leave --run-dir out")
    return options, run


def main(argv=None):
    options, run = parse(sys.argv[1:] if argv is None else argv)
    entry = registry.entry(options.model)
    options.config.check()

    source = data.open(options.data, options.data_dir, options.config.image_shape)
    if missing := [key for key in entry.model.batch_keys if key not in source.keys]:
        fitting = [name for name in registry.names() if set(registry.entry(name).model.batch_keys) <= set(source.keys)]
        raise UserError(
            f"{entry.name} needs {' and '.join(missing)} and {source.name} has only {', '.join(source.keys)}; use data with class labels "
            f"(digits, mnist, a folder with one folder a class), or a model that needs none: {', '.join(fitting)}"
        )
    config = options.config.resolved(source.image_shape, source.num_classes)
    images_a_round = config.batch_size * config.discriminator_steps

    policy = scale.precision(options.precision)
    strategy = scale.strategy(options.strategy)
    replicas = strategy.num_replicas_in_sync
    scale.check_replicas(replicas, policy, config.batch_size)
    record = {
        "model": entry.name,
        "config": dataclasses.asdict(config),
        "data": {"name": source.name, "version": source.version, "class_names": source.class_names},
        "precision": policy,
        "replicas": replicas,
    }
    if run:
        run.check(record)

    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = entry.model(config)
        stream = source.batches(images_a_round, config.seed)  # refuses a batch larger than the data before anything is written
        shapes = {key: tuple(value.shape) for key, value in stream.element_spec.items()}
    compiled = scale.xla(options.xla, replicas)

    def plan(folder):
        counts = [f"{n.count_params():,}" for n in (model.generator, model.discriminator)]
        shape = "x".join(map(str, config.image_shape))
        classes = f", {config.num_classes} classes" if source.num_classes else ""
        print(f"model      {entry.name}: {entry.paper}; parameters: generator {counts[0]}, discriminator {counts[1]}")
        print(f"data       {source.name} {source.version}: {source.sizes['train']:,} images of {shape}{classes}")
        print(f"training   {config.steps:,} rounds of {images_a_round} images, a look every {config.every:,}")
        print(f"precision  {scale.describe(policy, compiled, replicas)}")
        print(f"folder     {folder}", flush=True)

    if options.dry_run:
        plan("none: a dry run")
        for name, value in dataclasses.asdict(config).items():
            print(f"  {name} = {value}")
        for key, shape in shapes.items():
            print(f"  batch of {key}: {shape}")
        return 0

    with strategy.scope():
        model.compile(jit_compile=compiled)
        resumed_from = run and run.restore(model)
    done = callbacks.played(model)
    if run and done >= config.steps:
        raise UserError(f"{run.folder} has played its {done} rounds; to play on: --steps {2 * done}")
    if run:
        run.forget_after(done)
    else:
        run = runs.Run.create(record, options.run_dir)
    plan(run.folder)
    if resumed_from:
        print(f"resumed    after round {done:,} from {resumed_from}", flush=True)

    parts, model.steps_per_execution = runs.phases(done, config.steps, config.every, options.steps_per_execution)
    ended_by = fit(model, run, source, config, parts, options)
    if ended_by:
        print(f"\nsaved after round {callbacks.played(model):,}; to go on: python train.py --resume {run.folder}", file=sys.stderr)
        return 128 + ended_by
    with room(run):
        version = export.write(zoo.load(run), run.export_folder)
    report(run, version, callbacks.played(model))
    return 0


def fit(model, run, source, config, parts, options):
    """Plays the rounds. Returns the signal that ended them early, or None."""
    writer = tf.summary.create_file_writer(str(run.folder))
    batch = next(iter(source.batches(min(64, source.sizes["train"]), config.seed)))
    interrupt = callbacks.Interrupt()
    heard = [interrupt, callbacks.Look(run, writer, batch), callbacks.Summaries(run, writer)]
    heard += [callbacks.Profile(run)] if options.profile else []
    try:
        with room(run):
            for start, length, count in parts:
                epoch = start // config.every
                model.fit(
                    source.batches(config.batch_size * config.discriminator_steps, config.seed, start),
                    steps_per_epoch=length,
                    initial_epoch=epoch,
                    epochs=epoch + count,
                    verbose=1 if sys.stdout.isatty() else 2,
                    shuffle=False,
                    callbacks=heard,
                )
                if interrupt.signal:
                    break
    finally:
        interrupt.restore()
        writer.close()
    return interrupt.signal


def report(run, version, rounds):
    """Says what was written, and what to type to look at it, sample from it, serve it."""
    name = run.record["model"]
    exported = version.relative_to(run.folder)
    print(f"\nwritten to {run.folder}: checkpoints/, samples/round-{rounds:06d}.png, metrics.jsonl, TensorBoard events, {exported}")
    print(f"look at it     tensorboard --logdir {run.folder.parent}")
    print(f"sample from it python -m zoo generate {run.folder} --count 64 --out samples.png")
    mount = f"{run.export_folder.resolve()}:/models/{name}"
    print(f"serve it       docker run -p 8501:8501 -v {mount} -e MODEL_NAME={name} tensorflow/serving")
    print(f"go on with it  python train.py --resume {run.folder} --steps {2 * rounds}")


@contextlib.contextmanager
def room(run):
    """Turns a full disk into one line: what was saved before is whole."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if not full and not any(text in str(error) for text in ("No space left", "File too large", "Disk quota")):
            raise
        raise UserError(
            f"the disk is full: {run.folder} could not be written. Its checkpoints before this one are whole; "
            f"make room, then: python train.py --resume {run.folder}"
        ) from None


def _value(argv, option):
    """The value of an option before the command line is parsed in earnest."""
    for i, word in enumerate(argv):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option and i + 1 < len(argv):
            return argv[i + 1]
    return None


if __name__ == "__main__":
    command.run(main, "train.py")
