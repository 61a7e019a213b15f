"""The request for a training run: options from the command line or from Python, with a model's defaults or those of a resumed run."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tyro

from zoo import registry
from zoo.cli import parsing
from zoo.cli.options import TrainOptions, format_options
from zoo.conversion import convert_values
from zoo.errors import UserError, option_name, printable, shorten, suggest_or_list
from zoo.files import check_path

if TYPE_CHECKING:
    from zoo.core import Config
    from zoo.registry import ModelEntry
    from zoo.runs import Run

DESCRIPTION = "Trains a model of the zoo: data, networks, training loop, checkpoints, scores, SavedModel and model card."
HOW_TO_LIST = "Each model has further options: --list shows the models, --model NAME --help the options of a model."
SOURCES = (
    "Sections and tables are those of this paper, and (code) is its authors' code: the origin of a setting. The defaults are those of this "
    "preset, which may be smaller than the paper's."
)
RECORDED = (
    "data_dir",
    "crop",
    "frames",
    "label_file",
    "label_key",
    "mirror",
    "balance",
    "precision",
    "strategy",
    "xla",
    "eval_samples",
    "best",
    "init_from",
    "init_optimizers",
    "feature_extractor",
)  # used by a resumed run
NOT_RECORDED = ("model", "resume", "list", "dry_run", "verify")  # options that are not part of the command that a run records
COMMAND_LINE_ONLY = ("list", "dry_run")
TRAINING: Any = tyro.conf.OmitArgPrefixes[tyro.conf.FlagCreatePairsOff[TrainOptions]]  # as arguments


@dataclasses.dataclass(frozen=True)
class TrainRequest:
    """A request for a training run.

    Attributes:
        entry: The model's registry entry.
        options: The options that are not part of the configuration.
        config: The configuration; fields that depend on the data are None.
        run: The run to resume, or None.
        typed: Names of the options and fields that the user has given, with underscores.
    """

    entry: ModelEntry
    options: TrainOptions
    config: Config
    run: Run | None = None
    typed: frozenset[str] = frozenset()

    def command(self) -> str:
        """The command line of this training run: the options that differ from the model's defaults."""
        from zoo.data import default_source_name
        from zoo.runs import program_name

        defaults = TrainOptions(data=default_source_name(self.entry.model.batch_keys))
        words = format_options(self.options, defaults, NOT_RECORDED) + format_options(self.config, self.entry.config)
        return printable(f"{program_name()} {shlex.join(['--model', self.options.model, *words])}")


def parse_request(argv: Sequence[str], prog: str) -> TrainRequest:
    """The request of a command line. The model is read first, because it determines the available options.

    Args:
        argv: The words of the command line, without the program.
        prog: The program, as the help text shows it.

    Raises:
        UserError: For invalid arguments.
        SystemExit: After the help text or the table of models was printed.
    """
    model, resume = parsing.find_value(argv, "--model"), parsing.find_value(argv, "--resume")
    if not model and not resume:
        if {"-h", "--help"} & set(argv):
            parsing.parse(TRAINING, argv, prog, f"{DESCRIPTION} {HOW_TO_LIST}")
        raise UserError(_ask_for_model("--resume" in argv))
    defaults = _default_request(model, resume, parsing.find_value(argv, "--init-from"))
    kind, fields = type(defaults.config), {field.name for field in dataclasses.fields(defaults.config)}
    argv = parsing.rename_options(argv, fields | {field.name for field in dataclasses.fields(TrainOptions)})
    arguments: Any = dataclasses.make_dataclass(
        "Arguments",
        [("run", TRAINING), ("hyperparameter", tyro.conf.OmitArgPrefixes[kind])],  # type: ignore
    )
    description = f"{DESCRIPTION} Paper: {defaults.entry.paper.removesuffix('.')}. {SOURCES}"
    try:
        parsed: Any = parsing.parse(
            arguments, argv, f"{prog} --model {defaults.options.model}", description, arguments(defaults.options, defaults.config)
        )
    except UserError as error:
        raise UserError(f"{error}{_describe_other_models(argv, fields)}") from None
    typed = {word.partition("=")[0].removeprefix("--").replace("-", "_") for word in argv if word.startswith("--")}
    values = {name: getattr(parsed.hyperparameter, name) for name in fields}
    changes = {name: value for name, value in values.items() if name in typed or value != getattr(defaults.config, name)}
    config = _override(defaults.config, changes)
    return _validated(dataclasses.replace(defaults, options=parsed.run, config=config, typed=frozenset(typed)))


