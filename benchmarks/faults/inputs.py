"""Bad inputs to both command lines and the Python API: each is refused with one line; nothing is accepted that an annotation excludes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import random
import shutil
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from faults import runs
from faults.batches import Reply, call

MODELS = ("gan", "cgan", "acgan", "dcgan", "infogan", "sgan", "vae", "autoencoder", "ebm", "wgan", "wgan_gp", "lsgan", "r3gan", "biggan")
SLOW_COMMANDS = ("Evaluate", "Analyze", "Utility")  # always given something that is refused
VALID_SHARE = 0.1  # of inputs all of whose types are right: they may be accepted or refused
MAX_OPTIONS = 3
NO_TEXT = ("", "a\0b", "x" * 5000)
TEXT = ("last", "best", "no-such-thing", "\x1b[31mred", "a b", "../x", "-", "--", "é\udcff", "%s{0}$x", "x" * 300, "recall", "digits")
NO_INTEGER = ("1.5", "x", "1e3", "0x10", "true", "9" * 400, "99999999999999999999", "1,000", "None", "", "½")
NO_FLOAT = ("x", "nan", "inf", "-inf", "1e999", "1,5", "0.5.5", "true", "", "1j")
WRONG_INTEGERS = (
    None,
    1.9,
    [1.9],
    [1.0],
    "5",
    ["5"],
    True,
    [True],
    1j,
    [float("nan")],
    b"x",
    {},
    {1},
    object(),
    [2**64],
    [10**400],
    [[1], [1, 2]],
)
WRONG_FLOATS = (None, "1", True, 1j, [1j], float("nan"), float("inf"), -1.0, 0.0, [[0.5]], b"x", {}, object(), [None], 10**400)
WRONG_TEXT = (None, 5, 1.5, True, [], {}, b"x", object())
WRONG_BOOLS = (None, 1, 0, "yes", [], 1.0, object())


class Case(NamedTuple):
    """One input.

    Attributes:
        run: Folder of the run, which is copied where it is written to.
        interface: `train`, `zoo` or `python`.
        seed: Of the input.
    """

    run: str
    interface: str
    seed: int


class Input(NamedTuple):
    """An input and the way to give it.

    Attributes:
        text: What is shown.
        give: Gives it.
        is_wrong: Whether an annotation excludes it, so that it must be refused.
    """

    text: str
    give: Callable[[], Reply]
    is_wrong: bool


def list_inputs(run: Path, count: int, seed: int) -> list[Case]:
    """Random inputs: two fifths to each command line, one fifth to Python."""
    rng = random.Random(seed)
    return [Case(str(run), ("train", "zoo", "python", "train", "zoo")[i % 5], rng.randrange(2**32)) for i in range(count)]


def play(case: Case, folder: Path) -> list[str]:
    """Gives one input in an empty working directory."""
    rng = random.Random(case.seed)
    given = {"train": _train_input, "zoo": _command_input, "python": _python_input}[case.interface](Path(case.run), folder, rng)
    with contextlib.chdir(folder):
        reply = given.give()
    problem = reply.find_fault() or ("accepted" if given.is_wrong and reply.status == 0 else None)
    return [f"{given.text:.200}: {problem}"] if problem else []


# -- the command lines ----------------------------------------------------------------------------------------------------


def _train_input(run: Path, folder: Path, rng: random.Random) -> Input:
    """Options of `train.py` and of a model's configuration, as a dry run."""
    from zoo import registry
    from zoo.cli.options import TrainOptions

    name = rng.choice(MODELS)
    hints = {**_hints(type(registry.get_entry(name).config)), **_hints(TrainOptions)}
    for field in ("model", "dry_run", "list", "resume"):
        hints.pop(field)
    words, is_wrong = _draw_options(hints, rng, rng.random() > VALID_SHARE)
    argv = ["--model", name, "--dry-run", *words]
    return Input(f"train.py {argv}", lambda: call(lambda: runs.run_command("train", *argv)), is_wrong)


def _command_input(run: Path, folder: Path, rng: random.Random) -> Input:
    """A command of `zoo` on a copy of the run, or on something else."""
    from zoo import __main__ as program

    kind = rng.choice(program.COMMANDS)
    hints = _hints(kind)
    positional = [name for name in ("run", "source", "destination", "input", "output") if name in hints]
    for name in positional:
        hints.pop(name)
    shutil.copytree(run, folder / "run")
    places = [str(folder / "run")] if rng.random() < 0.7 else [rng.choice(NO_TEXT[:1] + TEXT)]
    places += [rng.choice(TEXT) for _ in positional[1:]]
    words, is_wrong = _draw_options(hints, rng, kind.__name__ in SLOW_COMMANDS or rng.random() > VALID_SHARE)
    argv = [kind.__name__.lower(), *places[: len(positional)], *words]
    return Input(f"zoo {argv}", lambda: call(lambda: runs.run_command("zoo", *argv)), is_wrong)


