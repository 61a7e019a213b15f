"""Default folders for data: the folder of TFDS, and private folders in the temporary folder."""

from __future__ import annotations

import getpass
import os
import stat
import tempfile
from pathlib import Path

from zoo.errors import UserError

CACHE = "zoo_extractors"  # the subfolder for files derived from the data


def default_data_dir() -> str:
    """The folder of TFDS, without importing TFDS."""
    return os.environ.get("TFDS_DATA_DIR", os.path.join(os.path.expanduser("~"), "tensorflow_datasets"))


def private_temporary_folder(name: str) -> str:
    """Creates, if necessary, the current user's folder `NAME-UID` in the temporary folder, which only this user can access.

    Its name is predictable, and the temporary folder is writable by everyone: a folder of another user is never used.

    Raises:
        UserError: The path is a symbolic link, no folder, or owned by another user, or the folder cannot be created.
    """
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()  # Windows has no numbers, and a temporary folder per user
    path = Path(tempfile.gettempdir()) / f"{name}-{user}"
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        status = path.lstat()  # lstat: a link is not followed
        if not stat.S_ISDIR(status.st_mode) or hasattr(os, "getuid") and status.st_uid != user:
            raise UserError(f"{path} is not a folder owned by the current user; remove it, or set TMPDIR to a folder of your own") from None
        path.chmod(0o700)
    except OSError as error:
        raise UserError(f"{path} cannot be created ({error.strerror}); set TMPDIR to a folder that is writable") from None
    return str(path)


def find_cache_dir(*folders: str) -> str:
    """The subfolder `zoo_extractors` of the first folder that is writable or can be created, otherwise a private temporary folder.

    Args:
        folders: Candidates; URLs, such as those of buckets, are skipped.

    Raises:
        UserError: The temporary folder is needed but is not private, see `private_temporary_folder`.
    """
    for folder in (os.path.abspath(os.path.expanduser(folder)) for folder in folders if "://" not in folder):
        existing = folder
        while not os.path.exists(existing):
            existing = os.path.dirname(existing)
        if os.access(existing, os.W_OK):
            return os.path.join(folder, CACHE)
    return private_temporary_folder("zoo-extractors")
