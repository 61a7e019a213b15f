"""Loading a trained model: by name, from a run, from a file, or from the web."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import registry, runs
from zoo.errors import UserError, shorten, suggest
from zoo.files import check_path
from zoo.pretrained import web
from zoo.pretrained.archive import open_archive
from zoo.pretrained.manifest import FILE
from zoo.pretrained.published import PublishedModel, list_pretrained, open_folder, open_pretrained
from zoo.runs import Run
from zoo.runs.loading import check_checkpoint
from zoo.runs.naming import list_runs

if TYPE_CHECKING:
    import keras

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
ARCHIVE_SUFFIX = ".zip"


def load_model(
    run: Run | PublishedModel | str | os.PathLike[str],
    checkpoint: str | int = "last",
    sha256: str | None = None,
    discriminator: bool = True,
    compile: bool = False,
) -> keras.Model:
    """Builds a trained model and loads its weights, in float32. Does not need the dataset.

    No code is loaded: the model must be registered.

    Args:
        run: The name of a pretrained model (`zoo.list_models(pretrained=True)`); the folder of a run, or of a published model; a .zip
            file of one; `hf://USER/NAME` or `hf://USER/NAME@REVISION` on the Hugging Face Hub; `https://.../x.zip`.
        checkpoint: Of a run: `last`, `best`, or a step.
        sha256: SHA-256 of the .zip file, which an https:// address needs.
        discriminator: Whether to load the discriminator of a published model, which has a file of its own; if False, its weights are 0.
        compile: Whether to compile the model, so that `fit` continues its training: that of a run with the state of its optimizers.

    Returns:
        The model.

    Raises:
        UserError: There is no such model or checkpoint, its files are damaged, it cannot be downloaded, or it is not registered.
    """
    check_checkpoint(checkpoint)
    opened = open_model(run, sha256)
    if isinstance(opened, PublishedModel) and not discriminator:
        if compile:
            raise UserError("discriminator=False: a model that is compiled to be trained needs its discriminator; omit one of the two")
        opened = opened.without_discriminator()
    return runs.load_model(opened, checkpoint, compile)


def create(name: str, pretrained: bool = False, **overrides: Any) -> Any:
    """A model by name: an untrained one, as `create("acgan", latent_dim=64)`, or `create("acgan-mnist", pretrained=True)`.

    Args:
        name: Name of a model (`zoo.list_models()`), or of a pretrained one (`zoo.list_models(pretrained=True)`).
        pretrained: Whether to load a pretrained model, as `zoo.load` does.
        **overrides: Fields of the configuration of an untrained model and their values.

    Raises:
        UserError: For an unknown name, and for settings that do not exist or make no sense.
    """
    if not pretrained:
        return registry.create(name, **overrides)
    if overrides:
        raise UserError(f"{name}: the settings of a pretrained model are those that it was trained with; omit {', '.join(overrides)}")
    return load_model(name)


def list_models(pattern: str = "*", pretrained: bool = False) -> list[str]:
    """Names of models that match a shell-style pattern, sorted: `list_models("*gan_32")`.

    Args:
        pattern: The pattern.
        pretrained: Whether to list the pretrained models, which `zoo.load` takes, instead of the models that `zoo.create` takes.
    """
    return fnmatch.filter(list_pretrained(), pattern) if pretrained else registry.list_models(pattern)


def open_model(source: Run | PublishedModel | str | os.PathLike[str], sha256: str | None = None) -> Run | PublishedModel:
    """The run or published model that a name, path or address stands for; see `load_model`. A folder precedes a name."""
    if isinstance(source, (Run, PublishedModel)):
        return source
    if sha256 is not None and not isinstance(sha256, str):
        raise UserError(f"sha256={shorten(sha256)}: expected the 64 hexadecimal digits of a hash")
    if isinstance(source, str) and (address := ADDRESS.match(source)):
        return _open_address(source, address[1].lower(), sha256)
    text = os.fspath(check_path("run", source))
    if sha256 is not None:
        raise UserError(f"sha256={shorten(sha256)}: only an https:// address needs it")
    path = Path(os.path.expanduser(text))
    if path.is_dir() and not (path / "config.json").exists() and (path / FILE).exists():
        return open_folder(path, text)
    if path.suffix.lower() == ARCHIVE_SUFFIX and path.is_file():
        return open_archive(path, text)
    if path.exists() or not _is_name(text):
        return Run(source)
    names = list_pretrained()
    if text in names:
        return open_pretrained(text)
    of_this_model = [name for name in names if name.startswith(f"{text}-")]
    similar = f"; did you mean {' or '.join(of_this_model)}?" if of_this_model else suggest(text, names)
    raise UserError(
        f"{text} is not a run, and no pretrained model has this name{similar or '.'} `zoo list --pretrained` shows them"
        f"{list_runs(Path('runs'))}"
    )


def _open_address(text: str, scheme: str, sha256: str | None) -> PublishedModel:
    if scheme == "hf":
        if sha256 is not None:
            raise UserError(f"{text}: a model on the hub is verified by its manifest; omit sha256")
        return web.open_hub(text)
    if scheme in ("http", "https"):
        return open_archive(web.download(text, sha256), text)
    raise UserError(f"{shorten(text)}: {scheme}:// addresses are not supported; give https:// or hf://, a path, or a name")


def _is_name(text: str) -> bool:
    """Whether a text has the form of a pretrained model's name, and not that of a path."""
    return os.sep not in text and not text.startswith((".", "~")) and not text.endswith(ARCHIVE_SUFFIX)
