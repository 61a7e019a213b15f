"""Scores with their protocol, extractors, the best checkpoint, `zoo evaluate`, and the watch."""

import functools
import hashlib
import json
import shutil
import types
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import source, tiny
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_train import ACGAN, GAN, refused

import train
import zoo
from zoo import __main__ as tool
from zoo import bookkeeping, callbacks, data, losses, metrics
from zoo import watch as watching
from zoo.errors import UserError
from zoo.metrics import extractors
from zoo.models.gan import GAN as Perceptrons
from zoo.runs import Run

GAN, ACGAN = GAN[:-2], ACGAN[:-2]  # with scores

# -- extractors -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return data.open("digits")


@pytest.fixture(scope="module")
def classifier(digits):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractors, "train", functools.partial(extractors.train, epochs=18))  # just above the fewest updates
        return extractors.open("classifier", digits)


def test_the_classifier_is_kept_with_its_accuracy_and_hash(digits, classifier):
    (file,) = Path(digits.beside).glob("classifier-digits-*.keras")
    about = json.loads(file.with_suffix(".json").read_text())
    assert about["accuracy"] == classifier.accuracy and 0.92 < classifier.accuracy <= 1
    assert classifier.name == f"classifier-digits-{classifier.sha256[:4]}" and classifier.classes == 10
    test = digits.arrays("test")
    said = classifier(test["image"])
    assert said["features"].shape == (360, 128) and said["features"].dtype == np.float32
    np.testing.assert_allclose(said["probabilities"].sum(1), 1, atol=1e-5)
    assert np.mean(said["probabilities"].argmax(1) == test["label"]) == pytest.approx(about["accuracy"], abs=1e-6)
    again = extractors.open("classifier", digits, say=lambda text: pytest.fail("it was trained a second time"))
    assert again.sha256 == classifier.sha256
    np.testing.assert_array_equal(again(test["image"][:5])["features"], said["features"][:5])
    assert extractors.open(f"file:{file}", digits, say=pytest.fail).sha256 == classifier.sha256


def test_images_are_seen_alike_as_bytes_and_as_floats_and_resized(digits, classifier):
    images = digits.arrays("test")["image"][:4]
    first, second = classifier(images), classifier(images.astype(np.float32) / 255)
    np.testing.assert_allclose(first["features"], second["features"], rtol=1e-4, atol=1e-4)
    large = tf.image.grayscale_to_rgb(tf.image.resize(images.astype(np.float32) / 255, (64, 64))).numpy()
    seen = classifier(large)
    assert (seen["probabilities"].argmax(1) == first["probabilities"].argmax(1)).all()


def random_source(labels, name="random", **shape):
    """32 random pictures of a class each (none where `labels` is None), 16 of them to test with."""
    draw = np.random.RandomState(0)
    arrays = {"image": draw.randint(0, 256, (32, 12, 10, 1)).astype(np.uint8)}
    if labels is not None:
        arrays["label"] = np.int64(labels)
    return data.Source(
        name=name,
        version="0",
        image_shape=(12, 10, 1),
        sizes={"train": 32},
        class_names=None if labels is None else tuple(map(str, range(max(labels) + 1))),
        examples=lambda split: tf.data.Dataset.from_tensor_slices(arrays),
    )


@pytest.mark.parametrize("labels, why", [(None, "has no labels"), ([0, 1] * 16, "has 16 images a class")])
def test_without_labels_it_learns_quarter_turns_and_says_so(tmp_path, labels, why):
    said = []
    found = extractors.open("classifier", random_source(labels), tmp_path, said.append)
    assert found.name.startswith("rotations-random-") and found.classes is None and why in said[0] and why in found.about
    assert found.shape == (10, 10, 1) and found(np.zeros([3, 12, 10, 1], np.uint8))["features"].shape == (3, 128)


def test_a_network_of_keras_applications(tmp_path):
    found = extractors.application("MobileNetV2", weights=None)
    images = np.random.RandomState(0).randint(0, 256, (2, 20, 30, 1)).astype(np.uint8)
    seen = found(images)["features"]
    assert seen.shape == (2, 1280) and found.name.startswith("keras_MobileNetV2-") and found.distance == f"frechet[{found.name}]"
    network = keras.applications.MobileNetV2(include_top=False, weights=None, pooling="avg", input_shape=(224, 224, 3))
    assert hashlib.sha256(b"".join(w.tobytes() for w in network.get_weights())).hexdigest() != found.sha256


