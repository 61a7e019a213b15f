"""The model card of a run: RUN/README.md, made from the run's folder alone, with the curve that it shows."""

import json
import math
import re
import shlex

from matplotlib import ticker
from matplotlib.figure import Figure

from zoo import results
from zoo.results import base, digits, spoken

MAIN = ("frechet", "fid")  # the score that has a panel of its own
NO_TERM = ("_logit", "_gradient_norm", "_accuracy")  # endings of what is logged of a player and is not minimised
CLASSES = 12  # that are named one by one
WARNINGS = 8  # that are quoted
MISUSE = (
    "It is for study. Do not make with it the likeness of a real person who has not agreed, do not identify people by it, and do not pass "
    "its images off as photographs or as data. They carry no watermark, and telling generated images from real ones is unreliable: say "
    "what they are, and take no detector's word as proof."
)
LICENCES = {
    "digits": 'the UCI data set "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak), CC BY 4.0',
    **dict.fromkeys(
        ("outlines", "outline_pairs", "turned_digits"), "made from the digits of the UCI data set (Alpaydin & Kaynak), CC BY 4.0"
    ),
    "photographs": "two photographs that scikit-learn carries (danielbuechele; vultilion), CC BY 2.0",
    "mnist": "MNIST (LeCun, Cortes, Burges), CC BY-SA 3.0",
    "fashion_mnist": "Fashion-MNIST (Zalando), MIT",
    "cifar10": "CIFAR-10 (Krizhevsky 2009), whose authors state no licence",
}
CATALOG = "https://www.tensorflow.org/datasets/catalog"


def renew(run, entry, game):
    """Writes the card of a `Run` of a model: its registry entry and the model itself."""
    offers = {name: [f"{spec.name} {spec.dtype.name} {_shape(spec)}" for spec in specs] for name, (_, specs) in game.exports().items()}
    shown = (type(game).preview.__doc__ or "").partition("\n")[0]
    return write(run, entry.paper, entry.line, offers, game.config.learns_until, game.draws, shown)


def write(run, paper, line, offers, until, draws=True, shown=""):
    """Writes the card of a `Run` and its curve.png; returns the card's path.

    paper: system, authors, year, arXiv id; line: what the model is, one line (both as its registry entry has them). offers: what it
    serves, signature -> its inputs, each as name, type and shape. until: the round from which more of them teach it nothing. draws:
    whether it makes images of noise, and not of other images. shown: what its grids show, one line.
    """
    measured = results.measured(run)
    asked = [text.split()[0] for text in offers.get("sample", ())]
    parts = [
        _title(run, paper, line, "label" in asked, "makes" if draws else "was trained with"),
        _samples(run, shown),
        _scores(measured),
        _curve(run, measured),
        _made(run),
        _data(run),
        _trouble(run),
        _limits(run, measured, draws),
        _use(run, asked, draws, offers, until),
        _versions(run),
    ]
    path = run.folder / "README.md"
    results.replace(path, lambda work: work.write_text("\n\n".join(part for part in parts if part) + "\n"))
    return path


# -- the sections, each Markdown, or nothing where there is nothing to say ------------------------------------------------------------


def _title(run, paper, line, by_class, makes):
    record, looks = run.record, run.looks
    config, data = record["config"], record["data"]
    classes = f" in {config['num_classes']:,} classes" if by_class else ""
    state = "no look was written yet"
    if looks:
        played, seen = looks[-1]["round"], looks[-1]
        state = f"{played:,} rounds, {seen['images']:,} images seen, {_time(seen['seconds'])}"
        if played < config["steps"]:
            state += f"; stopped before its {config['steps']:,} rounds were played"
    return (
        f"# {_safe(run.folder.resolve().name)}\n\n"
        f"`{record['model']}`: {_safe(paper)}. {_safe(line)}. This one {makes} images of {_size(config['image_shape'])}{classes}, "
        f"learned from {_safe(data['name'])} {_safe(data['version'])}: {state}."
    )


def _samples(run, shown):
    if not (path := results.last_grid(run)):
        return ""
    number = int(path.stem.removeprefix("round-"))
    return f"![samples after round {number:,}](samples/{path.name})\n\nAfter round {number:,}, not picked. {_safe(shown)}".rstrip()


