"""Trains a model of the zoo: `python train.py --model acgan`. The same as `zoo train`; see `zoo.cli.train`."""

from zoo.cli.train import script

if __name__ == "__main__":
    script()