def tiny_inception(path, classes=1008):
    """A graph with the names, and the one-image habit, of the one of 2015."""
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, [1, None, None, 3], "ExpandDims")
        tiled = tf.tile(tf.reduce_mean(image, [1, 2], keepdims=True), [1, 1, 1, 683])[..., :2048]
        tf.identity(tiled, name="pool_3")
        weights = tf.constant(np.eye(2048, classes, dtype=np.float32) / 50, name="weights")
        with tf.name_scope("softmax/logits/"):
            tf.matmul(tf.reshape(tiled, [1, 2048]), weights, name="MatMul")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def test_the_graph_of_2015_gives_the_score_that_is_called_fid(tmp_path, digits):
    file = tiny_inception(tmp_path / "classify_image_graph_def.pb")
    found = extractors.open(f"inception:{file}", digits)
    assert found.distance == "fid" and found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    images = digits.arrays("test")["image"][:3]
    said = found(images)
    np.testing.assert_allclose(said["features"][:, 0], images.mean((1, 2, 3)), rtol=1e-4)  # it is given 0 to 255
    logits = said["features"][:, :1008] / 50
    np.testing.assert_allclose(said["probabilities"], tf.nn.softmax(logits), rtol=1e-3)


@pytest.mark.parametrize(
    "name, parts",
    [
        ("clasifier", ["no extractor 'clasifier'", "did you mean 'classifier'?"]),
        ("keras:ResNet51", ["no 'ResNet51'", "ResNet50"]),
        ("inception:nowhere.pb", ["nowhere.pb cannot be read", "inception-2015-12-05.tgz"]),
        ("file:nowhere.keras", ["nowhere.keras cannot be read as an extractor (there is no nowhere.keras in .)"]),
    ],
)
def test_bad_extractors(digits, name, parts):
    with pytest.raises(UserError) as error:
        extractors.open(name, digits)
    assert all(part in str(error.value) for part in parts), error.value


def test_weights_that_cannot_be_had(tmp_path, digits, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(keras.utils, "get_file", refuse)
    with pytest.raises(UserError, match="could not be fetched .*--extractor inception:FILE"):
        extractors.open("inception", digits, tmp_path)
    monkeypatch.setattr(keras.applications, "VGG19", refuse)
    with pytest.raises(UserError, match="keras:VGG19 cannot be had with its weights .*--extractor classifier"):
        extractors.open("keras:VGG19", digits)


def test_files_that_are_no_extractor_for_these_data(tmp_path, digits, classifier):
    (tmp_path / "a.pb").write_bytes(b"nothing")
    with pytest.raises(UserError, match="is not the Inception graph"):
        extractors.open(f"inception:{tmp_path / 'a.pb'}", digits)
    with pytest.raises(UserError, match=r"its last layer is \(2048, 7\)"):
        extractors.open(f"inception:{tiny_inception(tmp_path / 'b.pb', 7)}", digits)
    (file,) = Path(digits.beside).glob("classifier-digits-*.keras")
    with pytest.raises(UserError, match="was made for digits .*and the data are random"):
        extractors.open(f"file:{file}", random_source([0, 1] * 16))
    about = json.loads(file.with_suffix(".json").read_text())
    for name in ("accuracy", "classes"):
        shutil.copy(file, tmp_path / "less.keras")
        (tmp_path / "less.json").write_text(json.dumps({key: value for key, value in about.items() if key != name}))
        with pytest.raises(UserError, match=f"less.keras cannot be read as an extractor .*{name}"):
            extractors.open(f"file:{tmp_path / 'less.keras'}", digits)
    with pytest.raises(UserError, match="looks at images"):
        classifier(np.zeros([2, 32, 32, 4], np.uint8))


def test_a_network_whose_module_offers_no_class():
    found = extractors.application("MobileNetV3Small", weights=None)
    assert found(np.zeros([1, 32, 32, 3], np.uint8))["features"].shape == (1, 576)


# -- an evaluation --------------------------------------------------------------------------------------------------------------------


def test_real_images_score_well_and_noise_does_not(digits, classifier):
    evaluation = metrics.Evaluation(digits, classifier, 300)
    real = evaluation.scores(evaluation.other_real(), ["frechet", "precision", "class_accuracy"])
    noise = metrics.evaluation.Side(
        np.random.RandomState(0).randint(0, 256, (300, 32, 32, 1)).astype(np.uint8), evaluation.real.labels, classifier
    )
    bad = evaluation.scores(noise, ["frechet", "precision", "class_accuracy"])
    frechet, accuracy = f"frechet[{classifier.name}]", f"class_accuracy[{classifier.name}]"
    assert 0 < real[frechet] < bad[frechet] / 5 and real[accuracy] > 0.9 > 0.3 > bad[accuracy]
    assert set(real) == {frechet, accuracy, f"precision[{classifier.name}]"}
    same = evaluation.scores(evaluation.real, ["frechet"])
    assert same[frechet] == pytest.approx(0, abs=1e-6)


def test_samples_are_a_function_of_the_seed_and_follow_the_real_classes(digits, classifier):
    game = tiny("acgan", image_shape=(32, 32, 1), num_classes=10, generator_widths=(256, 128, 64, 32))  # wide enough for noise to be seen
    evaluation = metrics.Evaluation(digits, classifier, 40)
    first, second = evaluation.samples(game), evaluation.samples(game)
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.labels, evaluation.real.labels)
    other = metrics.Evaluation(digits, classifier, 40, seed=1)
    assert not np.array_equal(other.samples(game).images, first.images)
    assert not np.array_equal(other.real.images, evaluation.real.images)
    longer = metrics.Evaluation(digits, classifier, 60).samples(game)
    np.testing.assert_array_equal(longer.images[:40], first.images)


