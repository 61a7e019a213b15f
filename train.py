"""Trains a model of the zoo: parse, open the data, create, compile, fit, export."""

# ruff: noqa: I001
import dataclasses
import os
import re
import shlex
import sys
from typing import Literal

import zoo  # before TensorFlow, whose start-up noise it silences
import keras
import tensorflow as tf
import tyro

from zoo import callbacks, card, command, data, export, game, metrics, registry, results, runs, scale, summaries, watch
from zoo.errors import UserError

RETRIES = 3  # how often a training that has diverged goes back to its last checkpoint
FEWEST = 10  # samples that can be scored
DIVERGED = 3  # exit status where that did not help


def options_for(kind):
    """The command line: the driver's own options, then the fields of one model's Config."""

    @dataclasses.dataclass(frozen=True)
    class Options:
        config: tyro.conf.OmitArgPrefixes[kind]
        model: str = ""
        """which model; `--list` shows them, `--model NAME --help` its options"""
        data: str = "digits"
        """embedded, no download: digits, outlines, outline_pairs, photographs, turned_digits; a TFDS name (mnist, cifar10, celeb_a,
        cycle_gan/horse2zebra, div2k, ...); or folder:PATH of pictures: flat, a folder a class, trainA trainB testA testB, pairs side by
        side, or IDENTITY/POSE*.jpg, whichever the model needs"""
        data_dir: str | None = None
        """where TFDS keeps its data sets (default: TFDS_DATA_DIR, or ~/tensorflow_datasets)"""
        examples: int | None = None
        """train on so many images only, as many of each class, drawn by --seed (default: all)"""
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
        scores: int = 1000
        """samples that are scored at each look; 0: none"""
        extractor: str = "classifier"
        """what the scores see by: classifier (the data's own, trained once), rotations, inception[:FILE], keras:NETWORK"""
        best: str | None = None
        """the score that decides which checkpoint is kept as the best: kid, precision, class_accuracy, ... (default: frechet, or the first
        that the model itself measures where it makes images of images)"""
        init: str | None = None
        """folder of a run whose (averaged) generator this training starts from; of the same networks"""
        profile: bool = False
        """trace a few rounds for TensorBoard's profiler"""
        dry_run: bool = False
        """print the resolved configuration, the networks' sizes and one batch's shapes, and stop"""
        list: bool = False
        """print the table of models and stop"""

    return Options


def parse(argv):
    """(Options, Run to resume or None). The model is read first: it decides which options there are."""
    if "--list" in argv:
        print(registry.table())
        sys.exit()
    run, name = None, _value(argv, "--model")
    if folder := _value(argv, "--resume"):
        run = runs.Run(folder)
        record = run.record
        entry = registry.entry(record["model"])
        config = entry.configured(**registry.settings(record["config"]))
        default = {"config": config, "model": entry.name, "data": record["data"]["name"], "examples": record["data"].get("examples")}
        default.update(record.get("options", {}))
    elif name:
        entry = registry.entry(name)
        default = {"config": entry.config, "model": entry.name, "data": entry.model.data}
    elif {"-h", "--help"} & set(argv):
        default = {"config": game.Config()}
    elif "--resume" in argv:
        raise UserError("which run? python train.py --resume runs/NAME")
    else:
        raise UserError(f"which model? python train.py --model NAME, with one of: {', '.join(registry.names())}")
    kind = options_for(type(default["config"]))
    prog = f"train.py --model {default['model']}" if "model" in default else "train.py"
    try:
        options = command.parse(kind, argv, prog, __doc__, kind(**default))
    except UserError as error:
        raise UserError(f"{error}{_others(argv, default['config'])}") from None
    if run and options.run_dir:
        raise UserError("--resume goes on in its own folder; leave --run-dir out")
    if options.steps_per_execution < 1:
        raise UserError(f"--steps-per-execution {options.steps_per_execution}: at least 1")
    options.config.check()
    return options, run