def _scores(measured):
    """A table a protocol."""
    if not measured:
        return ""
    text = ["## Scores", "Scores compare only where the whole protocol is the same; each table has one."]
    for protocol, scores in sorted(measured.items(), key=lambda item: -json.loads(item[0]).get("fake_images", 0)):
        fields = json.loads(protocol)
        rows = ["| score | better is | best | at round | last | at round |", "|---|---|---:|---:|---:|---:|"]
        for name, points in scores.items():
            key, finite = results.best_first(name), [point for point in points if math.isfinite(point.value)]
            best = min(finite, key=lambda point, key=key: key(point.value), default=points[-1])
            numbers = [f"{digits(point.value)}{_error(point)} | {point.round:,}" for point in (best, points[-1])]
            rows.append(f"| {base(name).replace('_', ' ')} | {results.better(name)} | {' | '.join(numbers)} |")
        alike = [other for other in map(json.loads, measured) if _measured(other) == _measured(fields)]
        heading = _measured(fields) + f", {fields.get('precision')}" * (len(alike) > 1)
        text += [f"### {heading}", "\n".join(rows), f"Protocol: {_safe(spoken(fields))}."]
    return "\n\n".join(text)


def _measured(protocol):
    """Of what scores were made: `1,000 samples`, `360 held-out examples`."""
    if protocol.get("fake_images") or not protocol.get("real_images"):
        return f"{protocol.get('fake_images', 0):,} samples"
    return f"{protocol['real_images']:,} {'training' if protocol.get('split', '').startswith('train') else 'held-out'} examples"


def _curve(run, measured):
    """Draws curve.png: the main score, the shares among the others, the loss terms, each over images seen."""
    looks, panels, caption = run.looks, [], ""
    if measured:  # by the protocol with the most points, which is that of the looks
        protocol, scores = max(measured.items(), key=lambda item: sum(map(len, item[1].values())))
        main = next((name for name in scores if base(name) in MAIN), next(iter(scores)))
        shares = {name: points for name, points in scores.items() if name != main and _shares(points)}
        for title, some in ((base(main), {main: scores[main]}), ("other scores", shares)):
            if some:
                panels.append((title, {base(name): [(p.images, p.value) for p in points] for name, points in some.items()}))
        caption = f"\n\nThe curves of scores are by the protocol of {_measured(json.loads(protocol))}."
    terms = [
        name for name in dict.fromkeys(name for row in looks for name in row) if name[:2] in ("d_", "g_") and not name.endswith(NO_TERM)
    ]
    if terms:
        panels.append(("loss terms", {name: [(row["images"], row[name]) for row in looks if name in row] for name in terms}))
    if not panels:
        return ""
    results.replace(run.folder / "curve.png", lambda work: _drawn(panels).savefig(work, format="png", dpi=110))
    return f"![{', '.join(title for title, _ in panels)} over images seen](curve.png){caption}"


def _shares(points):
    """Whether a score's values are shares, which have an axis in common."""
    return all(0 <= point.value <= 1 for point in points if math.isfinite(point.value))


