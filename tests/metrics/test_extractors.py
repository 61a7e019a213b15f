"""Feature extractors: the dataset's own classifier, its cache, the Inception graph, networks of keras.applications, and bad input."""

import hashlib
import io
import json
import shutil
import tarfile
import types
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import data
from zoo.errors import UserError
from zoo.metrics import extractors, load_extractor
from zoo.metrics.extractors import inception

BENCHMARKS = Path(__file__).parents[2] / "benchmarks" / "extractors"


@pytest.fixture(scope="module")
def digits():
    return data.open_source("digits")


@pytest.fixture(scope="module")
def classifier(digits):
    return load_extractor("classifier", digits)


# -- the dataset's own classifier ----------------------------------------------------------------------------------------------------


def test_the_classifier_is_cached_with_its_accuracy_and_hash(digits, classifier):
    (file,) = Path(digits.cache_dir).glob("classifier-digits-*.keras")
    record = json.loads(file.with_suffix(".json").read_text())
    assert record["accuracy"] == classifier.accuracy and 0.92 < classifier.accuracy <= 1
    assert classifier.name == f"classifier-digits-{classifier.sha256[:4]}" and classifier.classes == 10
    test = digits.arrays("test")
    predictions = classifier(test["image"])
    assert predictions["features"].shape == (360, 128) and predictions["features"].dtype == np.float32
    np.testing.assert_allclose(predictions["probabilities"].sum(1), 1, atol=1e-5)
    is_right = predictions["probabilities"].argmax(1) == test["label"]
    balanced = np.mean([is_right[test["label"] == label].mean() for label in range(10)])
    assert balanced == pytest.approx(record["accuracy"], abs=1e-6)
    again = load_extractor("classifier", digits, log=lambda text: pytest.fail("it was trained a second time"))
    assert again.sha256 == classifier.sha256
    np.testing.assert_array_equal(again(test["image"][:5])["features"], predictions["features"][:5])
    assert load_extractor(f"file:{file}", digits, log=pytest.fail).sha256 == classifier.sha256


def test_bytes_and_floats_have_the_same_features_and_images_are_resized(digits, classifier):
    images = digits.arrays("test")["image"][:4]
    first, second = classifier(images), classifier(images.astype(np.float32) / 255)
    np.testing.assert_allclose(first["features"], second["features"], rtol=1e-4, atol=1e-4)
    large = tf.image.grayscale_to_rgb(tf.image.resize(images.astype(np.float32) / 255, (64, 64))).numpy()
    predictions = classifier(large)
    assert (predictions["probabilities"].argmax(1) == first["probabilities"].argmax(1)).all()


def random_pictures(labels, name="random"):
    """A source of 32 random images with these labels; without labels if `labels` is None."""
    arrays = {"image": np.random.RandomState(0).randint(0, 256, (32, 12, 10, 1)).astype(np.uint8)}
    if labels is not None:
        arrays["label"] = np.int64(labels)
    return data.Source(
        name=name,
        version="0",
        image_shape=(12, 10, 1),
        sizes={"train": 32},
        class_names=None if labels is None else tuple(map(str, range(max(labels) + 1))),
        load=lambda split: arrays,
    )


@pytest.mark.parametrize("labels, why", [(None, "has no labels"), ([0, 1] * 16, "has 16 images of the class 0")])
def test_without_labels_it_learns_rotations_and_reports_why(tmp_path, labels, why):
    messages = []
    extractor = load_extractor("classifier", random_pictures(labels), tmp_path, messages.append)
    assert extractor.name.startswith("rotations-random-") and extractor.classes is None
    assert why in messages[0] and why in extractor.description
    assert extractor.shape == (10, 10, 1) and extractor(np.zeros([3, 12, 10, 1], np.uint8))["features"].shape == (3, 128)


def test_requested_rotations_do_not_replace_the_classifier(tmp_path):
    source, messages = random_pictures(None), []
    requested = load_extractor("rotations", source, tmp_path, messages.append)
    (record,) = tmp_path.glob("rotations-*.json")
    assert "requested" in requested.description and json.loads(record.read_text())["rotations"] == "requested"
    record.write_text(record.read_text().replace("requested", "asked for"))  # as written before version 0.2
    assert load_extractor("rotations", source, tmp_path, pytest.fail).sha256 == requested.sha256
    assert "has no labels" in load_extractor("classifier", source, tmp_path, messages.append).description and len(messages) == 2


