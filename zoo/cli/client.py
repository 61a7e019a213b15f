"""`zoo client`: images from a model on a server."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from zoo.cli.arguments import check_seeds, write_picture
from zoo.cli.options import MAX_COUNT
from zoo.errors import UserError, printable
from zoo.types import Omittable

if TYPE_CHECKING:
    import numpy as np

    from zoo.serving.client import Client as ServerClient
    from zoo.serving.client import SignatureInfo

FILE, IMAGE, SEED = "image_bytes", "image", "seed"  # inputs and outputs of signatures
NO_TRUNCATION = 1e9


@dataclasses.dataclass(frozen=True)
class Client:
    """request samples or translations from a model on a server"""

    url: Annotated[str, tyro.conf.Positional]
    """address of the server: http://HOST:8501 (REST) or grpc://HOST:8500 (gRPC)"""
    model: str
    """name of the model on the server"""
    out: Path = Path("samples.png")
    """PNG file to write"""
    signature: Omittable[str] = None
    """signature to call; if omitted, `png`, or with --image the first one that takes image files"""
    label: Omittable[tuple[int, ...]] = None
    """numbers of the classes to cycle through, for class-conditional models; if omitted, 0"""
    count: int = 64
    """number of images"""
    seed: int = 0
    """seed of the first image; each following image has the next seed"""
    truncation: Omittable[float] = None
    """truncation threshold in standard deviations, for models that support it"""
    image: Omittable[Path] = None
    """PNG or JPEG file to send, for image-to-image models, classifiers and encoders"""
    pose: int = 0
    """number of the target pose, for models that rotate"""
    version: Omittable[int] = None
    """version of the model; if omitted, the newest"""
    batch_size: int = 64
    """largest number of rows of a request"""
    timeout: float = 30.0
    """seconds after which a request fails"""
    retries: int = 3
    """how often a request is repeated if the server cannot be reached or is busy"""

    def __call__(self) -> None:
        from zoo.serving.client import Client as ServerClient

        for name, value in (("count", self.count), ("batch-size", self.batch_size)):
            if not 1 <= value <= MAX_COUNT:
                raise UserError(f"--{name} {value}: must be from 1 to {MAX_COUNT:,}")
        if self.out.suffix.lower() != ".png":
            raise UserError(f"--out {self.out}: images are written as PNG; give a name that ends in .png")
        check_seeds(self.seed, self.count)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # the attempts; what comes of the last one is reported
        client = ServerClient(self.url, self.model, self.version, self.timeout, self.retries)
        name = self.signature or self._choose_signature(client)
        if name not in client.signatures():
            client.predict(name)  # which names the available ones
        inputs = self._build_inputs(name, client.signatures()[name])
        self._write(self._predict(client, name, inputs))

    def _choose_signature(self, client: ServerClient) -> str:
        """The signature that fits the options."""
        expected = FILE if self.image else SEED
        fitting = [name for name, one in client.signatures().items() if expected in one.inputs]
        if not fitting:
            option = "omit --image" if self.image else "give the file to send: --image FILE"
            raise UserError(f"{self.model} has no signature that takes {expected}; {option}. Available: {', '.join(client.signatures())}")
        return min(fitting, key=lambda name: (FILE not in client.signatures()[name].outputs, name))

    def _build_inputs(self, name: str, signature: SignatureInfo) -> dict[str, np.ndarray]:
        """The values of a signature's inputs: one row per sample, or one for an image."""
        import numpy as np

        rows = self.count if SEED in signature.inputs and not {FILE, IMAGE} & set(signature.inputs) else 1
        values: dict[str, Any] = {
            SEED: np.arange(self.seed, self.seed + rows, dtype=np.int64),
            "label": np.resize(np.array(self.label or (0,), np.int64), rows),
            "truncation": np.full(rows, NO_TRUNCATION if self.truncation is None else self.truncation, np.float32),
            "pose": np.full(rows, self.pose, np.int64),
        }
        if self.image and FILE in signature.inputs:
            values[FILE] = [self._read_image()]
        elif self.image and IMAGE in signature.inputs:
            values[IMAGE] = _decode(self._read_image(), (signature.inputs[IMAGE].shape or (None,))[-1])[None]
        if missing := [key for key in signature.inputs if key not in values]:
            raise UserError(f"{name} takes {', '.join(missing)}; give an image by --image FILE, or use zoo.serving.client in Python")
        for option in ("label", "truncation", "image"):
            inputs = {FILE, IMAGE} if option == "image" else {option}
            if getattr(self, option) is not None and not inputs & set(signature.inputs):
                raise UserError(f"--{option}: {name} does not take it; omit it")
        return {key: values[key] for key in signature.inputs}

    def _read_image(self) -> bytes:
        from zoo.files import read_file

        assert self.image
        try:
            return read_file(self.image)
        except OSError as error:
            raise UserError(f"--image {self.image} cannot be read: {error.strerror or error}") from None

    def _predict(self, client: ServerClient, name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of all rows, requested in batches."""
        import numpy as np

        rows = len(next(iter(inputs.values())))
        starts = range(0, rows, self.batch_size)
        answers = [client.predict(name, **{key: value[i : i + self.batch_size] for key, value in inputs.items()}) for i in starts]
        return {key: np.concatenate([answer[key] for answer in answers]) for key in answers[0]}

    def _write(self, outputs: dict[str, np.ndarray]) -> None:
        """Writes images as one picture; prints other outputs as JSON."""
        import numpy as np

        from zoo.core.images import tile_grid

        if FILE in outputs:
            images = np.stack([_decode(file, None) for file in outputs[FILE]])
        elif IMAGE in outputs:
            images = outputs[IMAGE]
        else:
            print(json.dumps({key: value.tolist() for key, value in outputs.items()}))
            return
        write_picture(self.out, tile_grid(images, math.ceil(math.sqrt(len(images)))))
        print(printable(f"{len(images)} {'image' if len(images) == 1 else 'images'} in {self.out}"))


def _decode(file: bytes, channels: int | None) -> np.ndarray:
    """An image file as float32 [height, width, channels] in [0, 1]."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    try:
        with Image.open(io.BytesIO(file)) as picture:
            converted = picture.convert(modes[channels]) if channels in modes else picture.copy()
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        raise UserError("not an image file that can be read; give a PNG or JPEG file") from None
    pixels = np.asarray(converted, np.float32) / 255
    return pixels if pixels.ndim == 3 else pixels[..., None]