def test_live_and_averaged_generators_are_told_apart(digits, classifier):
    game = tiny("acgan", image_shape=(32, 32, 1), num_classes=10)
    game.generator.trainable_variables[0].assign_add(tf.ones_like(game.generator.trainable_variables[0]))
    live, averaged = (metrics.Evaluation(digits, classifier, 10, live=live) for live in (True, False))
    first, second = (side.drawn(game, 10, side.labels(game, 10)) for side in (live, averaged))
    assert not np.array_equal(first, second)
    assert live.protocol("float32")["generator"] == "live" and averaged.protocol("float32")["generator"] == "averaged"


def test_the_protocol_says_what_a_score_depends_on(digits, classifier):
    protocol = metrics.Evaluation(digits, classifier, 500, seed=3).protocol("float32")
    assert protocol["extractor"] == classifier.name and protocol["extractor_sha256"] == classifier.sha256
    assert (protocol["real_images"], protocol["fake_images"], protocol["split"], protocol["seed"]) == (360, 500, "test", 3)
    assert protocol["data"] == "digits 1.0.0" and protocol["image_shape"] == [32, 32, 1] and "32x32" in protocol["resizing"]


@pytest.mark.parametrize(
    "name, by_class, part",
    [
        ("freshet", True, "did you mean 'frechet'?"),
        ("fid", True, "only the Inception graph's"),
        ("class_accuracy", False, "needs a model with classes"),
        ("ms_ssim", False, "needs a model with classes"),
    ],
)
def test_scores_that_are_not_to_be_had(digits, classifier, name, by_class, part):
    evaluation = metrics.Evaluation(digits, classifier, 20)
    side = metrics.evaluation.Side(evaluation.real.images, evaluation.real.labels if by_class else None, classifier)
    with pytest.raises(UserError, match=part.replace("?", r"\?")):
        evaluation.scores(side, [name])


def test_an_evaluation_needs_two_images_a_split_and_the_models_size(digits, classifier):
    with pytest.raises(UserError, match="at least 2"):
        metrics.Evaluation(digits, classifier, 1)
    with pytest.raises(UserError, match="no split 'validation'; there is: .*test"):
        metrics.Evaluation(digits, classifier, 10, "validation")
    with pytest.raises(UserError, match=r"\(16, 16, 1\), and the real ones are opened as \(32, 32, 1\)"):
        metrics.Evaluation(digits, classifier, 10).samples(tiny("gan"))
    constant = metrics.evaluation.Side(np.zeros([20, 32, 32, 1], np.uint8), None, classifier)
    found = metrics.Evaluation(digits, classifier, 20).scores(constant, ["frechet", "recall"])
    assert found[f"recall[{classifier.name}]"] == 0 and found[f"frechet[{classifier.name}]"] > 1