@functools.cache
def _read_hints(kind: type) -> dict[str, Any]:
    fields = {field.name for field in dataclasses.fields(kind)}
    return {name: hint for name, hint in get_type_hints(kind).items() if name in fields and get_origin(hint) is not ClassVar}


def _hints(kind: type) -> dict[str, Any]:
    return dict(_read_hints(kind))


def _draw_options(hints: dict[str, Any], rng: random.Random, with_wrong: bool) -> tuple[list[str], bool]:
    """Words of some options; at least one has a value that its annotation excludes if `with_wrong`."""
    names = rng.sample(sorted(hints), min(rng.randint(1, MAX_OPTIONS), len(hints)))
    words, wrong = list[str](), 0
    for i, name in enumerate(names):
        values, is_wrong = _draw_words(
            hints[name], rng, with_wrong and not wrong and i == len(names) - 1 or with_wrong and rng.random() < 0.5
        )
        words += [f"--{name.replace('_', '-')}", *values]
        wrong += is_wrong
    if with_wrong and not wrong:  # none of the options has a type that excludes a text
        words += ["--no-such-option", "1"]
        wrong = 1
    return words, bool(wrong)


def _draw_words(hint: Any, rng: random.Random, wrong: bool) -> tuple[list[str], bool]:
    """The words of one value, and whether its annotation excludes them."""
    origin, parts = get_origin(hint), [part for part in get_args(hint) if part is not type(None)]
    if origin in (Union, types.UnionType):
        words, excluded = _draw_words(rng.choice(parts), rng, wrong) if len(parts) == 1 else (["5"], False)
        return words, excluded and words != ["None"]
    if origin is Literal:
        return (["no-choice"], True) if wrong else ([str(rng.choice(parts))], False)
    if origin is tuple:
        drawn = [_draw_words(parts[0], rng, wrong) for _ in range(rng.randint(1, 3))]
        return [word for words, _ in drawn for word in words], any(excluded for _, excluded in drawn)
    if hint is bool:
        return (["maybe"], True) if wrong else ([], False)
    if hint is int:
        return (
            ([rng.choice(NO_INTEGER)], True) if wrong else ([str(rng.choice((-1, 0, 1, 2, 3, 7, 10**5, 2**31 - 1, 2**31, 2**62)))], False)
        )
    if hint is float:
        return ([rng.choice(NO_FLOAT)], True) if wrong else ([rng.choice(("-1", "0", "0.5", "1e-3", "1e39", "1e-46"))], False)
    return ([rng.choice(NO_TEXT)], True) if wrong else ([rng.choice(TEXT)], False)


# -- Python -----------------------------------------------------------------------------------------------------------------


def _python_input(run: Path, folder: Path, rng: random.Random) -> Input:
    name = rng.choice(sorted(_CALLS))
    arguments, wrong, function = _CALLS[name](run, rng)
    return Input(f"{name} {arguments}", lambda: _call_python(lambda: function(**arguments)), wrong)


def _call_python(function: Callable[[], object]) -> Reply:
    """Calls a function of the API; its `UserError` is status 2."""
    from zoo import UserError

    def run() -> int:
        try:
            function()
        except UserError as error:
            print(f"python: error: {' '.join(str(error).split())}")
            return 2
        return 0

    return call(run)


@functools.cache
def _model() -> Any:
    """A model whose samples have a class and whose latent vectors can be truncated."""
    from zoo import testing

    return testing.build_model("biggan")


def _spoil(arguments: dict[str, Any], wrong: dict[str, tuple[Any, ...]], rng: random.Random) -> dict[str, Any]:
    """The arguments, one of which is replaced by one of its wrong values."""
    name = rng.choice(sorted(wrong))
    return {**arguments, name: rng.choice(wrong[name])}


def _sample(run: Path, rng: random.Random) -> tuple[dict[str, Any], bool, Callable[..., object]]:
    wrong = {
        "seed": WRONG_INTEGERS,
        "label": (*WRONG_INTEGERS, [-1, 0], [0, 99], [0], [[0, 1]]),
        "live": WRONG_BOOLS,
        "truncation": WRONG_FLOATS[1:],
    }
    return _spoil({"seed": [1, 2], "label": [0, 1]}, {**wrong, "pose": ([0, 1],)}, rng), True, _model().sample


def _latents(run: Path, rng: random.Random) -> tuple[dict[str, Any], bool, Callable[..., object]]:
    return _spoil({"seed": [1, 2]}, {"seed": WRONG_INTEGERS, "truncation": WRONG_FLOATS[1:]}, rng), True, _model().latents


def _serve(run: Path, rng: random.Random) -> tuple[dict[str, Any], bool, Callable[..., object]]:
    model = _model()
    name = rng.choice(sorted(model.signatures()))
    right = {"seed": [1], "label": [0], "truncation": [0.5], "latent": model.latents([1]), "image": model.sample([1], label=[0]) / 2 + 0.5}
    names = [spec.name for spec in model.signatures()[name].inputs]
    wrong = {"seed": WRONG_INTEGERS, "label": WRONG_INTEGERS, "truncation": WRONG_FLOATS, "latent": WRONG_FLOATS, "image": WRONG_FLOATS}
    arguments = {"signature": name, **{one: right[one] for one in names}}
    return _spoil(arguments, {"signature": WRONG_TEXT, **{one: wrong[one] for one in names}}, rng), True, model.serve


