"""A model as a Keras model: data for `fit`, `evaluate`, `predict`, callbacks, serialization."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import same_arrays, tiny_model, to_numpy, weights

import zoo
from zoo.errors import UserError
from zoo.precision import dtype_policy

DRAW = np.random.RandomState(0)
IMAGES = DRAW.uniform(-1, 1, (16, 16, 16, 1)).astype(np.float32)
LABELS = DRAW.randint(0, 3, 16)


def batches(*parts):
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0]).batch(4)


@pytest.mark.parametrize(
    "feed",
    [
        lambda: {"x": batches({"image": IMAGES, "label": LABELS})},
        lambda: {"x": batches(IMAGES, LABELS.astype(np.int32))},
        lambda: {"x": IMAGES, "y": LABELS, "batch_size": 4},
        lambda: {"x": {"image": IMAGES, "label": LABELS}},
        lambda: {"x": (tf.constant(IMAGES), LABELS.astype(np.uint8))},
    ],
    ids=["dicts", "tuples", "arrays", "dict of arrays", "tuple of arrays"],
)
def test_fit_takes_dicts_tuples_and_arrays(feed):
    model = tiny_model("cgan")
    model.run_eagerly = True
    before = weights(model.generator)
    history = model.fit(**feed(), epochs=1, verbose=0).history
    assert model.completed_steps == 4 and np.isfinite(history["d_adversarial"]).all()
    assert not same_arrays(weights(model.generator), before)


def test_a_model_without_labels_takes_images_with_labels():
    model = tiny_model("gan")
    model.fit(batches(IMAGES, LABELS), verbose=0)
    assert model.completed_steps == 4


@pytest.mark.parametrize(
    "images, labels, message",
    [
        (np.uint8((IMAGES + 1) * 127.5), LABELS, r"image has dtype uint8; expected float32 in \[-1, 1\]"),
        ((IMAGES + 1) * 127.5, LABELS, r"image has values from .* to 25[45].*x / 127\.5 - 1"),
        ((IMAGES + 1) / 2, LABELS, r"image has values from .* to .*x \* 2 - 1"),
        (np.where(IMAGES > 0.9, np.nan, IMAGES), LABELS, "image has values from nan to nan"),
        (IMAGES[:, :8], LABELS, r"image has shape \[.*8, 16, 1\]; expected .* \[n, 16, 16, 1\]"),
        (IMAGES[..., 0], LABELS, r"image has shape \[.*16, 16\]; expected"),
        (IMAGES, LABELS + 1, "label is out of range; available classes: 0 to 2"),
        (IMAGES, LABELS - 1, "label is out of range; available classes: 0 to 2"),
        (IMAGES, LABELS.astype(np.float32), "label: expected integers"),
        (IMAGES, LABELS[:, None], r"label has shape \[16, 1\]; expected \[n\]"),
    ],
)
def test_wrong_ranges_and_shapes_are_refused_before_training(images, labels, message):
    model = tiny_model("acgan")
    for data in ({"x": images, "y": labels}, {"x": tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)}):
        with pytest.raises(UserError, match=message):
            model.fit(**data, verbose=0)
    assert model.completed_steps == 0


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("acgan", {"x": IMAGES}, "label is missing: this model trains on batches of image, label"),
        ("acgan", {"x": batches(IMAGES)}, "label is missing"),
        ("acgan", {"x": {"image": IMAGES, "class": LABELS}}, "label is missing.*available: image, class"),
        ("acgan", {"x": IMAGES, "y": LABELS[:3]}, "arrays of different lengths: image has 16, label has 3"),
        ("dcgan", {"x": IMAGES[:3]}, "a step takes 4 examples and there are 3"),
        ("dcgan", {"x": batches(IMAGES).filter(lambda image: False)}, "the dataset is empty"),
        ("dcgan", {"x": IMAGES[:0]}, "a step takes 4 examples and there are 0"),
        ("dcgan", {}, "no data; this model trains on batches of image"),
        ("acgan", {"x": (IMAGES, LABELS, np.ones(16))}, "3 arrays were given; this model trains on image, label, without sample weights"),
        ("cyclegan", {"x": {"x": IMAGES}}, "y is missing"),
        ("srgan", {"x": {"picture": IMAGES}}, "high is missing|low is missing"),
        ("sgan", {"x": IMAGES, "y": LABELS}, "labeled_image is missing|label is missing"),
    ],
)
def test_missing_keys_are_named(name, data, message):
    with pytest.raises(UserError, match=message):
        tiny_model(name).fit(**data, verbose=0)


def test_a_batch_that_cannot_be_split_is_refused():
    with pytest.raises(UserError, match="a batch of 4 rows cannot be split into 3 parts"):
        tiny_model("dcgan", discriminator_steps=3).fit(batches(IMAGES), verbose=0)


def test_evaluate_reports_the_losses_and_changes_nothing():
    model = tiny_model("cgan")  # as graphs, as users train
    model.fit(IMAGES, LABELS, verbose=0)
    before = weights(model)
    losses = model.evaluate(batches(IMAGES, LABELS), return_dict=True, verbose=0)
    assert {"d_adversarial", "g_adversarial"} <= set(losses) and np.isfinite(list(losses.values())).all()
    assert same_arrays(weights(model), before)
    history = model.fit(IMAGES, LABELS, validation_data=(IMAGES, LABELS), verbose=0).history
    assert np.isfinite(history["val_d_adversarial"]).all()


@pytest.mark.parametrize("name", ["acgan", "autoencoder", "cyclegan", "drgan"])
def test_predict_is_the_serving_default_signature(name):
    model = tiny_model(name)
    inputs = {}
    for spec in model.signatures()["serving_default"].inputs:
        shape = [3, *(side or 16 for side in spec.shape[1:])]
        inputs[spec.name] = DRAW.randint(0, 2, 3) if spec.dtype == tf.int64 else DRAW.uniform(0, 1, shape).astype(np.float32)
    expected = model.serve("serving_default", **inputs)["image"]
    np.testing.assert_allclose(model.predict(inputs, batch_size=2, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(model(next(iter(inputs.values())) if len(inputs) == 1 else tuple(inputs.values())), expected, atol=1e-6)


def test_the_default_of_each_kind_of_model():
    """Latent and label to image; reconstruction; the default direction; image and pose."""
    names = {name: [spec.name for spec in tiny_model(name).signatures()["serving_default"].inputs] for name in ("acgan", "autoencoder")}
    assert names == {"acgan": ["latent", "label"], "autoencoder": ["image"]}
    model = tiny_model("autoencoder")
    unit = (IMAGES[:2] + 1) / 2
    np.testing.assert_allclose(model(unit), model.serve("reconstruct", image=unit)["image"], atol=1e-6)
    model = tiny_model("cyclegan")
    np.testing.assert_allclose(model(unit), model.serve("to_y", image=unit)["image"], atol=1e-6)


def test_a_call_without_an_input_names_it():
    with pytest.raises(UserError, match="label is missing; this model is called with latent, label"):
        tiny_model("acgan")({"latent": np.zeros((1, 8), np.float32)})


NO_TENSORS = [5, True, None, "x", b"x", 1j, object(), [], {}, [None], {"latent": 5}, {"latent": [["a"]], "label": [0]}, ([[1j] * 8], [0])]


@pytest.mark.parametrize("value", NO_TENSORS, ids=lambda value: type(value).__name__)
def test_a_call_with_no_tensors_is_refused(value):
    model = tiny_model("acgan")
    for call in (model, model.predict):
        with pytest.raises(UserError, match="expected|is missing|has shape"):
            call(value)


def test_a_call_takes_lists_of_numbers():
    model, latent = tiny_model("acgan"), np.full([2, 8], 0.5, np.float32)
    expected = model({"latent": latent, "label": np.array([0, 1])})
    np.testing.assert_array_equal(model({"latent": latent.tolist(), "label": [0, 1]}), expected)
    np.testing.assert_allclose(model.predict({"latent": latent.tolist(), "label": [0, 1]}, verbose=0), expected, atol=1e-6)


@pytest.mark.parametrize("batch_size", ["4", 0, -1, 1.5, True, [4]])
def test_the_batch_size_is_an_integer(batch_size):
    model = tiny_model("gan")
    for call in (model.fit, model.evaluate, model.predict):
        with pytest.raises(UserError, match="^batch_size=.* at least 1"):
            call(IMAGES, batch_size=batch_size)


@pytest.mark.parametrize("data", [5, "x", b"x", True, object()], ids=lambda value: type(value).__name__)
def test_data_of_no_kind_are_refused(data):
    with pytest.raises(UserError, match="expected a dataset of batches, arrays, or a generator"):
        tiny_model("gan").fit(data)


def test_keras_callbacks_work(tmp_path):
    model = tiny_model("gan")
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "weights.weights.h5", save_weights_only=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "model.keras", monitor="d_adversarial", mode="min", save_best_only=True),
        keras.callbacks.EarlyStopping(monitor="g_adversarial", mode="min", patience=1, min_delta=1e9),
        keras.callbacks.ReduceLROnPlateau(monitor="g_adversarial", mode="min", patience=0, min_delta=1e9, factor=0.5),
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
        keras.callbacks.TensorBoard(str(tmp_path / "logs")),
        keras.callbacks.TerminateOnNaN(),
    ]
    history = model.fit(batches(IMAGES), epochs=5, verbose=0, callbacks=callbacks).history
    assert len(history["g_adversarial"]) == 2  # stopped early: nothing improves by 1e9
    assert to_numpy(model.g_optimizer.learning_rate) < model.config.generator_learning_rate
    assert "d_adversarial" in (tmp_path / "log.csv").read_text() and list((tmp_path / "logs").iterdir())
    other = tiny_model("gan", seed=1)
    other.load_weights(tmp_path / "weights.weights.h5")
    assert same_arrays(weights(other.generator), weights(model.generator))
    assert keras.saving.load_model(tmp_path / "model.keras").config == model.config


def test_the_configuration_round_trips_through_json():
    model = tiny_model("acgan", augment=("color", "cutout"))
    again = type(model).from_config(keras.saving.deserialize_keras_object(model.get_config()))
    assert again.config == model.config and type(again.config) is type(model.config)


def test_a_layer_with_a_seed_generator_of_its_own_is_refused():
    class Noisy(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.own_seeds = keras.random.SeedGenerator(3)

        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x), seed=self.own_seeds)

    from zoo.core.seeds import StatelessSeeds, replace_seed_generators

    image = keras.Input((4,))
    network = keras.Model(image, Noisy()(image))
    with pytest.raises(RuntimeError, match="keeps a seed generator of its own in 'own_seeds'"):
        replace_seed_generators(network, StatelessSeeds(0, keras.Variable(0), keras.Variable(0)))


def test_generators_and_single_batches_train():
    model = tiny_model("cgan")
    model.fit(((IMAGES[:4], LABELS[:4]) for _ in range(2)), steps_per_epoch=2, verbose=0)
    assert model.completed_steps == 2
    logs = model.train_on_batch({"image": IMAGES[:4], "label": LABELS[:4]}, return_dict=True)
    assert model.completed_steps == 3 and np.isfinite(list(logs.values())).all()
    assert np.isfinite(list(model.test_on_batch(IMAGES[:4], LABELS[:4], return_dict=True).values())).all()


def test_unchecked_arrays_are_taken_as_they_are():
    model = tiny_model("gan")
    model.fit((IMAGES + 1) / 2, batch_size=4, validate_data=False, verbose=0)
    assert model.completed_steps == 4


def test_each_player_has_an_optimizer_of_its_own():
    model = zoo.create("dcgan", image_shape=(16, 16, 1))
    with pytest.raises(UserError, match="give g_optimizer and d_optimizer"):
        model.compile(optimizer="adam")
    model.compile("sgd", keras.optimizers.Adam(1e-3))
    assert isinstance(model.g_optimizer, keras.optimizers.SGD) and isinstance(model.d_optimizer, keras.optimizers.Adam)


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("vae", {"discriminator_learning_rate": 1e-3}, "--discriminator-learning-rate: this model has no discriminator"),
        ("autoencoder", {"augment": ("color",)}, "--augment: this model has no discriminator"),
        ("ebm", {"generator_learning_rate": 1e-3}, "--generator-learning-rate: this model has no generator"),
        ("ebm", {"latent_dim": 50}, "--latent-dim: .*leave it out"),
    ],
)
def test_options_of_a_player_that_a_model_lacks_are_refused(name, settings, message):
    with pytest.raises(UserError, match=message):
        zoo.create(name, **settings)


def test_the_precision_is_saved(tmp_path):
    with dtype_policy("mixed_bfloat16"):
        model = tiny_model("dcgan")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy.name == "mixed_bfloat16" and loaded.generator.layers[-2].compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"


def test_an_uncompiled_model_is_saved(tmp_path):
    zoo.create("dcgan", image_shape=(16, 16, 1)).save(tmp_path / "model.keras")
    assert not keras.saving.load_model(tmp_path / "model.keras").compiled
