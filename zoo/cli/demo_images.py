"""What the page of `zoo demo` computes from uploaded images: translation, super-resolution, poses, fused faces, classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.cli.picture import PictureCommand
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.runs import RunRecord

MAX_PIXELS = 2**20  # of an image of any size: more takes minutes on a CPU
MAX_IMAGES = 16  # of a set
UPSCALE = "upscale"
CLASSES = "class_probabilities"
PROBABILITIES = (CLASSES, "category")  # outputs [n, classes] of a classifier


@dataclasses.dataclass(frozen=True)
class Reading:
    """A signature that reads classes from an image.

    Attributes:
        signature: Its name.
        probabilities: The output with a probability for each class.
        others: Further outputs of few numbers, such as continuous codes.
    """

    signature: str
    probabilities: str
    others: tuple[str, ...]

    @property
    def reads_classes(self) -> bool:
        """Whether it reads classes of the data, and not categories of a latent code, which have no names."""
        return self.probabilities == CLASSES


class ImageTool:
    """A model applied to images.

    Args:
        model: The model.
        record: The record of its run, which says how its training images were resized.
    """

    def __init__(self, model: Any, record: RunRecord) -> None:
        self.model, self.record, self.signatures = model, record, model.signatures()

    # -- what the signatures offer --------------------------------------------------------------------------------------

    def translations(self) -> list[str]:
        """Names of the signatures from an image to an image, except super-resolution."""
        return [name for name in self.signatures if f"{name}_png" in self.signatures and name != UPSCALE]

    def inputs(self, name: str) -> list[str]:
        """Names of the inputs of a signature."""
        return [spec.name for spec in self.signatures[name].inputs]

    def upscales(self) -> bool:
        """Whether the model enlarges images."""
        return UPSCALE in self.signatures

    def fusions(self) -> list[str]:
        """Names of the signatures from a set of images to features."""
        return [name for name, one in self.signatures.items() if self.inputs(name) == ["images"] and "features" in one.outputs]

    def classification(self) -> Reading | None:
        """The signature that reads classes from an image, one that decides on a class first; None if there is none."""
        for name, signature in sorted(self.signatures.items(), key=lambda item: "label" not in item[1].outputs):
            probabilities = [output for output in PROBABILITIES if output in signature.outputs]
            if self.inputs(name) == ["image"] and probabilities:
                others = tuple(output for output in signature.outputs if output == "numbers")
                return Reading(name, probabilities[0], others)
        return None

    def pose_names(self) -> list[str]:
        """Names of the poses, in order."""
        return self.record.data.pose_names or [str(number) for number in range(self.model.config.num_poses)]

    def class_names(self, count: int) -> list[str]:
        """Names of classes."""
        names = self.model.class_names or ()
        return list(names) if len(names) == count else [str(number) for number in range(count)]

    # -- the computations -----------------------------------------------------------------------------------------------

    def translate(self, name: str, file: str | None, pose: int = 0, seed: int = 0) -> np.ndarray:
        """An image of a signature from an image to an image, uint8 [h, w, channels].

        Args:
            name: The signature.
            file: The image file; None, if none was uploaded.
            pose: Number of the target pose, for signatures that take one.
            seed: Seed of the noise, for signatures that take one.

        Raises:
            UserError: For files that are not images, and values out of range.
        """
        signature = self.signatures[name]
        extra = {key: [value] for key, value in (("pose", pose), ("seed", seed)) if key in self.inputs(name)}
        images = self.read(file, signature.inputs[0].shape)[None].astype(np.float32) / 255
        return self._render(self.model.serve(name, image=images, **extra)["image"])

    def upscale(self, file: str | None) -> tuple[np.ndarray, np.ndarray]:
        """A picture enlarged by pixel interpolation, and by the model, uint8 of the same size."""
        from PIL import Image

        from zoo.core.tiling import upscale_picture

        shape = self.signatures[UPSCALE].inputs[0].shape
        pixels = self.read(file, shape)
        upscaled = upscale_picture(self.model, pixels)
        size = upscaled.shape[1::-1]
        before = np.asarray(Image.fromarray(pixels.squeeze(-1) if shape[-1] == 1 else pixels).resize(size, Image.Resampling.BICUBIC))
        return before.reshape(upscaled.shape), upscaled

    def fuse(self, name: str, files: Sequence[str] | None, pose: int) -> tuple[np.ndarray | None, list[float]]:
        """Fuses images of one identity.

        Args:
            name: The signature from a set of images to features.
            files: The image files.
            pose: Number of the pose in which the fused identity is shown.

        Returns:
            A picture of the fused features in the pose, None if the model cannot decode features; and the cosine similarity between the
            features of each image and the fused ones.
        """
        if not files or len(files) > MAX_IMAGES:
            raise UserError(f"choose 1 to {MAX_IMAGES} images")
        spec = self.signatures[name].inputs[0]
        images = np.stack([self.read(file, [None, *spec.shape[2:]]) for file in files]).astype(np.float32) / 255
        fused = self.model.serve(name, images=images[None])["features"]
        singles, target = self.model.serve(name, images=images[:, None])["features"].numpy(), fused.numpy()[0]
        norms = np.linalg.norm(singles, axis=1) * np.linalg.norm(target)
        similarities = np.divide(singles @ target, norms, out=np.zeros_like(norms), where=norms > 0).tolist()
        if not hasattr(self.model, "decode"):
            return None, similarities
        return self._render(self.model.modality.to_external(self.model.decode(fused, [pose]))), similarities

    def classify(self, reading: Reading, file: str | None) -> tuple[dict[str, float], str]:
        """The probability of each class of an image, and a line on the further outputs."""
        spec = self.signatures[reading.signature].inputs[0]
        outputs = self.model.serve(reading.signature, image=self.read(file, spec.shape)[None].astype(np.float32) / 255)
        probabilities = outputs[reading.probabilities].numpy()[0]
        numbers = [", ".join(f"{value:.2f}" for value in outputs[name].numpy()[0]) for name in reading.others]
        names = self.class_names(len(probabilities)) if reading.reads_classes else map(str, range(len(probabilities)))
        return dict(zip(names, map(float, probabilities), strict=True)), "; ".join(numbers)

    def read(self, file: str | None, shape: Any) -> np.ndarray:
        """An uploaded image in the size that a signature takes, uint8 [h, w, channels], cropped as the training images were."""
        from zoo import data
        from zoo.data.image_files import RESIZING, to_pixels

        if file is None:
            raise UserError("upload an image first")
        channels = shape[-1]
        try:
            picture = PictureCommand.read(Path(file), channels, None)
        except UserError as error:  # with the name that the user knows, and no path of this machine
            raise UserError(str(error).replace(file, Path(file).name)) from None
        if shape[1] is not None:
            picture = RESIZING[data.Reading.from_options(self.record.options).crop](picture, (shape[2], shape[1]))
        elif picture.width * picture.height > MAX_PIXELS:
            raise UserError(f"{picture.width}x{picture.height} pixels; this page takes up to {MAX_PIXELS:,}: use the command line")
        return to_pixels(picture, channels)

    def _render(self, images: Any) -> np.ndarray:
        return self.model.modality.render(np.asarray(images), 1)
