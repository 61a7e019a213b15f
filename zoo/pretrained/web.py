"""Downloads of published models, which are cached and work offline afterwards."""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo import files
from zoo.errors import UserError
from zoo.pretrained.manifest import FILE, refuse_pickles
from zoo.pretrained.published import PublishedModel, hash_file, read_start

SHA256 = re.compile(r"[0-9a-fA-F]{64}")
HASH_IN_ADDRESS = re.compile(r"#sha256=(\w*)$")
HUB_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


def cache_folder() -> Path:
    """The folder for downloaded models: `ZOO_HOME`, by default `zoo` in Keras' folder (`KERAS_HOME`, by default ~/.keras)."""
    home = os.environ.get("ZOO_HOME")
    return Path(os.path.expanduser(home) if home else os.path.join(os.path.expanduser(os.environ.get("KERAS_HOME", "~/.keras")), "zoo"))


def download(address: str, sha256: str | None) -> Path:
    """The verified file at an address, from the cache if it is there.

    Args:
        address: Of the file; it may end with `#sha256=HASH`.
        sha256: SHA-256 of the file, unless it is part of the address.

    Raises:
        UserError: The hash is missing or differs, or the file cannot be downloaded.
    """
    if in_address := HASH_IN_ADDRESS.search(address):
        address, sha256 = address[: in_address.start()], sha256 or in_address[1]
    if not sha256 or not SHA256.fullmatch(sha256):
        given = f"{sha256} is not one: it has 64 hexadecimal digits" if sha256 else "none is given"
        raise UserError(
            f"{address} needs the SHA-256 of the file, to verify the download; {given}. "
            'Append it: "ADDRESS#sha256=HASH" (in Python, zoo.load(ADDRESS, sha256=HASH))'
        )
    folder, sha256 = cache_folder() / "downloads", sha256.lower()
    path = folder / f"{sha256}.zip"
    with contextlib.suppress(OSError):
        if hash_file(path) == sha256:
            return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{uuid.uuid4().hex}.zip"  # other processes may download the same file
        temporary.touch()
    except OSError as error:
        raise UserError(f"{folder} cannot be written to ({error.strerror or error}); set ZOO_HOME to another folder") from None
    try:
        files.download(address, temporary)
        digest = hash_file(temporary)
        if digest != sha256:
            raise UserError(f"{address}: what was downloaded is not the file with this SHA-256: it has {digest}")
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{address} is not in the cache ({folder}), and cannot be downloaded: {_first_line(error)}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return path


def open_hub(address: str) -> PublishedModel:
    """The published model at `hf://USER/NAME` or `hf://USER/NAME@REVISION`.

    All files are those of one commit, also if another one is pushed meanwhile. Without a network, or while the hub is down, they come from
    the cache.

    Raises:
        UserError: It does not exist, cannot be downloaded, or contains pickles.
    """
    repository, revision = _parse_hub_address(address)
    hub, folder = import_hub(address), cache_folder() / "hub"

    def fetch(name: str, revision: str | None) -> Path:
        with _explain_hub_errors(address, hub):
            return Path(hub.HfApi().hf_hub_download(repository, name, revision=revision, cache_dir=folder))

    try:
        commit = fetch(FILE, revision).parent.name  # the folder of a snapshot is named after its commit
    except FileNotFoundError:
        raise UserError(f"{address} is not a published model: it has no {FILE}") from None
    with contextlib.suppress(OSError, hub.errors.HTTPError):  # no network: the files are in the cache
        siblings = hub.HfApi().model_info(repository, revision=commit, timeout=files.DOWNLOAD_TIMEOUT).siblings or []
        refuse_pickles([file.rfilename for file in siblings], address)
    remedy = f"; to download it again, remove {folder / hub.constants.REPO_ID_SEPARATOR.join(['models', *repository.split('/')])}"
    return PublishedModel(address, lambda name, size: read_start(fetch(name, commit), size), remedy)


def parse_hub_address(address: str) -> str:
    """`USER/NAME` of a place on the hub that a model can be uploaded to; raises UserError for anything else."""
    repository, revision = _parse_hub_address(address)
    if revision:
        raise UserError(f"{address}: a model cannot be uploaded to a revision; omit @{revision}")
    return repository


def upload(folder: Path, address: str) -> None:
    """Uploads the files of a published model to `hf://USER/NAME`, which is created if it does not exist.

    Raises:
        UserError: The hub cannot be reached, or refuses it.
    """
    hub, repository = import_hub(address), parse_hub_address(address)
    try:
        hub.HfApi().create_repo(repository, exist_ok=True)
        hub.HfApi().upload_folder(repo_id=repository, folder_path=folder, commit_message="Publish a model of the GAN zoo")
    except (OSError, ValueError, hub.errors.HTTPError) as error:
        raise UserError(f"{address}: the upload failed: {_first_line(error)}") from None


def import_hub(address: str) -> Any:
    """The package `huggingface_hub`; raises UserError if it is not installed."""
    try:
        import huggingface_hub.errors
        import huggingface_hub.utils.logging
    except ImportError:
        raise UserError(f"{address} needs the package huggingface_hub: pip install 'gan-zoo[hub]'") from None
    return huggingface_hub


@contextlib.contextmanager
def _explain_hub_errors(address: str, hub: Any) -> Iterator[None]:
    """Converts the errors of the hub to a UserError, and that of a file which is not in the model to a FileNotFoundError."""
    logging = hub.utils.logging
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the attempts are not shown; what comes of the last one is reported
    try:
        yield
    except hub.errors.LocalEntryNotFoundError:
        raise UserError(f"{address} is not in the cache ({cache_folder()}), and the hub cannot be reached") from None
    except hub.errors.EntryNotFoundError:
        raise FileNotFoundError(address) from None
    except hub.errors.RevisionNotFoundError:
        raise UserError(f"{address}: the hub has this model, but not this revision") from None
    except hub.errors.RepositoryNotFoundError:
        raise UserError(f"{address}: the hub has no model of this name, or it is private and no token is set") from None
    except (OSError, ValueError, hub.errors.HTTPError) as error:
        raise UserError(f"{address} cannot be downloaded: {_first_line(error)}") from None
    finally:
        logging.set_verbosity(verbosity)


def _parse_hub_address(address: str) -> tuple[str, str | None]:
    parts = HUB_ADDRESS.fullmatch(address)
    if not parts:
        raise UserError(f"{address}: expected hf://USER/NAME or hf://USER/NAME@REVISION")
    return parts[1], parts[2]


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