def main(argv=None):
    options, run = parse(sys.argv[1:] if argv is None else argv)
    entry = registry.entry(options.model)
    source = data.open(options.data, options.data_dir, options.config.image_shape, entry.model.batch_keys)
    config = options.config.resolved(**source.decides)
    whole = source  # what the extractor learns from, however few the model may see
    if options.examples is not None:
        source = source.few(options.examples, config.seed)
    if source.num_classes and config.num_classes != source.num_classes:
        raise UserError(f"--num-classes {config.num_classes}: {source.name} has {source.num_classes}; leave it out")

    if not run:
        runs.Run.free(options.run_dir)
    best = options.best or ("frechet" if entry.model.draws else entry.model.measures[0])
    metrics.known(best, entry.model.measures)
    if options.scores and options.scores < FEWEST:
        raise UserError(f"--scores {options.scores}: at least {FEWEST}, or 0 for none")

    policy = scale.precision(options.precision)
    strategy = scale.strategy(options.strategy)
    replicas = strategy.num_replicas_in_sync
    compiled = scale.xla(options.xla, replicas)
    scale.check_replicas(replicas, policy, compiled, config.batch_size, config.accumulation)
    record = recorded(options, best, config, source, policy, replicas, compiled)
    if run:
        run.check(record)
    fed = entry.model.prepare(config, source)
    fits(config, fed)

    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = entry.model(config)
        model.compile(jit_compile=compiled)
        restored = run and run.checkpoints and run.restore(model)
        if options.init and not restored:
            begin(model, options.init)
    batches = fed.batches(config.batch_size * config.discriminator_steps)
    how = scale.describe(policy, compiled, replicas)
    if options.dry_run:
        plan(entry, model, source, how, "none: a dry run")
        for name, value in dataclasses.asdict(config).items():
            print(f"  {name} = {value}")
        for key, spec in batches.element_spec.items():
            print(f"  batch of {key}: {(config.batch_size * config.discriminator_steps, *spec.shape[1:])}")
        return 0

    done = model.played
    exported = run and results.versions(run.export_folder)
    if done >= config.steps and exported:
        raise UserError(f"{run.folder} has played its {done} rounds; to play on: --steps {2 * done}")
    evaluation = measured = None
    if options.scores:
        extractor = metrics.extractors.open(options.extractor, whole.pictures()) if model.reads else None
        evaluation = metrics.Evaluation(fed, extractor, options.scores)
        measured = evaluation.during_training(model, best)
    record["parameters"] = {network.name: network.count_params() for network in model.players.values()}
    run = run or runs.Run.create(record, options.run_dir)
    plan(entry, model, source, how, run.folder)
    if evaluation:
        seen = f"; {evaluation.extractor.about}" if evaluation.extractor else ""
        count, kind = f"{options.scores:,} samples", "held-out" if evaluation.split != "train" else "training"
        if not model.draws:
            count = f"{len(next(iter(evaluation.held.values()))):,} {kind} examples, as far as the data allow,"
        print(f"scores     {', '.join(measured)} of {count} at a look{seen}")
        print(f"           where they would take more than {callbacks.SHARE:.0%} of the time, a look goes without", flush=True)
    if restored:
        print(f"resumed    after round {done:,} from {restored}", flush=True)
    with runs.writing(run):
        run.lengthen(config, done)
        most = options.steps_per_execution if replicas == 1 else 1  # Keras' loop of rounds fails under MirroredStrategy
        with tf.summary.create_file_writer(str(run.folder)).as_default() as writer:
            heard = [*model.callbacks(), *heard_by(run, fed, evaluation, measured, best, options, writer)]
            status = fit(model, run, fed, most, heard)
        rounds = model.played
        if status and (status == DIVERGED or rounds < config.steps):
            card.renew(run, entry, model)
            kept = "stopped; the checkpoint is whole, and other settings need a new run" if status == DIVERGED else "saved"
            print(f"\n{kept} after round {rounds:,}; to go on: {run.resume_command}", file=sys.stderr)
            return status
        version = export.write(zoo.load(run), run.export_folder)
        card.renew(run, entry, model)
    report(run, model, version, rounds)
    return 0


