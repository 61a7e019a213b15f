"""Downloads of published models, which are cached and work offline afterwards."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.pretrained.archive import cache_folder
from zoo.pretrained.manifest import refuse_pickles
from zoo.pretrained.published import PublishedModel

TIMEOUT = 60  # seconds without an answer
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
HASH_IN_ADDRESS = re.compile(r"#sha256=(\w*)$")
HUB_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


def download(address: str, sha256: str | None) -> Path:
    """The verified file at an address, from the cache if it is there.

    Args:
        address: Of the file; it may end with `#sha256=HASH`.
        sha256: SHA-256 of the file, unless it is part of the address.

    Raises:
        UserError: The hash is missing or differs, or the file cannot be downloaded.
    """
    import keras

    if in_address := HASH_IN_ADDRESS.search(address):
        address, sha256 = address[: in_address.start()], sha256 or in_address[1]
    if not sha256 or not SHA256.fullmatch(sha256):
        given = f"{sha256} is not one: it has 64 hexadecimal digits" if sha256 else "none is given"
        raise UserError(
            f"{address} needs the SHA-256 of the file, so that it is certain what is loaded; {given}. "
            'Append it: "ADDRESS#sha256=HASH" (in Python, zoo.load(ADDRESS, sha256=HASH))'
        )
    folder = cache_folder()
    with _explain_download_errors(address, folder), _timeout():
        path = keras.utils.get_file(
            f"{sha256.lower()}.zip", address, cache_dir=folder, cache_subdir="downloads", file_hash=sha256.lower(), hash_algorithm="sha256"
        )
    return Path(path)


def open_hub(address: str) -> PublishedModel:
    """The published model at `hf://USER/NAME` or `hf://USER/NAME@REVISION`.

    Raises:
        UserError: It does not exist, cannot be downloaded, or contains pickles.
    """
    repository, revision = _parse_hub_address(address)
    hub = import_hub(address)
    is_offline = False
    with _explain_hub_errors(address, hub):
        try:
            files = hub.HfApi().model_info(repository, revision=revision, timeout=TIMEOUT).siblings or []
        except hub.errors.HfHubHTTPError:
            raise
        except (OSError, hub.errors.HTTPError):  # no network: it may be in the cache
            is_offline, files = True, []
    refuse_pickles([file.rfilename for file in files], address)

    def fetch(name: str) -> Path:
        with _explain_hub_errors(address, hub):
            folder = cache_folder() / "hub"
            path = hub.HfApi().hf_hub_download(repository, name, revision=revision, cache_dir=folder, local_files_only=is_offline)
        return Path(path)

    return PublishedModel(address, fetch)


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
    except ImportError:
        raise UserError(f"{address} needs the package huggingface_hub: pip install 'gan-zoo[hub]'") from None
    return huggingface_hub


@contextlib.contextmanager
def _explain_download_errors(address: str, folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except ValueError as error:  # `get_file` compares the hash
        raise UserError(f"{address}: what was downloaded is not the file with this SHA-256 ({error})") from None
    except OSError as error:
        raise UserError(f"{folder} cannot be written to ({error.strerror or error}); set ZOO_HOME to another folder") from None
    except Exception as error:  # `get_file` turns the errors of the network into a bare Exception
        if type(error) is not Exception:
            raise
        raise UserError(f"{address} is not in the cache ({folder}), and cannot be downloaded: {error}") from None


@contextlib.contextmanager
def _explain_hub_errors(address: str, hub: Any) -> Iterator[None]:
    """Converts the errors of the hub to a UserError, and that of a file which is not in the model to a FileNotFoundError."""
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


@contextlib.contextmanager
def _timeout() -> Iterator[None]:
    """Limits the time that `get_file` waits for an answer, which it does not limit itself."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _parse_hub_address(address: str) -> tuple[str, str | None]:
    parts = HUB_ADDRESS.fullmatch(address)
    if not parts:
        raise UserError(f"{address}: expected hf://USER/NAME or hf://USER/NAME@REVISION")
    return parts[1], parts[2]


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
