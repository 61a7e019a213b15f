"""The recipes of the pretrained models: how `pretrain.py` makes each of them."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a pretrained model is made.

    Attributes:
        model: Name of the preset.
        data: Dataset of TFDS, or `folder:NAME` below `--folders`.
        images: Training images that the discriminator is shown (the generator of models that have none).
        options: Further options of train.py.
        summary: What the model makes, in one line.
        limits: Known limitations, one sentence each.
        license, attribution: Of the data, where the dataset's name does not tell.
        checkpoint: The checkpoint that is published.
    """

    model: str
    data: str
    images: int
    options: str
    summary: str
    limits: tuple[str, ...] = ()
    license: str | None = None
    attribution: str | None = None
    checkpoint: str = "last"


FRUITS = {
    "license": "cc-by-sa-4.0",
    "attribution": "Fruits-360 by Mihai Oltean (https://github.com/fruits-360), CC BY-SA 4.0, resized.",
}
DECAY = "--schedule linear --decay-start 0.3 --final-rate 0.03"  # of the learning rate, which brings the samples closer to the data
RECIPES = {
    "acgan-mnist": Recipe(
        "acgan_quick",
        "mnist",
        2_500_000,
        "--decay-start 0.3 --final-rate 0.03 --class-weight 1.2 --discriminator-widths 32 64 128",
        "handwritten digits of ten classes, 28x28",
        ("Unusual handwriting is rarer than in the data.",),
    ),
    "dcgan-mnist": Recipe(
        "dcgan",
        "mnist",
        2_500_000,
        f"--generator-learning-rate 1e-3 --discriminator-learning-rate 5e-4 {DECAY}",
        "handwritten digits, 28x28",
        ("Some samples are between two digits.",),
    ),
    "wgan-gp-mnist": Recipe(
        "wgan_gp",
        "mnist",
        2_000_000,
        f"--discriminator-steps 1 --generator-learning-rate 1e-3 --discriminator-learning-rate 1e-3 {DECAY}",
        "handwritten digits, 28x28",
        ("Some samples are between two digits.",),
    ),
    "infogan-mnist": Recipe(
        "infogan",
        "mnist",
        2_000_000,
        f"--generator-learning-rate 5e-4 --discriminator-learning-rate 5e-4 {DECAY}",
        "handwritten digits whose class and style are codes, learned without labels, 28x28",
        ("The numbers of the categorical code are not those of the digits.",),
    ),
    "vae-mnist": Recipe("vae", "mnist", 1_000_000, DECAY, "handwritten digits and their codes, 28x28", ("Samples are blurred.",)),
    "acgan-fashion": Recipe(
        "acgan_quick",
        "fashion_mnist",
        1_500_000,
        "--decay-start 0.3 --final-rate 0.03 --class-weight 0.6 --discriminator-widths 32 64 128 --augment translation",
        "clothes of ten classes, 28x28",
        ("Patterns and prints are rarer than in the data.",),
    ),
    "biggan-fashion": Recipe(
        "biggan", "fashion_mnist", 1_000_000, DECAY, "clothes of ten classes with truncation, 28x28", ("Prints are illegible.",)
    ),
    "dcgan-fashion": Recipe("dcgan", "fashion_mnist", 1_500_000, DECAY, "clothes, 28x28", ("Samples have no label.",)),
    "biggan-fruits": Recipe(
        "biggan",
        "folder:fruits_rot",
        200_000,
        f"--image-shape 64 64 3 --augment color translation cutout {DECAY}",
        "67 varieties of fruits on a turntable, 64x64",
        ("Trained on photographs of one fruit of each variety.",),
        **FRUITS,
    ),
    "cyclegan-apples": Recipe(
        "cyclegan",
        "folder:apples",
        14_000,
        "--image-shape 64 64 3 --width 24 --blocks 4 --discriminator-width 32 --patch-layers 3 --jitter 8 --flip --batch-size 2",
        "red apples to green ones and back, 64x64",
        ("Objects other than apples in front of a white background are not translated.",),
        **FRUITS,
    ),
    "pix2pix-edges": Recipe(
        "pix2pix",
        "folder:edges",
        100_000,
        "--image-shape 64 64 3 --jitter 8 --flip --discriminator-width 32 --ema-decay 0.999 "
        "--schedule linear --decay-start 0.5 --final-rate 0.05",
        "edges to fruits, 64x64",
        ("Drawings should look like the edges of `benchmarks/fruits.py`.",),
        **FRUITS,
    ),
    "drgan-fruits": Recipe(
        "drgan",
        "folder:fruits_rot",
        48_000,
        "--held-out-identities 20 --circular-poses --jitter 4",
        "a fruit turned to another angle, and features that identify it, 64x64",
        ("Held-out fruits keep their color, but not always their shape.",),
        **FRUITS,
    ),
    "srresnet-fruits": Recipe(
        "srresnet",
        "folder:fruits_rot",
        80_000,
        "--width 32",
        "images enlarged four times, with the least error",
        ("Trained on photographs of fruits alone: textures of other things stay smooth.",),
        **FRUITS,
    ),
    "srgan-fruits": Recipe(
        "srgan",
        "folder:fruits_rot",
        40_000,
        "--width 32 --init-from srresnet-fruits",
        "images enlarged four times, with invented detail",
        ("Trained on photographs of fruits alone: textures of other things stay smooth.",),
        **FRUITS,
    ),
    "sgan-mnist-100": Recipe(
        "sgan",
        "mnist",
        5_000_000,
        f"--labels 100 {DECAY}",
        "a classifier of digits that was trained with 100 labels",
        ("Made for its classifier; the samples lack variety.",),
    ),
}
