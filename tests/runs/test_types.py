"""Protocols: equal if and only if scores are comparable."""

import json

from zoo.types import Protocol

FIELDS = {
    "extractor": "classifier-mnist-1a2b",
    "extractor_sha256": "1a2b" * 16,
    "data": "mnist 3.0.1",
    "split": "test",
    "real_images": 900,
    "fake_images": 1000,
    "image_shape": [28, 28, 1],
    "resizing": "to 28x28",
    "seed": 0,
    "generator": "ema",
    "precision": "float32",
    "truncation": None,
}


def test_it_survives_json_and_is_hashable():
    protocol = Protocol.from_dict(json.loads(json.dumps(FIELDS)))
    assert protocol.image_shape == (28, 28, 1) and protocol.to_dict() == FIELDS
    assert hash(protocol) == hash(Protocol.from_dict(dict(reversed(FIELDS.items()))))
    assert Protocol.from_dict({**FIELDS, "unknown": 1}) == protocol
    assert Protocol.from_dict({**FIELDS, "seed": 1}) != protocol


def test_it_is_described_in_one_line():
    assert Protocol.from_dict(FIELDS).describe() == (
        "extractor classifier-mnist-1a2b; extractor sha256 1a2b1a2b1a2b; data mnist 3.0.1; split test; real images 900; fake images 1000; "
        "image shape 28x28x1; resizing to 28x28; seed 0; generator ema; precision float32; truncation none"
    )
    assert Protocol(data="a 1", split="test").describe(omit=("extractor", "extractor_sha256", "resizing", "image_shape")) == (
        "data a 1; split test; real images 0; fake images 0; seed 0; generator ema; truncation none"
    )
    assert Protocol(image_shape=(None, None, 3)).describe_field("image_shape") == "any"


def test_its_subject():
    protocol = Protocol.from_dict(FIELDS)
    assert (protocol.subject, protocol.num_images) == ("1,000 samples", 1000)
    held_out = Protocol.from_dict({**FIELDS, "fake_images": 0})
    assert (held_out.subject, held_out.num_images) == ("900 held-out examples", 900)
    assert Protocol(split="train, of 500 images", real_images=500).subject == "500 training examples"