def begin(model, folder):
    """Takes the averaged generator of a run as this model's, live and averaged."""
    found = zoo.load(folder)
    mine, theirs = (game.averaged.weights for game in (model, found))
    if [tuple(weight.shape) for weight in mine] != [tuple(weight.shape) for weight in theirs]:
        here, there = (dataclasses.asdict(one.config) for one in (model, found))
        training = {field.name for field in dataclasses.fields(game.Config)} - {"image_shape", "num_classes", "latent_dim"}
        both = [name for name in here if name in there and name not in training]
        differ = [f"{name} {there[name]} there, {here[name]} here" for name in both if here[name] != there[name]]
        why = f"{', '.join(differ)}; make these alike" if differ else "it is of another model"
        raise UserError(
            f"--init {folder}: its generator ({found.averaged.count_params():,} parameters) is another network than this model's "
            f"({model.averaged.count_params():,}); {why}"
        )
    for network in (model.generator or model.discriminator, model.averaged):
        network.set_weights(found.averaged.get_weights())


def recorded(options, best, config, source, policy, replicas, compiled):
    """What config.json keeps of a run."""
    return {
        "model": options.model,
        "config": dataclasses.asdict(config),
        "data": {
            **{name: getattr(source, name) for name in ("name", "version", "class_names", "pose_names")},
            "examples": options.examples,
        },
        "precision": policy,
        "replicas": replicas,
        "xla": compiled,
        "options": {  # with which a resumed run finds its data and runs as this one did
            "data_dir": options.data_dir and absolute(options.data_dir),
            "precision": scale.spoken(policy),
            "strategy": "mirrored" if replicas > 1 else "none",
            "xla": "on" if compiled else "off",
            "scores": options.scores,
            "best": best,
            "init": options.init and absolute(options.init),
            "extractor": re.sub("^(file|inception):(.+)", lambda named: f"{named[1]}:{absolute(named[2])}", options.extractor),
        },
    }


def absolute(path):
    return os.path.abspath(os.path.expanduser(path))


def fits(config, source):
    """Refuses a round that the data, as the model sees them, do not fill."""
    steps, parts, have = config.discriminator_steps, config.accumulation, source.sizes["train"]
    if have < 2:
        raise UserError(f"{source.name} has {have} image to train on; at least 2 are needed, and some hundreds to learn from")
    if config.batch_size * steps > have:
        most = have // steps // parts * parts
        use = f"--batch-size {most} is the most" if most else f"it needs {steps * parts} of them at least"
        taken = f"{config.batch_size * steps} images ({steps} times --batch-size {config.batch_size})"
        raise UserError(f"a round takes {taken} and {source.name} has {have} to train on; {use}")


def plan(entry, model, source, precision, folder):
    """Says what is about to be done."""
    config = model.config
    counts = ", ".join(f"{network.name} {network.count_params():,}" for network in model.players.values())
    shape = "x".join(map(str, config.image_shape))
    classes = f", {config.num_classes} classes" if source.num_classes else ""
    classes += f", poses {', '.join(source.pose_names)}" if source.pose_names else ""
    print(f"model      {entry.name}: {entry.paper}; parameters: {counts}")
    print(f"data       {source.name} {source.version}: {source.sizes['train']:,} images of {shape}{classes}")
    if model.milestones:
        print(f"stages     {len(model.milestones) + 1}, from rounds 0, {', '.join(f'{milestone:,}' for milestone in model.milestones)}")
    print(f"training   {config.steps:,} rounds of {config.batch_size * config.discriminator_steps} images, a look every {config.every:,}")
    print(f"precision  {precision}")
    print(f"folder     {folder}", flush=True)
    late = [milestone for milestone in model.milestones if milestone >= config.steps]
    if late:
        stages = f"{len(late)} of {len(model.milestones) + 1} stages begin after the last round"
        print(f"warning: {stages}; --steps {late[-1] + 1} is the least that plays them all", file=sys.stderr, flush=True)
    if config.steps > config.learns_until:
        fallen = f"from round {config.learns_until:,} on the learning rates are 0 (--schedule {config.schedule}), and nothing is learned"
        print(f"warning: {fallen}; a longer training is a new run, with --steps {config.steps}", file=sys.stderr, flush=True)