class Painter:
    """A model whose samples are what it is told."""

    draws, conditions, measures = True, (), ()

    def __init__(self, value):
        self.config, self.value = types.SimpleNamespace(image_shape=(32, 32, 1)), value

    def sample(self, seed, live=False):
        values = tf.cast(seed % 2, tf.float32) * self.value
        return tf.broadcast_to(values[:, None, None, None], [tf.shape(seed)[0], 32, 32, 1])


@pytest.mark.parametrize(
    "value, words", [(float("nan"), "20 of 20 samples have values that are NaN"), (0.0, "all 20 samples are the same image")]
)
def test_samples_that_cannot_be_compared_are_refused_in_words(digits, classifier, value, words):
    evaluation = metrics.Evaluation(digits, classifier, 20)
    with pytest.raises(UserError, match=words):
        evaluation.all(Painter(value), ["frechet"], pytest.fail)
    assert set(evaluation.all(Painter(0.5), ["frechet"])) == {classifier.distance}


def test_memorisation_says_among_how_many(digits, classifier):
    for some, many in ((digits, 1437), (digits.few(50), 50)):
        evaluation = metrics.Evaluation(some, classifier, 20)
        assert list(evaluation.all(Painter(0.5), ["memorisation"])) == [f"memorisation[{classifier.name}, of {many} images]"]
    assert metrics.Evaluation(digits, classifier, 20, "train").protocol("float32")["split"] == "train, of 1437 images"
    assert metrics.Evaluation(digits.few(50), classifier, 20).protocol("float32")["split"] == "test"


# -- during training ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored") / "run"
    assert train.main([*ACGAN, "--steps", "12", "--every", "4", "--scores", "40", "--best", "recall", "--run-dir", str(folder)]) == 0
    return Run(folder)


def test_each_look_is_scored_and_the_best_checkpoint_kept(run):
    looks = run.rows
    assert [row["round"] for row in looks] == [4, 8, 12]
    scored = [row for row in looks if "scores" in row]
    assert looks[-1] in scored and all(row["protocol"] == scored[0]["protocol"] and row["scores_seconds"] > 0 for row in scored)
    (name,) = [name for name in scored[0]["scores"] if name.startswith("recall[")]
    values = {row["round"]: row["scores"][name] for row in scored}
    assert run.best["name"] == name and run.best["value"] == pytest.approx(max(values.values()), abs=1e-6)
    assert values[run.best["round"]] == pytest.approx(run.best["value"], abs=1e-6)
    assert {n.partition("[")[0] for n in scored[0]["scores"]} == {"frechet", "precision", "recall", "class_accuracy"}
    events = EventAccumulator(str(run.folder), size_guidance={"tensors": 0}).Reload()
    assert f"scores of 40/{name}" in events.Tags()["tensors"]
    text = tf.make_ndarray(events.Tensors("protocol")[0].tensor_proto).item().decode()
    assert scored[0]["protocol"]["extractor_sha256"] in text


def test_best_last_and_numbered_checkpoints_are_loaded(run):
    number = run.best["round"]
    best, last = (zoo.load(run, which) for which in ("best", "last"))
    assert best.played == number and last.played == 12 and zoo.load(run, 8).played == 8
    with pytest.raises(UserError, match=r"no checkpoint 7; it has: 0?,? ?4, 8, 12, best \(of round"):
        zoo.load(run, 7)


def test_evaluate(run, inside, capsys):
    folder = shutil.copytree(run.folder, inside / "run")
    assert tool.main(["evaluate", str(folder), "--count", "60", "--checkpoint", "best", "--metrics", "frechet", "recall"]) == 0
    said = capsys.readouterr().out
    row = Run(folder).rows[-1]
    assert row["evaluated"] and row["checkpoint"] == "best" and row["round"] == run.best["round"] and row["protocol"]["fake_images"] == 60
    assert {name.partition("[")[0] for name in row["scores"]} == {"frechet", "recall"}
    assert all(name in said for name in row["scores"]) and "extractor_sha256" in said
    events = EventAccumulator(str(folder / "evaluated"), size_guidance={"tensors": 0}).Reload()
    (told,) = events.Tensors("evaluated, best")
    text = tf.make_ndarray(told.tensor_proto).item().decode()
    assert told.step == row["round"] and row["protocol"]["extractor_sha256"] in text and all(name in text for name in row["scores"])
    assert len(Run(folder).rows) == len(run.rows) + 1