@pytest.mark.parametrize(
    "name, accuracy", [("mnist-0", 0.9935), ("mnist-1", 0.9945), ("fashion_mnist-0", 0.905), ("fashion_mnist-1", 0.9068)]
)
def test_the_extractors_of_the_benchmarks_can_be_read(name, accuracy):
    path = BENCHMARKS / f"{name}.keras"
    source = types.SimpleNamespace(name=name[:-2], image_shape=(28, 28, 1), num_classes=10, class_names=tuple("0123456789"))
    source.identity, source.version = f"{source.name} 3.0.1", "3.0.1"
    extractor = extractors.load_file(path, source)
    record = json.loads(path.with_suffix(".json").read_text())
    assert extractor.sha256 == record["sha256"] and (extractor.classes, extractor.accuracy) == (10, accuracy)
    seed = {"0": "", "1": "1"}[name[-1]]
    assert extractor.name == f"classifier{seed}-{name[:-2]}-{record['sha256'][:4]}"
    assert extractor(np.zeros([1, 28, 28, 1], np.uint8))["features"].shape == (1, 128)


# -- keras.applications ---------------------------------------------------------------------------------------------------------------


def test_a_network_of_keras_applications():
    extractor = extractors.load_application("MobileNetV2", weights=None)
    images = np.random.RandomState(0).randint(0, 256, (2, 20, 30, 1)).astype(np.uint8)
    features = extractor(images)["features"]
    assert features.shape == (2, 1280) and extractor.name.startswith("keras_MobileNetV2-") and not extractor.is_inception
    network = keras.applications.MobileNetV2(include_top=False, weights=None, pooling="avg", input_shape=(224, 224, 3))
    assert hashlib.sha256(b"".join(w.tobytes() for w in network.get_weights())).hexdigest() != extractor.sha256


def test_a_network_whose_module_has_no_class():
    extractor = extractors.load_application("MobileNetV3Small", weights=None)
    assert extractor(np.zeros([1, 32, 32, 3], np.uint8))["features"].shape == (1, 576)


def test_a_bug_in_a_builder_is_not_an_error_of_the_user(digits, monkeypatch):
    def fail(*args, **kwargs):
        raise AttributeError("a bug")

    monkeypatch.setattr(keras.applications, "VGG19", fail)
    with pytest.raises(AttributeError, match="a bug"):
        load_extractor("keras:VGG19", digits)


# -- the Inception graph --------------------------------------------------------------------------------------------------------------


def tiny_inception(path, classes=1008):
    """A graph with the names of the one of 2015, which takes one image at a time as well."""
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, [1, None, None, 3], "ExpandDims")
        tiled = tf.tile(tf.reduce_mean(image, [1, 2], keepdims=True), [1, 1, 1, 683])[..., :2048]
        tf.identity(tiled, name="pool_3")
        weights = tf.constant(np.eye(2048, classes, dtype=np.float32) / 50, name="weights")
        with tf.name_scope("softmax/logits/"):
            tf.matmul(tf.reshape(tiled, [1, 2048]), weights, name="MatMul")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def test_the_graph_of_2015(tmp_path, digits):
    file = tiny_inception(tmp_path / "classify_image_graph_def.pb")
    extractor = load_extractor(f"inception:{file}", digits)
    assert extractor.is_inception and extractor.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    images = digits.arrays("test")["image"][:3]
    predictions = extractor(images)
    np.testing.assert_allclose(predictions["features"][:, 0], images.mean((1, 2, 3)), rtol=1e-4)  # it takes 0 to 255
    logits = predictions["features"][:, :1008] / 50
    np.testing.assert_allclose(predictions["probabilities"], tf.nn.softmax(logits), rtol=1e-3)


def test_a_fetched_graph_is_recorded_with_its_hash_and_checked(tmp_path, digits, monkeypatch):
    graph, archive, messages = tiny_inception(tmp_path / inception.GRAPH), io.BytesIO(), []
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(graph, inception.GRAPH)
    requested = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: requested.append(url) or io.BytesIO(archive.getvalue()))
    folder = tmp_path / "cache"
    extractor = load_extractor("inception", digits, folder, messages.append)
    sha256 = hashlib.sha256(graph.read_bytes()).hexdigest()
    assert extractor.sha256 == sha256 and requested == [inception.URL] and inception.URL.startswith("https://")
    assert sha256 in messages[-1] and (folder / f"{inception.GRAPH}.sha256").read_text().strip() == sha256
    assert load_extractor("inception", digits, folder, pytest.fail).sha256 == sha256
    (folder / inception.GRAPH).write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(UserError, match=f"is not the file that was fetched: .*{sha256} is recorded"):
        load_extractor("inception", digits, folder)