def _discriminate(run: Path, rng: random.Random) -> tuple[dict[str, Any], bool, Callable[..., object]]:
    right = {"image": _model().sample([1], label=[0]) / 2 + 0.5, "label": [0]}
    return _spoil(right, {"image": WRONG_FLOATS, "label": (*WRONG_INTEGERS, [-1], [99])}, rng), True, _model().discriminate


def _call(run: Path, rng: random.Random) -> tuple[dict[str, Any], bool, Callable[..., object]]:
    function = rng.choice((_model().__call__, _model().predict))
    values = (*WRONG_TEXT, *WRONG_FLOATS, {"latent": 5}, {"seed": [1]}, {"latent": [[1.0] * 8]}, {"latent": [["a"] * 8], "label": [0]})
    key = "inputs" if function == _model().__call__ else "x"
    return {key: rng.choice(values)}, True, lambda **arguments: function(*arguments.values())


def _fit(run: Path, rng: random.Random) -> tuple[dict[str, Any], bool, Callable[..., object]]:
    import numpy as np

    model = _model()
    right = {"x": np.zeros([8, 16, 16, 1], np.float32), "y": np.zeros(8, np.int64), "batch_size": 4, "verbose": 0}
    wrong = {
        "x": (
            *WRONG_TEXT,
            np.zeros([8, 9, 9, 1]),
            np.full([8, 16, 16, 1], 7.0),
            np.full([8, 16, 16, 1], np.nan),
            np.zeros([8, 16, 16, 1], complex),
        ),
        "y": (*WRONG_TEXT, np.zeros(3, np.int64), np.full(8, 99), np.full(8, -1), np.full(8, 0.5), np.zeros([8, 2], np.int64)),
        "batch_size": ("4", 0, -1, 1.5, True, [4], object()),
    }
    return _spoil(right, wrong, rng), True, lambda **arguments: model.fit(**arguments, epochs=1)


def _create(run: Path, rng: random.Random) -> tuple[dict[str, Any], bool, Callable[..., object]]:
    import zoo
    from zoo import registry

    name = rng.choice(MODELS)
    hints = _hints(type(registry.get_entry(name).config))
    field = rng.choice(sorted(hints))
    return {"name": name, field: rng.choice(_wrong_values(hints[field]))}, True, zoo.create


def _wrong_values(hint: Any) -> tuple[Any, ...]:
    """Values that an annotation excludes."""
    base = (1j, b"x", {}, object(), {1})
    kinds = [part for part in get_args(hint) if part is not type(None)] if get_origin(hint) in (Union, types.UnionType) else [hint]
    if kinds == [int]:
        return (*base, "5", 1.5, True, [1], 2**64, float("nan"))
    if kinds == [float]:
        return (*base, "5", True, [1.0], float("nan"), float("inf"), 10**400)
    if kinds == [bool]:
        return (*base, "yes", 1, 0.0, [])
    if all(get_origin(kind) is tuple for kind in kinds):
        return (*base, "5", 1.5, True, [1.5], ["a"], [None, True], 2**64)
    return (*base, 5, 1.5, True, [1], "no-such-choice") if kinds != [str] else (*base, 5, 1.5, True, [1])


def _load(run: Path, rng: random.Random) -> tuple[dict[str, Any], bool, Callable[..., object]]:
    import zoo

    wrong = {"run": (*WRONG_TEXT, *TEXT, *NO_TEXT), "checkpoint": (*WRONG_TEXT[:1], 99, -1, 1.5, True, [], b"x", "no", "")}
    return _spoil({"run": str(run)}, wrong, rng), True, zoo.load


def _list_models(run: Path, rng: random.Random) -> tuple[dict[str, Any], bool, Callable[..., object]]:
    import zoo

    return {"pattern": rng.choice(WRONG_TEXT)}, True, zoo.list_models


def _train(run: Path, rng: random.Random) -> tuple[dict[str, Any], bool, Callable[..., object]]:
    import zoo
    from zoo import registry
    from zoo.cli.options import TrainOptions

    name = rng.choice(MODELS)
    hints = {**_hints(type(registry.get_entry(name).config)), **_hints(TrainOptions)}
    field = rng.choice(sorted(set(hints) - {"model"}))
    return {"model": name, field: rng.choice(_wrong_values(hints[field])), "run_dir": os.devnull + "/x"}, True, zoo.train


_CALLS = {
    "sample": _sample,
    "latents": _latents,
    "serve": _serve,
    "discriminate": _discriminate,
    "call": _call,
    "fit": _fit,
    "create": _create,
    "load": _load,
    "list_models": _list_models,
    "train": _train,
}
