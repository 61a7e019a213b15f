"""The GAN zoo: trains models and uses what was trained. `zoo COMMAND --help` shows the options of a command."""

# ruff: noqa: E402
from __future__ import annotations

from zoo.cli.import_path import remove_working_directory

if __name__ == "__main__":
    remove_working_directory()  # before anything else is imported

import sys
from collections.abc import Sequence

from zoo.cli import parsing
from zoo.cli import train as training
from zoo.cli.analyze import Analyze
from zoo.cli.client import Client
from zoo.cli.compare import Compare
from zoo.cli.data import Data
from zoo.cli.demo import Demo
from zoo.cli.directions import Directions
from zoo.cli.evaluate import Evaluate
from zoo.cli.export import Export
from zoo.cli.generate import Generate
from zoo.cli.launch import Launch
from zoo.cli.launch import main as launch_main
from zoo.cli.list import List
from zoo.cli.options import TrainOptions
from zoo.cli.page import Page
from zoo.cli.project import Project
from zoo.cli.publish import Publish
from zoo.cli.translate import Translate
from zoo.cli.upscale import Upscale
from zoo.cli.utility import Utility
from zoo.cli.video import Video
from zoo.runs.commands import INSTALLED, MODULE, set_program
from zoo.training import runtime

PROG = "zoo"
COMMANDS = (
    List,
    Launch,
    Data,
    Generate,
    Translate,
    Upscale,
    Video,
    Directions,
    Project,
    Evaluate,
    Compare,
    Analyze,
    Utility,
    Export,
    Client,
    Publish,
    Demo,
    Page,
)


class Train(TrainOptions):
    """train a model, from data to SavedModel; `zoo train --help` shows the options"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status.

    Args:
        argv: The words after the program; None: those of the process.
    """
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] == "train":
        return training.main(argv[1:], f"{PROG} train")
    if argv and argv[0] == "launch":
        return launch_main(argv[1:], PROG)
    command = parsing.parse_command((List, Train, *COMMANDS[1:]), argv, PROG, __doc__)
    runtime.configure()
    command()
    return 0


def script(program: str = INSTALLED) -> None:
    """The installed command `zoo`.

    Args:
        program: The command for training that messages name.
    """
    remove_working_directory()
    set_program(program)
    parsing.run(main, PROG)


if __name__ == "__main__":
    script(MODULE)