def test_a_graph_that_writes_files_is_refused(tmp_path, digits):
    """A graph is a program, and a run's record may name one."""
    with tf.Graph().as_default() as graph:
        tf.io.write_file(str(tmp_path / "written"), "by the graph")
    content = tiny_inception(tmp_path / "a.pb").read_bytes() + graph.as_graph_def().SerializeToString()  # protocol buffers are merged
    (tmp_path / "a.pb").write_bytes(content)
    with pytest.raises(UserError, match="it has the operations WriteFile"):
        load_extractor(f"inception:{tmp_path / 'a.pb'}", digits)
    assert not (tmp_path / "written").exists()


# -- bad input ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, parts",
    [
        ("clasifier", ["unknown feature extractor 'clasifier'", "did you mean 'classifier'?", "Available: classifier"]),
        ("keras:ResNet51", ["no 'ResNet51'; did you mean 'ResNet50'?", "https://keras.io/api/applications lists them"]),
        ("keras:Nothing", ["no 'Nothing'. It has ", "such as ResNet50, "]),
        ("inception:nowhere.pb", ["--feature-extractor inception:nowhere.pb: no such file"]),
        ("file:nowhere.keras", ["--feature-extractor file:nowhere.keras: no such file"]),
    ],
)
def test_bad_extractors(digits, name, parts):
    with pytest.raises(UserError) as error:
        load_extractor(name, digits)
    assert all(part in str(error.value) for part in parts), error.value


def test_weights_that_cannot_be_fetched(tmp_path, digits, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no network")

    def refuse_as_keras(*args, **kwargs):
        raise Exception("URL fetch failure on ...")  # as `keras.utils.get_file` does

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(UserError, match="could not be fetched .*--feature-extractor inception:FILE"):
        load_extractor("inception", digits, tmp_path)
    assert not list(tmp_path.glob("*.pb"))
    for error in (refuse, refuse_as_keras):
        monkeypatch.setattr(keras.applications, "VGG19", error)
        with pytest.raises(UserError, match="keras:VGG19: the weights cannot be loaded .*--feature-extractor classifier"):
            load_extractor("keras:VGG19", digits)


def test_files_that_are_not_an_extractor_for_these_data(tmp_path, digits, classifier):
    (tmp_path / "a.pb").write_bytes(b"nothing")
    with pytest.raises(UserError, match="is not the Inception graph"):
        load_extractor(f"inception:{tmp_path / 'a.pb'}", digits)
    with pytest.raises(UserError, match=r"its last layer is \(2048, 7\)"):
        load_extractor(f"inception:{tiny_inception(tmp_path / 'b.pb', 7)}", digits)
    (tmp_path / "c.pb").write_bytes(tf.Graph().as_graph_def().SerializeToString())
    with pytest.raises(UserError, match="is not the Inception graph"):
        load_extractor(f"inception:{tmp_path / 'c.pb'}", digits)
    (file,) = Path(digits.cache_dir).glob("classifier-digits-*.keras")
    with pytest.raises(UserError, match="was trained for digits .*, not for random"):
        load_extractor(f"file:{file}", random_pictures([0, 1] * 16))
    record = json.loads(file.with_suffix(".json").read_text())
    for name in ("accuracy", "classes"):
        shutil.copy(file, tmp_path / "less.keras")
        (tmp_path / "less.json").write_text(json.dumps({key: value for key, value in record.items() if key != name}))
        with pytest.raises(UserError, match=f"less.keras cannot be read as a feature extractor .*{name}"):
            load_extractor(f"file:{tmp_path / 'less.keras'}", digits)
    with pytest.raises(UserError, match="takes images"):
        classifier(np.zeros([2, 32, 32, 2], np.uint8))


@pytest.mark.parametrize("counts", [(40, 1), (40, 19)])
def test_a_rare_class_is_too_few_labels(tmp_path, counts):
    """A classifier that never answers with a rare class would be right nearly always."""
    labels = np.repeat([0, 1], counts)
    arrays = {"image": np.zeros((len(labels), 8, 8, 1), np.uint8), "label": np.int64(labels)}
    source = data.Source("rare", "0", (8, 8, 1), {"train": len(labels)}, ("many", "few"), lambda split: arrays)
    messages = []
    assert load_extractor("classifier", source, tmp_path, messages.append).classes is None
    assert f"rare has {counts[1]} images of the class few" in messages[0]


def test_an_extractor_does_not_depend_on_where_a_folder_is(tmp_path):
    from PIL import Image

    for k, name in enumerate(("cat", "dog")):
        for i in range(22):
            path = tmp_path / "first" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), 10 * i + 20 * k).save(path)
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    sources = [data.open_source(f"folder:{tmp_path / name}", keys=("image", "label")) for name in ("first", "second")]
    first = load_extractor("classifier", sources[0], tmp_path / "cache", lambda text: None)
    assert load_extractor("classifier", sources[1], tmp_path / "cache", pytest.fail).name == first.name
    assert first.name.startswith("classifier-folder-")
