"""Licenses of datasets, and what their authors must be credited with."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class License:
    """The license of a dataset.

    Args:
        identifier: SPDX identifier in lower case, as in the head of Hugging Face's cards; None if the authors state no license, or one that
            does not permit publishing derived works.
        attribution: The rest of a sentence that begins with the name of the dataset.
        hub: Name of the dataset on the Hugging Face Hub, if it is there.
    """

    identifier: str | None
    attribution: str
    hub: str | None = None


_DIGITS = 'UCI dataset "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak)'
_RESEARCH = "is for non-commercial research only"
LICENSES = {  # the first part of the name in TFDS, or a built-in name -> its license
    "digits": License("cc-by-4.0", f"is the {_DIGITS}, CC BY 4.0"),
    **dict.fromkeys(
        ("outlines", "outline_pairs", "turned_digits"),
        License("cc-by-4.0", "is derived from the digits of the UCI dataset (Alpaydin & Kaynak), CC BY 4.0"),
    ),
    "photographs": License("cc-by-2.0", "consists of two photographs that ship with scikit-learn (danielbuechele; vultilion), CC BY 2.0"),
    "mnist": License("cc-by-sa-3.0", "is MNIST (LeCun, Cortes, Burges), CC BY-SA 3.0", "ylecun/mnist"),
    "fashion_mnist": License("mit", "is Fashion-MNIST (Zalando), MIT", "zalando-datasets/fashion_mnist"),
    "kmnist": License("cc-by-sa-4.0", "is Kuzushiji-MNIST (CODH), CC BY-SA 4.0"),
    "cifar10": License(None, "is CIFAR-10 (Krizhevsky 2009), whose authors state no license", "uoft-cs/cifar10"),
    "cifar100": License(None, "is CIFAR-100 (Krizhevsky 2009), whose authors state no license", "uoft-cs/cifar100"),
    "celeb_a": License(None, f"is CelebA (Liu et al. 2015), which {_RESEARCH}"),
    "celeb_a_hq": License(None, f"is CelebA-HQ (Karras et al. 2018), which {_RESEARCH}"),
    "imagenet2012": License(None, f"is ImageNet (Russakovsky et al. 2015), which {_RESEARCH}"),
    "lfw": License(None, "is Labeled Faces in the Wild (Huang et al. 2007), whose authors state no license"),
}


def find_license(name: str) -> License | None:
    """The license of a dataset by its name, as in `--data`; None if it is not known, as for folders of images."""
    return LICENSES.get(name.partition("/")[0])
