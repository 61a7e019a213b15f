"""How options are shown and how mistakes are reported: tyro's notation and its boxes of errors in plain words."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable
from typing import Any, get_args

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo, UnsupportedTypeAnnotationError

REGISTRY = ConstructorRegistry()
KINDS: dict[type, tuple[str, str]] = {int: ("INT", "an integer"), float: ("FLOAT", "a number")}
QUOTED = "'(.*?)'"
OPTION = re.compile(r"(--[\w-]+) ?(.*)")


@REGISTRY.primitive_rule
def number_rule(type_info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """Numbers whose errors say what is expected."""
    kind: Any = type_info.type
    if kind not in KINDS:
        return None
    metavar, expected = KINDS[kind]

    def convert(words: list[str]) -> Any:
        try:
            return kind(words[0])
        except ValueError:
            raise ValueError(f"expected {expected}, got '{words[0]}'") from None

    return PrimitiveConstructorSpec(1, metavar, convert, lambda value: type(value) is kind, lambda value: [str(value)])


@REGISTRY.primitive_rule
def optional_rule(type_info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | UnsupportedTypeAnnotationError | None:
    """`X | None` is shown as X; `None` is accepted as well, for a preset that has a value."""
    kinds = [kind for kind in get_args(type_info.type) if kind is not type(None)]
    if len(kinds) != 1 or type(None) not in get_args(type_info.type):
        return None
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(kinds[0], set(type_info.markers)))
    if isinstance(spec, UnsupportedTypeAnnotationError):
        return spec

    def convert(words: list[str]) -> Any:
        if words == ["None"]:
            return None
        if not words:
            raise ValueError("needs at least one value")
        if isinstance(spec.nargs, int) and len(words) != spec.nargs:
            raise ValueError(f"expected {spec.metavar}, got {' '.join(words)}")
        return spec.instance_from_str(words)

    return dataclasses.replace(
        spec,
        nargs=(1, spec.nargs) if isinstance(spec.nargs, int) and spec.nargs > 1 else spec.nargs,
        instance_from_str=convert,
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: ["None"] if value is None else spec.str_from_instance(value),
        choices=spec.choices and (*spec.choices, "None"),
    )


def explain(text: str) -> str:
    """What tyro prints about a mistake, in one line.

    Args:
        text: tyro's box: its title, the problem, maybe suggestions or the option's help, and where to find the whole help text.
    """
    lines = _split_box(text)
    problem, _, rest = " ".join(lines).partition("For full helptext, ")
    problem = problem.strip().removesuffix(".")
    for pattern, explanation in EXPLANATIONS:
        if match := re.fullmatch(pattern, problem):
            problem = explanation(match, lines)
            break
    where = re.sub(r"^(run|see):? ", "", rest)
    if not where:
        return problem
    return f"{problem} All options: {where}" if problem.endswith("?") else f"{problem}; all options: {where}"


def _split_box(text: str) -> list[str]:
    """The lines inside of a box. Where the output is not UTF-8, the title stands above a line of dashes instead."""
    text = re.sub(r"\x1b\[[0-9;]*m|\[/?bold\]", "", text)
    lines = [line for line in (line.strip("│╭╮╰╯ ") for line in text.splitlines()) if line]
    if lines and lines[0].endswith("─") or len(lines) > 1 and not lines[1].strip("-"):
        lines = lines[1:]  # without the title
    return [line for line in lines if line.strip("─- ")]


def _explain_unknown_words(match: re.Match[str], lines: list[str]) -> str:
    """Options that do not exist; if there are none, words that no option takes."""
    words = match[1].split(", ")
    commands = (match[3] or "").split(", ") if match[3] else []
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    if commands and not words[0].startswith("--"):
        similar = difflib.get_close_matches(words[0], commands, 1)
        suggestion = f"; did you mean '{similar[0]}'?" if similar else "."
        return f"unknown command '{words[0]}'{suggestion} Commands: {', '.join(commands)}"
    if not options:
        return f"unexpected argument{'s' if len(words) > 1 else ''} {' '.join(map(repr, words))}"
    start = next((i for i, line in enumerate(lines) if line.startswith("Perhaps you meant")), len(lines))
    similar = list(dict.fromkeys(option[1] for line in lines[start:] if (option := OPTION.match(line))))
    suggestion = f"; did you mean {' or '.join(similar)}?" if similar else ""
    return f"unknown option{'s' if len(options) > 1 else ''} {' '.join(options)}{suggestion}"


def _explain_value(match: re.Match[str], lines: list[str]) -> str:
    """A value of the wrong type, with the help text of its option without the default."""
    option, problem, notation, helptext = match.groups(default="")
    if values := re.search(r"Could not find valid parse for arguments: \[(.*)\]", problem):
        metavar = re.sub(r"\[(.+?) \[\1 \.\.\.\]\]", r"\1 ...", notation.partition(" ")[2])
        problem = f"expected {metavar}, got {' '.join(re.findall(QUOTED, values[1]))}"
    helptext = re.sub(r" \(default: .*?\)", "", helptext)
    return f"{option}: {problem}" + (f" ({helptext})" if helptext else "")


def _explain_choice(match: re.Match[str], lines: list[str]) -> str:
    choices = re.findall(QUOTED, match[3])
    return f"{match[2]}: '{match[1]}' is not one of {', '.join(choices)}"


def _explain_missing(match: re.Match[str], lines: list[str]) -> str:
    """Required arguments, each with its help text."""
    texts = [re.sub(r"^(\S+) (.*)$", r"\1 (\2)", text.strip()) for text in match[1].split("(required)") if text.strip()]
    return f"missing {', '.join(texts)}"


EXPLANATIONS: list[tuple[str, Callable[[re.Match[str], list[str]], str]]] = [
    (r"Unrecognized options: (.*?)(?: (Perhaps you meant.*))?(?: Available subcommands: (.*))?", _explain_unknown_words),
    (r"Error parsing (\S+): (.*?)\.?(?: Argument helptext: (--\S+ .*?(?= [a-z])) (.*))?", _explain_value),
    (r"invalid choice '(.*)' for argument '(.*)'\. Expected one of \((.*)\)", _explain_choice),
    (r"Missing value for argument '(.*)'\. Expected .*", lambda match, lines: f"{match[1]} needs a value"),
    (r"Missing from .*?: (.*)", _explain_missing),
    (r"Expected one of \{(.*)\}", lambda match, lines: f"which command? One of {match[1]}"),
]
