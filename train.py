"""Trains a model of the zoo: `python train.py --model acgan`. The same as `zoo train`; see `zoo.cli.train`."""

from zoo.cli.import_path import remove_working_directory

if __name__ == "__main__":
    remove_working_directory()  # before anything else is imported
    from zoo.cli.train import script

    script()