def heard_by(run, source, evaluation, measured, best, options, writer):
    """The callbacks of a training, in the order in which they hear of it: what `Look` writes down is found before it."""
    split = "test" if "test" in source.sizes else "train"
    batch = next(iter(source.batches(min(64, source.sizes[split]), 0, split=split)))  # always the same
    others = [watch.Watch(run, batch, metrics.pictures.pairwise_distance)]
    if evaluation:
        others.append(callbacks.Evaluate(run, writer, evaluation, measured, best))
    heard = [callbacks.Save(run), summaries.Summaries(run, writer), *others, callbacks.Look(run, writer, batch, others)]
    return [*heard, *([summaries.Profile(run)] if options.profile else [])]


def fit(model, run, source, most, heard):
    """Plays the rounds, going back where they do not stay finite. Returns the exit status that ends it early, or 0."""
    interrupt = callbacks.Interrupt()
    try:
        for tries in range(1, RETRIES + 2):
            try:
                play(model, source, most, [interrupt, *heard])
                return 128 + interrupt.signal if interrupt.signal else 0
            except watch.Diverged as trouble:
                again = f"going back to the last checkpoint with other noise ({tries} of {RETRIES})" if tries <= RETRIES else "giving up"
                text = f"{trouble}. What usually helps: smaller learning rates, --precision float32, a smaller penalty; {again}"
                print(f"\nwarning: {text}", file=sys.stderr, flush=True)
                noise = int(keras.ops.convert_to_numpy(model.retries)) + 1
                run.restore(model)
                model.retries.assign(noise)
                run.append({"round": model.played, "warnings": [text]})
        run.manager(model).save(checkpoint_number=model.played)  # with its new noise: what goes on from here does not repeat itself
        return DIVERGED
    finally:
        interrupt.restore()


def play(model, source, most, heard):
    """Plays the rounds that are left, in parts that Keras' epochs can end at looks."""
    config, interrupt = model.config, heard[0]
    for start, length, count, at_once in runs.phases(model.played, config.steps, config.every, most, model.milestones):
        if model.steps_per_execution != at_once:
            model.steps_per_execution, model.train_function = at_once, None  # Keras makes another one
        model.fit(
            source.batches(config.batch_size * config.discriminator_steps, config.seed, start),
            steps_per_epoch=length,
            initial_epoch=start // config.every,
            epochs=start // config.every + count,
            verbose=1 if sys.stdout.isatty() else 2,
            shuffle=False,
            callbacks=heard,
        )
        if interrupt.signal:
            break


def report(run, model, version, rounds):
    """Says what was written, and what to type to look at it, sample from it, serve it."""
    name, folder = run.record["model"], shlex.quote(str(run.folder))
    exported = version.relative_to(run.folder)
    mount = shlex.quote(f"{run.export_folder.resolve()}:/models/{name}")
    print(
        f"\nwritten to {run.folder}: checkpoints/, samples/round-{rounds:06d}.png, metrics.jsonl, README.md, TensorBoard events, {exported}"
    )
    if run.best:
        scored = [row for row in run.rows if run.best["name"] in row.get("scores", {})]
        last = f"; last {scored[-1]['scores'][run.best['name']]:.4g}" if scored else ""
        print(f"best           {run.best['name']} {run.best['value']:.4g} at round {run.best['round']:,}{last} (--checkpoint best)")
    print(f"look at it     tensorboard --logdir {shlex.quote(str(run.folder.parent))}")
    if model.draws:
        print(f"sample from it python -m zoo generate {folder} --count 64 --out samples.png")
    else:
        print(f"use it         python -m zoo {results.tool(model.exports())} {folder} PICTURE OUT.png")
    print(f"serve it       docker run -p 8501:8501 -v {mount} -e MODEL_NAME={name} tensorflow/serving")
    if rounds < model.config.learns_until:  # else nothing would be learned
        print(f"go on with it  {run.resume_command} --steps {2 * rounds}")


def _others(argv, config):
    """Of options that this model does not have, which models do."""
    said = ""
    for word in argv:
        name = word.partition("=")[0].removeprefix("--").replace("-", "_")
        have = [other for other in registry.names() if name in vars(registry.entry(other).config)]
        if word.startswith("--") and have and name not in vars(config):
            said += f"; --{name.replace('_', '-')} is an option of {', '.join(have)}"
    return said


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