def build_request(model: str | None, resume: str | os.PathLike[str] | None, options: dict[str, Any]) -> TrainRequest:
    """The request of the keyword arguments of `zoo.train`.

    Raises:
        UserError: For unknown options and invalid values.
    """
    if model is not None and not isinstance(model, str):
        raise UserError(f"model={shorten(model)}: expected a name, or 'path/to/file.py:NAME'")
    if resume is not None:
        resume = os.fspath(check_path("resume", resume))
    elif not model:
        raise UserError(f"zoo.train needs a model, or resume=RUN{registry.describe_models()}")
    source = options.get("init_from")
    defaults = _default_request(model, resume, source if isinstance(source, str) else None)
    config_fields = {field.name for field in dataclasses.fields(defaults.config)}
    option_fields = {field.name for field in dataclasses.fields(TrainOptions)}
    values: dict[str, Any] = {}
    for name, value in options.items():
        new_name = parsing.find_new_name(name, config_fields | option_fields)
        if new_name:
            warnings.warn(f"{name} is deprecated; use {new_name}", FutureWarning, stacklevel=3)
        values[new_name or name] = value
    if isinstance(values.get("best"), str):
        values["best"] = parsing.rename_score(values["best"])
    for name in values:
        if name in COMMAND_LINE_ONLY:
            raise UserError(f"{name} is an option of the command line only; omit it")
        if name not in config_fields | option_fields:
            available = sorted((config_fields | option_fields) - set(COMMAND_LINE_ONLY))
            others = _describe_other_models([option_name(name)], config_fields)
            raise UserError(f"unknown option '{name}'{suggest_or_list(name, available)}{others}")
    changes = convert_values(type(defaults.config), {name: value for name, value in values.items() if name in config_fields})
    driver = convert_values(TrainOptions, {name: value for name, value in values.items() if name in option_fields})
    config = _override(defaults.config, changes)
    training = dataclasses.replace(defaults.options, **driver)
    return _validated(dataclasses.replace(defaults, options=training, config=config, typed=frozenset(values)))


def _override(config: Config, changes: dict[str, Any]) -> Config:
    """The configuration with the settings that the user gave; raises UserError for one that nothing reads."""
    overridden = config.override(**changes)
    overridden.check_given([name for name, value in changes.items() if value != getattr(config, name)])
    return overridden


def _validated(request: TrainRequest) -> TrainRequest:
    request.options.validate()
    request.config.validate()
    return request


def _default_request(model: str | None, resume: str | None, init_from: str | None) -> TrainRequest:
    """The request without further options: of a model with its defaults, or of a run with its recorded settings.

    Args:
        model: Name of the model.
        resume: The run to resume.
        init_from: What a new run starts from; a trained model of the same paper determines the networks.
    """
    from zoo.data import default_source_name
    from zoo.runs import Run
    from zoo.runs.loading import explain_settings

    if not resume:
        entry = registry.resolve(model or "")
        config = _inherit_settings(entry, init_from) if init_from else entry.config
        return TrainRequest(entry, TrainOptions(model=model or "", data=default_source_name(entry.model.batch_keys)), config)
    run = Run(resume)
    record = run.record
    if model and model.rpartition(":")[2] != record.model:
        raise UserError(f"--model {model}: {run.display_path} is a run of {record.model}; omit --model")
    try:
        entry = registry.resolve(model) if model else registry.get_entry(record.model)  # no file that a record names is executed
    except UserError as error:
        raise UserError(f"{error} If the model is your own, add --model {run.model_spec or f'path/to/file.py:{record.model}'}") from None
    recorded = {name: value for name, value in record.options.items() if name in RECORDED}
    options = TrainOptions(
        **{**recorded, "data": record.data.name, "examples": record.data.examples}, model=model or entry.name, resume=resume
    )
    with explain_settings(run):
        return TrainRequest(entry, options, entry.configure(**record.config_values()), run)


def _inherit_settings(entry: ModelEntry, init_from: str) -> Config:
    """A preset with the settings of a trained model of the same paper that shape its networks, such as widths: its weights fit then."""
    from zoo.core import ImageConfig
    from zoo.pretrained import open_model
    from zoo.runs.loading import explain_settings

    trained = open_model(init_from)
    if trained.record.model not in registry.list_models() or registry.get_entry(trained.record.model).model is not entry.model:
        return entry.config
    of_training = {field.name for field in dataclasses.fields(ImageConfig)} - {"latent_dim", "image_shape"}
    inherited = {field.name for field in dataclasses.fields(entry.config)} - of_training
    values = {name: value for name, value in trained.record.config_values().items() if name in inherited}
    with explain_settings(trained):
        return entry.configure(**values)


def _ask_for_model(resuming: bool) -> str:
    from zoo.runs import program_name

    if resuming:
        return f"which run? {program_name()} --resume runs/NAME"
    return f"which model? {program_name()} --model NAME{registry.describe_models()}"


def _describe_other_models(argv: Sequence[str], available: set[str]) -> str:
    """Which models have the options that this one lacks."""
    texts = []
    for word in argv:
        name = word.partition("=")[0].removeprefix("--").replace("-", "_")
        if not word.startswith("--") or name in available:
            continue
        models = [model for model in registry.list_models() if name in vars(registry.get_entry(model).config)]
        if models:
            texts.append(f"; {option_name(name)} is an option of {', '.join(models)}")
    return "".join(texts)


def print_models_and_exit() -> None:
    """What `--list` does."""
    from zoo.cli.list import format_models

    print(format_models())
    sys.exit()