def test_a_resumed_run_keeps_the_better_checkpoint(run, inside):
    folder = shutil.copytree(run.folder, inside / "run")
    (folder / "checkpoints/best/score.json").write_text(json.dumps({**run.best, "value": 2.0}))  # no later one can be better
    assert train.main(["--resume", str(folder), "--steps", "16", "--scores", "40", "--best", "recall"]) == 0
    assert Run(folder).best == {**run.best, "value": 2.0} and Run(folder).rows[-1]["round"] == 16


def test_scores_take_a_bounded_share_of_the_time(digits, classifier, inside):
    assert train.main([*GAN, "--steps", "8", "--every", "4", "--scores", "20", "--run-dir", "run"]) == 0
    writer = tf.summary.create_file_writer("events")
    slow = callbacks.Evaluate(Run("run"), writer, metrics.Evaluation(digits, classifier, 20), ["frechet"], "frechet")
    slow.set_model(zoo.load("run"))
    slow.model.stop_training = False
    for weight in slow.model.averaged.weights:  # of eight rounds all samples would be the same grey
        weight.assign(tf.random.stateless_normal(weight.shape, [1, 2]))
    slow.on_train_begin()
    slow.spent = 1e6  # seconds, of the few that have passed
    slow.model.config.__dict__["steps"] = 100
    slow.on_epoch_end(0, {})
    assert slow.row == {}
    slow.model.config.__dict__["steps"] = 8  # the last look is always scored
    slow.on_epoch_end(0, {})
    assert "scores" in slow.row


def test_no_scores_on_request(inside):
    assert train.main([*GAN, "--scores", "0"]) == 0
    (run,) = Path("runs").iterdir()
    assert all("scores" not in row for row in Run(run).rows) and Run(run).best is None


# -- the watch ------------------------------------------------------------------------------------------------------------------------


def broken(monkeypatch, until):
    """The generator's loss gets a term that is not finite from round 6 (the sixth) on, while it was retried less than `until` times."""
    whole = Perceptrons.generator_loss

    def with_a_hole(self, batch, fake):
        hole = tf.logical_and(self.round.value >= 5, self.retries.value < until)
        terms = whole(self, batch, fake)
        return {**terms, "g_extra": tf.where(hole, float("nan"), 0.0) * tf.reduce_mean(fake)}

    monkeypatch.setattr(Perceptrons, "generator_loss", with_a_hole)


def test_a_value_that_is_not_finite_is_named_and_the_run_goes_back(inside, capsys, monkeypatch):
    broken(monkeypatch, 1)
    assert train.main([*GAN, "--steps", "8", "--every", "4", "--scores", "0", "--run-dir", "run"]) == 0
    said = capsys.readouterr().err
    assert "round 6: g_extra is not finite; the gradient of the generator's dense" in said and "(1 of 3)" in said
    game = zoo.load("run")
    assert int(game.retries) == 1 and game.played == 8
    assert all(np.isfinite(keras.ops.convert_to_numpy(weight)).all() for weight in game.weights)
    assert [row["round"] for row in Run("run").looks] == [4, 8]
    (told,) = [row for row in Run("run").rows if row not in Run("run").looks]
    assert told["round"] == 4 and "g_extra" in told["warnings"][0] and "extra is not finite" in Path("run/README.md").read_text()


def test_it_gives_up_after_three_retries_with_the_checkpoint_intact(inside, capsys, monkeypatch):
    broken(monkeypatch, 100)
    assert train.main([*GAN, "--steps", "8", "--every", "4", "--scores", "0", "--run-dir", "run"]) == 3
    said = capsys.readouterr().err
    assert said.count("round 6: g_extra is not finite") == 4 and "(3 of 3)" in said and "--resume run" in said
    game = zoo.load("run")
    assert game.played == 4 and int(game.retries) == 4 and not Path("run/export").exists()
    assert all(np.isfinite(keras.ops.convert_to_numpy(weight)).all() for weight in game.weights)


def test_before_the_first_look_it_goes_back_to_the_start(inside, capsys, monkeypatch):
    broken(monkeypatch, 1)
    assert train.main([*GAN, "--steps", "8", "--every", "8", "--scores", "0", "--run-dir", "run"]) == 0
    assert "round 6: g_extra" in capsys.readouterr().err and zoo.load("run").played == 8