def _drawn(panels):
    """Panels side by side; each a title and named lines of (images, value)."""
    figure = Figure((4.2 * len(panels), 3.3), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        finite = []
        for name, points in lines.items():
            values = [value if isinstance(value, (int, float)) and math.isfinite(value) else math.nan for _, value in points]
            finite += [value for value in values if not math.isnan(value)]
            axes.plot([images for images, _ in points], values, linewidth=1.5, label=name, marker="o" if len(points) == 1 else None)
        if title in MAIN and finite and min(finite) > 0 and max(finite) > 10 * min(finite):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_formatter(ticker.NullFormatter())
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("images seen", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if len(lines) > 1:
            axes.legend(fontsize=7.5, frameon=False)
    return figure


def _made(run):
    record, looks = run.record, run.looks
    facts = [f"made {record['created'][:10]}", f"precision {record['precision']}"]
    if record["replicas"] > 1:
        facts.append(f"{record['replicas']} replicas")
    if looks:
        facts.append(f"{looks[-1]['images_per_second']:,.0f} images/s")
    if sizes := record.get("parameters"):
        facts.append("parameters: " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
    if best := run.best:
        why = f"{best['name']} {digits(best['value'])}"
        facts.append(f"the best checkpoint is that of round {best['round']:,}, chosen at the looks by {why}")
    command = record["command"]
    command = f"python {command}" if command.startswith("train.py") else command
    settings = "\n".join(f"| {name} | {_safe(_setting(value))} |" for name, value in record["config"].items())
    return (
        f"## How it was made\n\n{_code('sh', command)}\n\n{_sentence('; '.join(facts))}\n\n"
        f"<details><summary>All settings, resolved</summary>\n\n| setting | value |\n|---|---|\n{settings}\n\n</details>"
    )


def _data(run):
    data = run.record["data"]
    names = data["class_names"]
    some = ", ".join(_safe(name) for name in (names or ())[:CLASSES]) + (", ..." if len(names or ()) > CLASSES else "")
    classes = f" {len(names):,} classes: {some}." if names else " No classes."
    if poses := data.get("pose_names"):
        classes += f" {len(poses):,} poses, numbered from 0: {', '.join(map(_safe, poses))}."
    short = data["name"].partition("/")[0]
    if data["name"].startswith("folder:"):
        licence = "The pictures are a folder of whoever trained it: their rights are with those who made them, and with the people on them."
    elif short in LICENCES:
        licence = f"It is {_safe(LICENCES[short])}."
    else:
        where = f" at [TFDS]({CATALOG}/{short})" if re.fullmatch(r"\w+", short) else ""
        licence = f"Its licence is not known here: look it up{where} before you pass images on."
    return (
        f"## Data\n\n{_safe(data['name'])}, version {_safe(data['version'])}.{classes} {licence} "
        "The licence of the data may hold for generated images that resemble them as well, whatever the one of this code."
    )


def _trouble(run):
    """What was warned of, each once, with the rounds it was said at where the text does not name one."""
    said = {}
    for row in run.rows:
        for text in row.get("warnings") or ():
            said.setdefault(str(text), []).append(row["round"])
    lines = [f"- {'' if text.startswith('round') else f'at round {_rounds(rounds)}: '}{_safe(text)}" for text, rounds in said.items()]
    more = [f"- and {len(lines) - WARNINGS} more in metrics.jsonl"] if len(lines) > WARNINGS else []
    return "## What went wrong\n\n" + ("\n".join([*lines[:WARNINGS], *more]) or "Nothing was warned of while it trained.")


def _limits(run, measured, draws):
    evaluate = f"python -m zoo evaluate {shlex.quote(str(run.folder))}"
    size = _size(run.record["config"]["image_shape"])
    text = [f"It makes images of {size} and no others, of what its data show, with their gaps and their slant."]
    if not draws:
        text = ["It changes images such as its data show, with their gaps and their slant; what it adds is likely, not known to be true."]
        seen = " and ".join(dict.fromkeys(_measured(json.loads(protocol)) for protocol in measured))
        text.append(f"The scores are means over {seen}." if measured else f"Nothing was measured; to measure: `{evaluate}`.")
        return f"## Limits and misuse\n\n{' '.join(text)}\n\n{MISUSE}"
    if measured:
        text.append(
            "The scores compare two sets of images as one network sees them: they do not say that each image is right, and hardly notice "
            "what that network overlooks. The best round is chosen by the same real images that score it, which flatters it a little."
        )
    else:
        text.append(f"Nothing was measured: all that is known of its quality is what the samples show. To measure: `{evaluate}`.")
    copied = [scores[name][-1] for scores in measured.values() for name in scores if base(name) == "memorisation"]
    if copied:
        text.append(
            f"Memorisation is {digits(copied[-1].value)}: the median distance of a sample to the nearest training image over that "
            "of unseen real images (about 1: no nearer than those; 0: copies). A median does not exclude single copies."
        )
    else:
        text.append(f"Whether it repeats training images was not measured and is not excluded: `{evaluate} --metrics memorisation`.")
    return f"## Limits and misuse\n\n{' '.join(text)}\n\n{MISUSE}"


def _use(run, asked, draws, offers, until):
    by_class = "label" in asked
    folder, name, config = str(run.folder), run.record["model"], run.record["config"]
    quoted, best = shlex.quote(folder), run.best
    labels = [i % config["num_classes"] for i in range(3)] if by_class else None
    sample = f"python -m zoo generate {quoted} --count 64 --out samples.png"
    sample += " --checkpoint best" * bool(best)
    arguments = f"seed=[7, 8, 9]{f', label={labels}' if by_class else ''}"
    python = f"""import zoo

model = zoo.load({json.dumps(folder)}{', checkpoint="best"' if best else ""})
images = model.sample({arguments})  # float32 [3, {", ".join(map(str, config["image_shape"]))}] in [0, 1]"""
    if not draws:
        first = next(name for name in offers if f"{name}_png" in offers)
        given = ", ".join(f"{text.split()[0]}=..." for text in offers[first])
        python = f"""import zoo

model = zoo.load({json.dumps(folder)}{', checkpoint="best"' if best else ""})
image = model.serve("{first}", {given})["image"]  # float32 in [0, 1]"""
    steps = max([config["steps"], *(row["round"] for row in run.looks)])
    shell = [f"{sample}  # a grid{'; --label 0 for one class' * by_class}"]
    if not draws:
        shell = [f"python -m zoo {results.tool(offers)} {quoted} picture.png out.png{' --checkpoint best' * bool(best)}"]
    versions = results.versions(run.export_folder)
    if versions:
        place = shlex.quote(str(run.export_folder))
        mount = f"{place}:/models/{name}" if run.export_folder.is_absolute() else f'"$PWD"/{place}:/models/{name}'
        row = {name: value for name, value in {"seed": 7, "label": 0, "truncation": 2.0}.items() if name in asked}
        request = json.dumps({"signature_name": "sample", "instances": [row]})
        shell.append(f"docker run -p 8501:8501 -v {mount} -e MODEL_NAME={name} tensorflow/serving  # serves version {versions[-1]}")
        shell += [f"curl -d '{request}' http://localhost:8501/v1/models/{name}:predict"] * draws
    else:
        shell.append(f"python -m zoo export {quoted}  # a SavedModel for TensorFlow Serving")
    if steps < until:
        shell.append(f"{run.resume_command} --steps {2 * steps}  # trains on")
    return f"## Use\n\n{_code('sh', chr(10).join(shell))}\n\n{_code('python', python)}{_signatures(offers)}"


def _signatures(offers):
    """A table of what is served."""
    domains = " x is the domain of trainA, y that of trainB." if "to_y" in offers else ""
    rows = ["| signature | inputs |", "|---|---|"]
    rows += [f"| `{name}` | {', '.join(f'`{text}`' for text in inputs)} |" for name, inputs in offers.items()]
    table = "\n".join(rows)
    said = "Signatures, of `model.serve(NAME, ...)` and of a SavedModel; images are in [0, 1], bytes are those of PNG files."
    return f"\n\n{said}{domains}\n\n{table}"


def _versions(run):
    record = run.record
    told = [f"{name} {version}" for name, version in record["versions"].items()]
    return f"## Versions\n\n{_safe(', '.join(told))}; XLA {'on' if record['xla'] else 'off'}."


# -- how things are said --------------------------------------------------------------------------------------------------------------


def _safe(text):
    """Text that Markdown and HTML leave as it is, also in a table's cell."""
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", " ".join(str(text).split()))


def _code(language, text):
    """A fenced block; the fence is longer than any in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def _size(shape):
    return "x".join(map(str, shape))


def _shape(spec):
    """As `[n, height, width, 3]`: sizes that are free by name."""
    names = ("n", *["k"] * (spec.shape.rank == 5), "height", "width", "channels")
    return f"[{', '.join(str(size or name) for size, name in zip(spec.shape, names))}]"


def _setting(value):
    """A setting as one would type it."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else value


def _error(point):
    return "" if point.error is None else f" ± {digits(point.error, 2)}"


def _time(seconds):
    """`52 s`, `4 min`, `3 h 20 min`."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 100 else f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _rounds(rounds):
    return ", ".join(map(str, rounds[:3])) + (f" and {len(rounds) - 3} more" if len(rounds) > 3 else "")


def _sentence(text):
    return text[:1].upper() + text[1:] + "."
