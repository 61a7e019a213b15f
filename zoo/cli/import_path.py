"""The import path of a command. This module is imported before all others, so it imports nothing that is not already loaded."""

import os
import sys

PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def remove_working_directory() -> None:
    """Removes the working directory from the import path, where `python -m` and an empty entry of PYTHONPATH put it.

    A command may be started in a folder of a stranger, whose files must not take the place of packages. The directory stays if it is the
    checkout of this package, or if PYTHONPATH names it.
    """
    try:
        directory = os.path.realpath(os.getcwd())
    except OSError:  # a folder that was deleted
        return
    named = [os.path.realpath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if directory != PACKAGE_ROOT and directory not in named:
        sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != directory]
