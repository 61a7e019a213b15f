"""Files that the page of `zoo demo` offers for download."""

from __future__ import annotations

import collections
import shutil
import tempfile
from pathlib import Path

MAX_FOLDERS = 500  # that stay for a download; older ones are removed


class Downloads:
    """Temporary files, each in a folder of its own so that it has the name that the user sees.

    Args:
        folder: The folder of these folders.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._recent: collections.deque[str] = collections.deque()

    def path(self, name: str) -> Path:
        """The path of a new file of this name."""
        self._recent.append(tempfile.mkdtemp(dir=self.folder))
        while len(self._recent) > MAX_FOLDERS:
            shutil.rmtree(self._recent.popleft(), ignore_errors=True)
        return Path(self._recent[-1], name)

    def copy(self, path: Path) -> Path:
        """A copy of a file: the page serves no other folder."""
        return Path(shutil.copyfile(path, self.path(path.name)))
