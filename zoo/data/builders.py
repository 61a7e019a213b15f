"""Builders of TFDS datasets, including the built-in ones: looked up by name, and prepared on this machine by one process at a time."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf.json_format import ParseError
from tensorflow_datasets.core import naming
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
from tensorflow_datasets.core.download.extractor import ExtractError, UnsafeArchiveError
from tensorflow_datasets.core.download.util import DownloadError

from zoo.data.digits import Digits, TurnedDigits
from zoo.data.outlines import OutlinePairs, Outlines
from zoo.data.paths import private_temporary_folder
from zoo.data.photographs import Photographs
from zoo.errors import UserError, suggest
from zoo.locks import lock_cache

BUILT_IN = {
    "digits": Digits,
    "outlines": Outlines,
    "outline_pairs": OutlinePairs,
    "photographs": Photographs,
    "turned_digits": TurnedDigits,
}
PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
TFDS_HOST = "storage.googleapis.com"  # where TFDS keeps its own files
TFDS_PACKAGE = "tensorflow_datasets."
NAME_FIELDS = {"config", "version"}  # what a name may hold: NAME/CONFIG:VERSION
OPEN_ERRORS = (  # an unknown config or version, and whatever a damaged or made-up folder causes in TFDS
    ValueError,
    KeyError,
    AssertionError,
    ImportError,
    TypeError,
    AttributeError,
    OSError,
    RuntimeError,
    ParseError,
    tf.errors.OpError,
)
DOWNLOAD_ERRORS = (
    OSError,  # network and disk, including those of requests and urllib
    http.client.HTTPException,
    tf.errors.OpError,  # disk, buckets
    DownloadError,
    NonMatchingChecksumError,
    ExtractError,
    UnsafeArchiveError,
    AssertionError,  # data that must be downloaded by hand
    ImportError,  # optional dependencies of a dataset
    KeyError,
    RuntimeError,  # including NotImplementedError
    ValueError,
)


class ForeignFeatureError(Exception):
    """The files of a dataset name a class outside of TFDS."""


def find_builder(name: str, data_dir: str | os.PathLike[str] | None) -> tfds.core.DatasetBuilder:
    """The builder of a built-in or TFDS dataset. Imports nothing that the name or the files of the dataset decide, except modules of TFDS.

    Raises:
        UserError: The name is unknown, or the files of the dataset cannot be read.
    """
    if name not in BUILT_IN:
        _check_name(name)
    try:
        with explain_open_errors(name), refuse_foreign_features():
            return BUILT_IN[name](data_dir=data_dir) if name in BUILT_IN else tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except tfds.core.DatasetNotFoundError:
        names = tfds.list_builders(with_community_datasets=False)
        raise UserError(
            f"unknown dataset '{name}'{suggest(name.split('/')[0], [*names, *BUILT_IN])} Available: {', '.join(BUILT_IN)} "
            "(built in, no download), folder:PATH, and every image dataset of TFDS (mnist, cifar10, celeb_a, ...)"
        ) from None
    except ForeignFeatureError as error:
        raise UserError(
            f"the files of '{name}' in {data_dir or 'the folder of TFDS'} name the class {error}, which is not part of TFDS; it is not "
            "imported, because that would run code that comes with data; import it in your own program first if you trust it"
        ) from None


@contextlib.contextmanager
def explain_open_errors(name: str) -> Iterator[None]:
    """Converts what TFDS raises for unknown configs and versions, and for damaged metadata, to a UserError."""
    try:
        yield
    except tfds.core.DatasetNotFoundError:
        raise
    except OPEN_ERRORS as error:
        raise UserError(f"TFDS cannot open '{name}': {' '.join(str(error).split())[:200]}") from None


def _check_name(name: str) -> None:
    """Raises UserError for names that make TFDS install or import packages, and for those with arguments of a builder."""
    with explain_open_errors(name):
        parsed, arguments = naming.parse_builder_name_kwargs(name)
    if parsed.namespace or set(arguments) - NAME_FIELDS:
        raise UserError(f"'{name}' is not the name of a dataset of TFDS itself; type NAME, NAME/CONFIG or NAME/CONFIG:VERSION")


@contextlib.contextmanager
def refuse_foreign_features() -> Iterator[None]:
    """While the block runs, TFDS does not import feature classes from outside its own package.

    TFDS imports the modules that a `features.json` names, at any depth and in both of its formats, through `cls_from_name`. Classes that
    the program has imported itself are used.

    Raises:
        ForeignFeatureError: The block tried to; the error's text is the class.
    """
    connector = tfds.features.FeatureConnector
    original = connector.__dict__["cls_from_name"]

    def find_class(cls: type, name: object) -> type:
        if not isinstance(name, str) or not (name in connector._registered_features or name.startswith(TFDS_PACKAGE)):
            raise ForeignFeatureError(name)
        return original.__func__(cls, name)

    connector.cls_from_name = classmethod(find_class)
    try:
        yield
    finally:
        connector.cls_from_name = original


def prepare(name: str, builder: tfds.core.DatasetBuilder, data_dir: str | os.PathLike[str] | None) -> tfds.core.DatasetBuilder:
    """Makes a dataset available on this machine: built-in ones are written, others are downloaded.

    Args:
        name: The name of the dataset.
        builder: Its builder.
        data_dir: The folder of TFDS datasets; None: the default.

    Returns:
        The builder of the prepared data.

    Raises:
        UserError: The data can be neither downloaded nor written.
    """
    if builder.is_prepared():
        return builder
    root, dataset = str(builder.data_dir_root), name.split("/")[0].split(":")[0]
    is_bucket = "://" in root  # which has no locks
    with contextlib.nullcontext() if is_bucket else lock_cache(Path(root) / f".{dataset}.lock", f"prepares {name}"):
        builder = find_builder(name, data_dir)  # another process may have prepared the data in the meantime
        if builder.is_prepared():
            return builder
        if name in BUILT_IN:
            return _write_built_in(name, builder)
        _download(name, builder)
        return builder


def _write_built_in(name: str, builder: tfds.core.DatasetBuilder) -> tfds.core.DatasetBuilder:
    """Writes a built-in dataset to its folder, or to a private temporary one, with a warning, if that is not writable."""
    reason = _write(builder)
    if reason is None:
        return builder
    folder = private_temporary_folder("zoo-data")
    print(f"warning: {name} cannot be written to {builder.data_dir_root} ({reason}); it is written to {folder}", file=sys.stderr)
    with lock_cache(Path(folder) / f".{name}.lock", f"prepares {name}"):
        builder = BUILT_IN[name](data_dir=folder)
        if builder.is_prepared() or _write(builder) is None:
            return builder
    raise UserError(f"'{name}' can be written neither to the folder of TFDS nor to {folder}; choose a writable folder with --data-dir")


def _write(builder: tfds.core.DatasetBuilder) -> str | None:
    """Prepares a dataset that needs no download; returns the reason if that is not possible. The caller holds the lock."""
    for leftover in Path(builder.data_path).parent.glob("incomplete.*"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            tfds.disable_progress_bar()
            builder.download_and_prepare()
    except (OSError, tf.errors.OpError) as error:
        return getattr(error, "strerror", None) or " ".join(str(error).split())[:120]
    return None


def _download(name: str, builder: tfds.core.DatasetBuilder) -> None:
    """Downloads and prepares a dataset."""
    try:
        if not is_online():
            raise ConnectionError("no network")
        builder.download_and_prepare()
    except DOWNLOAD_ERRORS as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"'{name}' is not in {builder.data_path} and could not be downloaded ({type(error).__name__}: {reason}); put a prepared copy "
            f"there or name its parent folder with --data-dir. Available without a download: {', '.join(BUILT_IN)}, folder:PATH"
        ) from None


def is_online() -> bool:
    """Whether host names are resolved. If they are not, TFDS would try for minutes and leave empty folders."""
    if any(os.environ.get(name) for name in PROXY_VARIABLES):
        return True  # the proxy resolves them
    try:
        return bool(socket.getaddrinfo(TFDS_HOST, 443))
    except OSError:
        return False
