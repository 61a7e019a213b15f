"""Model names: the only place where a string becomes a model.

A name is known once the module that registers it has been imported: the models of this package, those of installed packages (entry
points of the group `zoo.models`), and files that a user names as `path/to/file.py:NAME`.
"""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from zoo.errors import UserError, explain_memory_error, is_memory_error, shorten, suggest_or_list
from zoo.files import check_path

BUILT_IN = "zoo.models"  # the package whose import registers this library's models
CLOSE_NAMES, MAX_NAME = 3, 100  # names that are suggested, letters of a name that are compared
ENTRY_POINTS = "zoo.models"  # the group in which installed packages name the modules that register theirs

Model = TypeVar("Model", bound=type)


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """A registered name: the model class and the configuration that the name stands for."""

    name: str
    model: Any
    config: Any

    @property
    def paper(self) -> str:
        """The first line of the model file: system, authors, year, arXiv id."""
        return _first_line(inspect.getmodule(self.model)) or self.model.__name__

    @property
    def summary(self) -> str:
        """The first line of the class: what the model does."""
        return _first_line(self.model)

    def configure(self, **overrides: Any) -> Any:
        """The configuration with some fields replaced.

        Raises:
            UserError: For an unknown field, suggesting the nearest one.
        """
        fields = {field.name for field in dataclasses.fields(self.config)}
        for name in overrides:
            if name not in fields:
                raise UserError(f"{self.name} has no setting '{name}'{suggest_or_list(name, fields)}")
        return self.config.override(**overrides)

    def create(self, **overrides: Any) -> Any:
        """The untrained model; settings that the data usually decide (`image_shape`, `num_classes`) default to the embedded digits'."""
        return self.build(self.configure(**overrides).resolve())

    def build(self, config: Any) -> Any:
        """The untrained model of a resolved configuration; raises UserError if its networks do not fit into memory."""
        try:
            return self.model(config)
        except Exception as error:
            if is_memory_error(error):
                raise UserError(f"{self.name}: {explain_memory_error(error)}") from None
            raise


_entries: dict[str, ModelEntry] = {}
_loaded_files: dict[Path, tuple[float, frozenset[str]]] = {}  # a user's model file -> when it was changed, the names that it registers
_failed_entry_points: set[str] = set()


def register(**presets: Any) -> Callable[[Model], Model]:
    """Class decorator that registers a model under one name for each preset.

    Args:
        **presets: Model name -> the configuration that the name stands for.

    A class that is defined again, as by running a notebook's cell twice, replaces the former one.

    Raises:
        ValueError: If a name is taken by another class.
    """

    def decorate(model: Model) -> Model:
        for name, config in presets.items():
            if name in _entries and _identity(_entries[name].model) != _identity(model):
                raise ValueError(f"the model name '{name}' is taken by {_entries[name].model.__module__}")
            _entries[name] = ModelEntry(name, model, config)
        return model

    return decorate


def list_models(pattern: str = "*") -> list[str]:
    """All registered names that match a shell-style pattern, sorted: `list_models("*gan_32")`."""
    if not isinstance(pattern, str):
        raise UserError(f"pattern {shorten(pattern)}: expected a str, as '*gan_32'")
    _import_models()
    return sorted(fnmatch.filter(_entries, pattern))


def get_entry(name: str) -> ModelEntry:
    """The `ModelEntry` of a name.

    Raises:
        UserError: For an unknown name, suggesting the nearest one.
    """
    if name not in _entries:
        _import_models()
    if name not in _entries:
        raise UserError(f"unknown model {shorten(name)}{describe_models(name)}")
    return _entries[name]


def is_built_in(name: str) -> bool:
    """Whether a name is that of a model of this package."""
    _import_models()
    return name in _entries and _entries[name].model.__module__.startswith("zoo.models.")