def test_other_noise_after_a_retry(inside):
    game = tiny("gan")
    batch = next(iter(source(game).batches(4)))
    game.randomness.restart()
    first = game.generate(batch).numpy()
    game.randomness.restart()
    np.testing.assert_array_equal(game.generate(batch).numpy(), first)
    game.retries.assign(1)
    game.randomness.restart()
    assert not np.array_equal(game.generate(batch).numpy(), first)


def test_a_value_that_is_not_finite_once_is_named_by_that_round():
    ledger = bookkeeping.Ledger()
    for value in (1.0, 2.0, float("inf"), 4.0, 5.0):
        ledger.restart()
        ledger.note({"d_term": 1.0, "g_term": value})
        ledger.record()
    assert ledger.trouble(5) == (2, ["g_term"], [])
    assert np.isnan(ledger.mean(1)) and float(ledger.mean(0)) == 1


class Stub:
    """What the watch asks of a model."""

    draws, conditions = True, ()
    stop_training = False

    def __init__(self, objective):
        self.played, self.images, self.objective = 10, 1.0, objective

    def sample(self, seed):
        return np.full([len(seed), 4, 4, 1], self.images, np.float32)


class Nothing:
    """A run that has no rows yet."""

    rows = ()


def watched(looks, varieties=None, objective=losses.non_saturating):
    """What is said at each of several looks, given their means and how much samples vary."""
    varieties = varieties or [1.0] * len(looks)
    watch = watching.Watch(Nothing, {"image": np.zeros([8, 4, 4, 1], np.float32)}, lambda images, labels: float(images.mean()))
    watch.set_model(Stub(objective))
    watch.real, found = 1.0, []
    for look, variety in zip(looks, varieties):
        watch.model.images = variety
        watch.on_epoch_end(0, look)
        found.append(watch.row.get("warnings", []))
    return found


FINE = {"d_accuracy": 0.8, "g_gradient_norm": 1.0, "d_gradient_norm": 1.0}


@pytest.mark.parametrize(
    "look, words",
    [
        ({**FINE, "d_accuracy": 0.999}, ["the discriminator has won", "99.9%", "--discriminator-learning-rate"]),
        ({**FINE, "g_gradient_norm": 1e-5}, ["generator's gradient has vanished", "it was 1.0e+00"]),
        ({**FINE, "d_accuracy": 0.5, "d_gradient_norm": 1e-4}, ["the discriminator has given up", "50%"]),
    ],
)
def test_a_player_that_has_won_is_named_once(look, words, capsys):
    found = watched([FINE, look, look, look])
    assert [len(texts) for texts in found] == [0, 0, 1, 0] and all(word in found[2][0] for word in words)
    assert capsys.readouterr().err.count("warning:") == 1
    assert watched([FINE, look, FINE, FINE]) == [[]] * 4


def test_a_critic_is_not_said_to_have_won():
    won = {**FINE, "d_accuracy": 0.999}
    assert watched([FINE, won, won, won], objective=losses.wasserstein) == [[]] * 4


def test_collapse_is_said_unless_variety_is_still_growing():
    grown = watched([FINE] * 5, [1.0, 0.9, 0.2, 0.19, 0.18])
    assert [len(texts) for texts in grown] == [0, 0, 0, 1, 0] and "collapse: two samples differ 19%" in grown[3][0]
    assert watched([FINE] * 4, [0.05, 0.1, 0.2, 0.39]) == [[]] * 4
    assert watched([FINE] * 3, [0.9, 0.8, 0.7]) == [[]] * 3


