"""What a user gives to a model is taken if its type is right, whatever holds it, and refused in one sentence otherwise."""

import collections
import fractions

import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model

from zoo.core.signatures import Signature, as_floats, as_integers, as_seeds, call_signature
from zoo.errors import UserError

LARGEST = 2**63 - 1
recursive: list = []
recursive.append(recursive)
NO_NUMBERS = [
    None,
    "5",
    ["5"],
    b"5",
    [None],
    {"seed": [1]},
    {1},
    (i for i in [1]),
    [[1], [1, 2]],
    np.array([1, None]),
    [1j],
    np.array([1j]),
]
NO_NUMBERS += [
    [True, 2],
    np.array([True]),
    tf.constant([True]),
    True,
    [2, [np.True_]],
    tf.constant(["a"]),
    np.array(["2001"], "datetime64[Y]"),
]
NO_NUMBERS += [recursive, tf.ragged.constant([[1], [1, 2]]), np.zeros(0, bool), np.zeros(0, str)]
NO_NUMBERS += [bytearray(b"ab"), memoryview(b"ab"), np.ma.masked_array([1], [True])]
NO_INTEGERS = [[1.9], [1.0], np.array([1.9]), np.float32([3.7]), tf.constant([3.0]), [float("nan")], [fractions.Fraction(1, 2)]]
NO_INTEGERS += [[2**63], np.array([2**64 - 1], np.uint64), tf.constant([2**64 - 1], tf.uint64), [10**5000], [-(2**63) - 1]]


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        (1, 2),
        range(1, 3),
        [np.int8(1), np.int64(2)],
        tf.constant([1, 2], tf.int16),
        tf.Variable([1, 2]),
        [tf.constant(1), tf.constant(2)],
        *(np.array([1, 2], dtype) for dtype in ("int8", "uint8", "int32", ">i4", "uint64", "int64")),
        tf.constant([1, 2], tf.uint64),
    ],
    ids=lambda value: type(value).__name__,
)
def test_integers_of_any_width_are_taken(values):
    tensor = as_integers("seed", values)
    assert tensor.dtype == tf.int64 and tensor.numpy().tolist() == [1, 2]


def test_the_bounds_of_int64_are_taken():
    assert as_seeds([LARGEST, -LARGEST - 1]).numpy().tolist() == [LARGEST, -LARGEST - 1]
    assert as_seeds([]).shape == (0,)


@pytest.mark.parametrize("values", NO_NUMBERS + NO_INTEGERS, ids=lambda value: type(value).__name__)
def test_other_values_are_no_integers(values):
    with pytest.raises(UserError, match="^seed: expected integers") as error:
        as_integers("seed", values)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize("values", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_other_values_are_no_numbers(values):
    with pytest.raises(UserError, match="^image: expected numbers"):
        as_floats("image", values)


def test_an_unsigned_integer_does_not_wrap_in_a_graph():
    served = tf.function(lambda values: as_integers("seed", values))
    with pytest.raises(tf.errors.InvalidArgumentError, match="seed: expected integers"):
        served(tf.constant([2**64 - 1], tf.uint64))


@pytest.mark.parametrize("name", [None, 5, [], "nothing"], ids=lambda value: type(value).__name__)
def test_the_name_of_a_signature_is_checked(name):
    with pytest.raises(UserError, match="^unknown signature .* Available: twice"):
        call_signature({"twice": Signature(lambda x: {"y": 2 * x}, [tf.TensorSpec([None], tf.float32, "x")], ("y",))}, name, {})


def test_zero_rows_give_zero_rows_although_the_function_needs_one():
    def function(image, scale, file):
        tf.debugging.assert_greater(tf.minimum(tf.reduce_min(tf.shape(image)), tf.shape(scale)[0]), 0)
        tf.debugging.assert_equal(file, b"png")
        return {"y": tf.reduce_sum(image, [1, 2]) / scale[:, None]}

    specs = [tf.TensorSpec([None, None, 3, 1], tf.float32, "image"), tf.TensorSpec([None], tf.float32, "scale")]
    signature = Signature(function, [*specs, tf.TensorSpec([None], tf.string, "file")], ("y",), {"scale": 1.0, "file": b"png"})
    served = tf.function(lambda *values: signature(*values), input_signature=signature.inputs)
    for call in (signature, served):
        assert call(tf.zeros([0, 0, 3, 1]), tf.zeros([0]), tf.constant([], tf.string))["y"].shape == (0, 1)
        assert call(tf.ones([2, 5, 3, 1]), tf.constant([1.0, 3.0]), tf.constant(["png"] * 2))["y"].numpy().tolist() == [[15.0], [5.0]]


@pytest.fixture(scope="module")
def biggan():
    return tiny_model("biggan")


@pytest.mark.parametrize("truncation", [[-1.0], 0, float("nan"), float("inf"), [0.5, float("inf")], "1", [[0.5, 0.5]], [0.5] * 3, 1j, True])
def test_truncation_is_one_finite_number_per_seed(biggan, truncation):
    for call in (lambda: biggan.latents([1, 2], truncation), lambda: biggan.sample([1, 2], truncation=truncation, label=[0, 1])):
        with pytest.raises(UserError, match="^truncation"):
            call()


def test_latents_are_truncated_by_one_number_or_one_per_seed(biggan):
    np.testing.assert_array_equal(biggan.latents([1, 2], 0.5), biggan.latents(np.uint8([1, 2]), [0.5, 0.5]))


def test_requests_without_rows(biggan):
    assert biggan.sample([], label=[], truncation=0.5).shape == (0, 16, 16, 1)
    assert biggan.serve("png", seed=[], label=[], truncation=[])["image_bytes"].shape == (0,)


@pytest.mark.parametrize(
    "image, conditions, message",
    [
        (np.zeros([8, 8, 1], np.float32), {"label": [0]}, r"image has shape \[8, 8, 1\]; discriminate takes \[None, 16, 16, 1\]"),
        (np.zeros([1, 16, 16, 1], complex), {"label": [0]}, "image: expected numbers"),
        (np.full([1, 16, 16, 1], "x"), {"label": [0]}, "image: expected numbers"),
        (np.full([1, 16, 16, 1], np.nan), {"label": [0]}, "image: values must be in"),
        (np.zeros([2, 16, 16, 1]), {"label": [0]}, "label: give one for each image"),
        (np.zeros([1, 16, 16, 1]), {"label": np.float32([1.7])}, "label: expected integers"),
        (np.zeros([1, 16, 16, 1]), {"label": [3]}, "label is out of range"),
        (np.zeros([1, 16, 16, 1]), {}, "discriminate takes image, label: label is missing"),
        (np.zeros([1, 16, 16, 1]), {"label": [0], "pose": [0]}, "pose is unknown"),
    ],
)
def test_the_discriminator_checks_its_inputs(biggan, image, conditions, message):
    with pytest.raises(UserError, match=message):
        biggan.discriminate(image, **conditions)


def test_live_is_a_bool(biggan):
    with pytest.raises(UserError, match="live='yes': expected True or False"):
        biggan.sample([1], label=[0], live="yes")


@pytest.mark.parametrize("values", [[tf.constant(True), 2], collections.deque([True, 2]), [np.array(True), 1], [[1], [np.bool_(False)]]])
def test_bools_in_any_sequence_are_refused(values):
    with pytest.raises(UserError, match="label: expected integers"):
        as_integers("label", values)