def describe_models(name: str = "") -> str:
    """The end of a sentence about a model that does not exist or was not named: names that are close, and how to list all."""
    _import_models()
    close = difflib.get_close_matches(name[:MAX_NAME], _entries, n=CLOSE_NAMES, cutoff=0.5)
    meant = f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
    return f"{meant} `zoo list` (in Python, zoo.list_models()) shows all {len(_entries)}."


def resolve(spec: str) -> ModelEntry:
    """The `ModelEntry` of a name, or of `path/to/file.py:NAME`, whose file is executed and must register NAME.

    Raises:
        UserError: For an unknown name, and for a file that is missing, fails to run or does not register NAME.
    """
    if not isinstance(spec, str):
        raise UserError(f"model {shorten(spec)}: expected a name, as 'path/to/file.py:NAME' for a model of your own{describe_models()}")
    path, colon, name = spec.rpartition(":")
    if not colon or not path.endswith(".py"):
        if spec.endswith(".py"):
            raise UserError(f"--model {spec}: which model of that file? Type --model {spec}:NAME, with the name that it registers")
        return get_entry(spec)
    check_path("model", path)
    _import_models()
    names = _execute(Path(path).expanduser().resolve())
    if name not in names:
        raise UserError(f"{path} registers no model '{name}'; registered: {', '.join(sorted(names)) or 'none'}")
    return _entries[name]


def create(name: str, **overrides: Any) -> Any:
    """An untrained model by name; overrides replace fields of its configuration: `create("acgan", latent_dim=64)`.

    Raises:
        UserError: For an unknown name, and for settings that do not exist or make no sense.
    """
    entry = resolve(name)
    config = entry.configure(**overrides)
    config.check_given(overrides)
    return entry.build(config.resolve())


def _import_models() -> None:
    importlib.import_module(BUILT_IN)
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if entry_point.value in _failed_entry_points or entry_point.module in sys.modules:
            continue
        try:
            entry_point.load()
        except Exception as error:  # whatever is wrong in an installed plug-in must not take all other models with it
            _failed_entry_points.add(entry_point.value)
            reason = f"{type(error).__name__}: {error}"
            print(f"warning: the models of {entry_point.value} could not be loaded ({reason})", file=sys.stderr)


def _execute(path: Path) -> frozenset[str]:
    """Runs a user's model file as a module, again only if it was changed; returns the names that it registers."""
    if not path.is_file():
        raise UserError(f"--model {path}: no such file")
    changed = path.stat().st_mtime
    if path in _loaded_files and _loaded_files[path][0] == changed:
        return _loaded_files[path][1]
    spec = importlib.util.spec_from_file_location(f"zoo_user_models.{path.stem}", path)
    assert spec and spec.loader, path  # a .py file has a loader
    module = importlib.util.module_from_spec(spec)
    before = dict(_entries)
    replaced = sys.modules.get(spec.name)
    sys.modules[spec.name] = module  # dataclasses and Keras look classes up there
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        _entries.clear()
        _entries.update(before)
        sys.modules.pop(spec.name)
        if replaced is not None:
            sys.modules[spec.name] = replaced
        if isinstance(error, (ImportError, SyntaxError, ValueError, UserError)):
            raise UserError(f"{path} cannot be loaded as a model file ({type(error).__name__}: {error})") from error
        raise  # a bug in the file is a traceback
    names = frozenset(name for name, entry in _entries.items() if before.get(name) is not entry)
    _loaded_files[path] = changed, names
    return names


def _identity(model: Any) -> tuple[str, str]:
    """Where a class is defined: the file, or the module of a notebook, and the name."""
    try:
        location = str(Path(inspect.getfile(model)).resolve())
    except (TypeError, OSError):  # classes of a notebook or of `python -c` have no file
        location = model.__module__
    return location, model.__qualname__


def _first_line(subject: Any) -> str:
    lines = (inspect.getdoc(subject) or "").splitlines()
    return lines[0].rstrip(".") if lines else ""