# -- bad input ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv, parts",
    [
        (["--best", "freshet"], ["no metric 'freshet'", "did you mean 'frechet'?"]),
        (["--best", "class_accuracy"], ["class_accuracy needs a model with classes"]),
        (["--scores", "1"], ["--scores 1: at least 10, or 0 for none"]),
        (["--extractor", "keras:Nothing"], ["keras.applications has no 'Nothing'"]),
    ],
)
def test_bad_input_of_training(inside, capsys, argv, parts):
    line = refused(capsys, [*GAN, *argv])
    assert all(part in line for part in parts), line
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "argv, parts",
    [
        (["--metrics", "freshet"], ["no metric 'freshet'"]),
        (["--count", "1"], ["at least 2"]),
        (["--count", "4", "--metrics", "precision"], ["at least 6", "there are 4"]),
        (["--count", "3", "--metrics", "kid"], ["KID", "at least 4", "there are 3"]),
        (["--checkpoint", "5"], ["no checkpoint 5", "it has:"]),
        (["--seed", "-1"], ["--seed -1"]),
        (["--split", "validation"], ["no split 'validation'"]),
        (["--extractor", "nothing"], ["no extractor 'nothing'"]),
        (["--data", "nothing"], ["no data set 'nothing'"]),
    ],
)
def test_bad_input_of_evaluate(run, capsys, argv, parts):
    before = (run.folder / "metrics.jsonl").read_text()
    line = refused(capsys, ["evaluate", str(run.folder), *argv], tool.main)
    assert all(part in line for part in parts), line
    assert (run.folder / "metrics.jsonl").read_text() == before


@pytest.mark.parametrize("name", ["evaluate", "analyse", "usefulness", "compare"])
def test_runs_that_do_not_exist(inside, capsys, name):
    assert "nowhere is no run" in refused(capsys, [name, "nowhere"], tool.main)
    assert not list(inside.iterdir())


def test_a_checkpoint_of_another_model(run, inside, capsys):
    folder = shutil.copytree(run.folder, inside / "run")
    assert train.main([*GAN, "--scores", "0", "--steps", "4", "--run-dir", "other"]) == 0
    shutil.rmtree(folder / "checkpoints")
    shutil.copytree("other/checkpoints", folder / "checkpoints")
    assert "of another model" in refused(capsys, ["evaluate", str(folder), "--count", "10"], tool.main)


def test_the_analyses_are_printed_and_drawn(run, inside, capsys, monkeypatch):
    def linear(shape, classes, seed=0):
        """In the place of the network, which has its test beside the analyses."""
        x = image = keras.Input(shape)
        x = keras.layers.Flatten()(x)
        return keras.Model(image, {"features": x, "probabilities": keras.layers.Dense(classes, "softmax")(x)})

    monkeypatch.setattr(extractors, "small_network", linear)
    folder = shutil.copytree(run.folder, inside / "run")
    assert tool.main(["analyse", str(folder), "--count", "100"]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("Discriminability", "Diversity", "Memorisation"))
    names = ("discriminability", "diversity", "neighbours")
    assert {path.name for path in (folder / "analysis").iterdir()} == {f"{name}.{kind}" for name in names for kind in ("png", "txt")}
    kept = [(folder / "analysis" / f"{name}.txt").read_text() for name in names]
    assert all(text in said and "(round 12); extractor classifier-digits" in text and "fake images 100" in text for text in kept)
    with pytest.raises(UserError, match="--sizes 5000: digits has 1437 to learn from"):
        tool.main(["usefulness", str(folder), "--count", "100", "--sizes", "50", "5000"])
    assert (
        tool.main(["usefulness", str(folder), "--count", "100", "--sizes", "50", "--repeats", "1", "--updates", "40", "--out", "plots"])
        == 0
    )
    said = capsys.readouterr().out
    assert (
        "GAN-train" in said
        and "GAN-test" in said
        and {path.name for path in Path("plots").iterdir()} == {"traintest.png", "traintest.txt", "augmentation.png", "augmentation.txt"}
    )
    assert "checkpoint last (round 12); data digits 1.0.0; split test; image shape" in Path("plots/traintest.txt").read_text()


def test_two_runs_are_compared(run, inside, capsys):
    folder = shutil.copytree(run.folder, inside / "other")
    assert tool.main(["compare", str(run.folder), str(folder), "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3 and Path("compare.png").stat().st_size > 10_000
    text = (folder / "metrics.jsonl").read_text().replace('"fake_images": 40', '"fake_images": 50')
    (folder / "metrics.jsonl").write_text(text)
    assert "fake_images 40" in refused(capsys, ["compare", str(run.folder), str(folder)], tool.main)


def test_the_card_is_written_by_training(run):
    card = (run.folder / "README.md").read_text()
    assert "ACGAN (Odena" in card and f"samples/round-{12:06d}.png" in card and "recall" in card and (run.folder / "curve.png").exists()
    assert "| `discriminate` | `image float32 [n, 32, 32, 1]` |" in card and "| `sample` | `seed int64 [n]`, `label int64 [n]` |" in card
