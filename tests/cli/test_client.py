"""The client against a stand-in for TensorFlow Serving: REST and gRPC, batching, and everything that can be wrong."""

import json
import socket
from concurrent import futures

import numpy as np
import pytest
from command_line import read_error
from model_server import ModelServer, batch_requests, run_servers
from PIL import Image

from zoo import __main__ as tool
from zoo.errors import UserError
from zoo.serving.client import Client
from zoo.testing.serving_checks import has_cpp_library

pytestmark = [
    pytest.mark.skipif(not has_cpp_library(), reason="TensorFlow has no C++ library here"),
    pytest.mark.xdist_group("model-server"),
]
by_protocol = pytest.mark.parametrize("protocol", [0, 1], ids=["grpc", "rest"])


@pytest.fixture(scope="module")
def server(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("batched")
    batch_requests(trained("acgan").version, folder, [1, 8, 64])
    return ModelServer("acgan", folder)


@pytest.fixture(scope="module")
def addresses(server):
    with run_servers(server) as addresses:
        yield addresses


@pytest.fixture
def model(trained):
    return trained("acgan").model


@by_protocol
def test_samples_are_those_of_the_model(protocol, addresses, model):
    client = Client(addresses[protocol], "acgan", version=1)
    images = client.predict("sample", seed=[7, 2**40], label=[1, 0])["image"]
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, model.sample(seed=[7, 2**40], label=[1, 0]), atol=1e-5)
    outputs = client.predict("discriminate", image=images)
    expected = model.serve("discriminate", image=images)
    assert set(outputs) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name], value, atol=1e-4)


def test_64_clients_at_once_get_their_own_images(addresses, server, model):
    requests = [list(range(10 * i, 10 * i + i % 7 + 1)) for i in range(64)]
    everything = sum(requests, [])
    labels = {seed: seed % model.config.num_classes for seed in everything}
    expected = dict(zip(everything, model.sample(seed=everything, label=list(labels.values())).numpy(), strict=True))

    def request(i):
        client = Client(addresses[i % 2], "acgan")
        return client.predict("sample", seed=requests[i], label=[labels[seed] for seed in requests[i]])["image"]

    with futures.ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(request, range(64)))
    for seeds, images in zip(requests, answers, strict=True):
        np.testing.assert_allclose(images, [expected[seed] for seed in seeds], atol=1e-5)


@by_protocol
def test_a_busy_server_is_tried_again(protocol, addresses, server, monkeypatch):
    monkeypatch.setattr("zoo.serving.client.FIRST_DELAY", 0.01)
    server.failures = 2
    assert "sample" in Client(addresses[protocol], "acgan", retries=2).signatures()
    server.failures = 2
    with pytest.raises(UserError, match="cannot be reached"):
        Client(addresses[protocol], "acgan", retries=0).signatures()
    server.failures = 0


@by_protocol
@pytest.mark.parametrize(
    "name, inputs, message",
    [
        ("sample", {"seed": [1], "label": [99]}, "acgan: the server refuses the request: label is out of range; available classes: 0 to"),
        ("sampel", {}, "acgan has no signature 'sampel'; did you mean 'sample'?"),
        ("sample", {"seed": [1]}, "sample takes the inputs"),
        ("sample", {"seed": ["a"], "label": [1]}, "seed: expected int64, not ['a']"),
        ("sample", {"seed": [0.5], "label": [1]}, "seed: expected int64, not [0.5]"),
        ("sample", {"seed": [[1]], "label": [1]}, "seed has shape [1, 1]; the server takes [None]"),
        ("sample", {"seed": [1, 2], "label": [1]}, "the server refuses the request"),
    ],
)
def test_requests_that_are_wrong_are_explained(protocol, name, inputs, message, addresses):
    with pytest.raises(UserError) as caught:
        Client(addresses[protocol], "acgan").predict(name, **inputs)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@by_protocol
def test_another_model_or_version_is_explained(protocol, addresses):
    for arguments in (("dcgan",), ("acgan", 7)):
        with pytest.raises(UserError, match="has no such model"):
            Client(addresses[protocol], *arguments).signatures()


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_server_that_is_not_there_is_explained(scheme):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"{scheme}://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(UserError, match="is the server running") as caught:
        Client(address, "acgan", retries=0).signatures()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_server_that_never_answers_is_given_up(scheme):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match="does not answer within 0.2 seconds|cannot be reached"):
            Client(address, "acgan", timeout=0.2, retries=0).signatures()


@pytest.mark.parametrize("address", ["localhost:8501", "ftp://localhost", "http://", "http://host:port", "", 7])
def test_addresses_that_are_none_are_refused(address):
    with pytest.raises(UserError, match="is not the address of a server"):
        Client(address, "acgan")


@by_protocol
def test_the_command_writes_a_grid(protocol, addresses, working_directory, model, capsys):
    words = ["client", addresses[protocol], "--model", "acgan", "--label", "1", "--count", "4", "--batch-size", "3"]
    assert tool.main([*words, "--signature", "sample", "--out", "ones.png"]) == 0
    assert capsys.readouterr().out == "4 images in ones.png\n"
    height, width, _ = model.config.image_shape
    picture = np.asarray(Image.open("ones.png"))
    expected = model.sample(seed=[0, 1, 2, 3], label=[1] * 4).numpy()[..., 0]
    for i in range(4):
        top, left = i // 2 * (height + 2), i % 2 * (width + 2)
        np.testing.assert_allclose(picture[top : top + height, left : left + width] / 255, expected[i], atol=1.1 / 255)


def test_the_command_prints_what_is_no_image(addresses, working_directory, model, capsys):
    Image.new("L", model.config.image_shape[1::-1], 128).save("gray.png")
    words = ["client", addresses[1], "--model", "acgan", "--signature", "discriminate", "--image", "gray.png"]
    assert tool.main(words) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(model.signatures()["discriminate"].outputs)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--out", "x.jpg"], "--out x.jpg: images are written as PNG"),
        (["--count", "0"], "--count 0: must be from 1"),
        (["--signature", "x"], "acgan has no signature 'x'"),
        (["--signature", "discriminate"], "discriminate takes image; give an image by --image FILE"),
        (["--signature", "discriminate", "--image", "none.png"], "--image none.png cannot be read: No such file or directory"),
        (["--signature", "sample", "--truncation", "0.5"], "--truncation: sample does not take it; omit it"),
        (["--image", "gray.png"], "acgan has no signature that takes image_bytes; omit --image"),
        (["--retries", "9"], "retries=9: must be from 0 to 4"),
    ],
)
def test_bad_words_are_refused(words, message, addresses, working_directory, capsys):
    assert message in read_error(capsys, ["client", addresses[1], "--model", "acgan", *words], tool.main)
