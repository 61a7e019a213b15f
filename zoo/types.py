"""Types that travel between the packages."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypedDict, TypeVar

import tyro

if TYPE_CHECKING:
    import tensorflow as tf

Value = TypeVar("Value")
Omittable = Annotated[Value | None, tyro.conf.arg(help_behavior_hint="")]  # the type of an option whose help says what None means
HASH_DIGITS = 12  # leading digits of a SHA-256 that are shown


class Batch(TypedDict, total=False):
    """A batch of a dataset; a model declares the keys that it needs. Images are float32 [n, height, width, channels] in [-1, 1]."""

    image: tf.Tensor
    label: tf.Tensor  # int64 [n]: class or identity
    pose: tf.Tensor  # int64 [n]
    x: tf.Tensor  # images of the first domain
    y: tf.Tensor  # images of the second domain
    pair: tf.Tensor  # int64 [n]: number of the pair that `x` and `y` belong to
    picture: tf.Tensor  # an image of any size
    high: tf.Tensor  # high-resolution crops
    low: tf.Tensor  # the same crops, downsampled
    labeled_image: tf.Tensor  # the images that `label` belongs to, if only some of the images have labels


class ScorePoint(NamedTuple):
    """The value of a score at one step of a training run.

    Attributes:
        value: The score.
        step: The step whose weights were scored.
        images: Number of training images processed up to that step.
        error: The uncertainty of the value, for metrics that estimate it.
    """

    value: float
    step: int
    images: int
    error: float | None = None


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Everything except the model's weights that a score depends on: scores are comparable only if their protocols are equal.

    Attributes:
        extractor: Name of the feature extractor; None for scores that need none.
        extractor_sha256: Hash of its weights.
        data: Name and version of the dataset that the real images come from.
        split: Its split, and which part of it.
        real_images: Number of real examples.
        fake_images: Number of samples; 0 for image-to-image models, which are evaluated on real examples only.
        image_shape: Shape of the real examples; None in place of a side that varies.
        resizing: How images are resized for the extractor.
        seed: Seed of the samples and of the choice of real images.
        generator: `ema`: the exponential moving average of the generator's weights; `live`: its raw training weights.
        precision: Dtype in which the samples were computed; None in records without it.
        truncation: Bound on the latents in standard deviations; None: not truncated.
    """

    extractor: str | None = None
    extractor_sha256: str | None = None
    data: str = ""
    split: str = ""
    real_images: int = 0
    fake_images: int = 0
    image_shape: tuple[int | None, ...] | None = None
    resizing: str | None = None
    seed: int = 0
    generator: str = "ema"
    precision: str | None = None
    truncation: float | None = None

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Protocol:
        """A protocol from its JSON object; keys that are not fields are ignored."""
        names = {field.name for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        return cls(**{name: value for name, value in values.items() if name in names})

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    def describe(self, omit: Collection[str] = ()) -> str:
        """The protocol as one line of text: `extractor inception; data mnist 3.0.1; ...`, without the fields in `omit`."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in omit]
        if self.precision is None:
            names = [name for name in names if name != "precision"]
        return "; ".join(f"{name.replace('_', ' ')} {self.describe_field(name)}" for name in names)

    def describe_field(self, name: str) -> str:
        """The value of a field as text: `28x28x1`, the first digits of a hash, `none`."""
        value = getattr(self, name)
        if isinstance(value, tuple):
            return "any" if None in value else "x".join(map(str, value))
        text = "none" if value is None else str(value)
        return text[:HASH_DIGITS] if name.endswith("sha256") else text

    @property
    def num_images(self) -> int:
        """Number of images that the scores are computed from: samples, or real examples for image-to-image models."""
        return self.fake_images or self.real_images

    @property
    def subject(self) -> str:
        """What was scored: `1,000 samples`, `360 held-out examples`, `360 training examples`."""
        if self.fake_images or not self.real_images:
            return f"{self.fake_images:,} samples"
        return f"{self.real_images:,} {'training' if self.split.startswith('train') else 'held-out'} examples"
