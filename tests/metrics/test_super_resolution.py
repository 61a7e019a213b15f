"""PSNR and SSIM on luma: against scikit-image, the published figures of the bicubic filter, a model's scores by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model

import zoo
from zoo import data
from zoo.metrics import super_resolution

PICTURES = Path(__file__).parents[3] / "shared" / "data" / "folders" / "sr"


def noise(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


def compute_scores(model, pictures):
    scores = super_resolution.compute_upscaling_scores(SimpleNamespace(held_out={"picture": pictures}), model)
    return {name: score.value for name, score in scores.items()}


@pytest.mark.parametrize("name, bicubic, count", [("set5", 28.43, 5), ("set14", 26.10, 14)])
def test_the_bicubic_filter_has_its_published_figures(name, bicubic, count):
    if not (PICTURES / name).is_dir():
        pytest.skip(f"the pictures of {name} are not in {PICTURES}")
    held_out = data.open_source(f"folder:{PICTURES / name}", keys=("picture",)).load_examples()
    assert len(held_out["picture"]) == count
    model = zoo.create("srresnet", blocks=1, width=1)
    assert compute_scores(model, held_out["picture"])["bicubic_psnr"] == pytest.approx(bicubic, abs=0.01)


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_and_ssim_are_those_of_scikit_image(channels):
    from skimage import color, metrics

    target, prediction = noise(40, 33, channels), noise(40, 33, channels, seed=1)
    prediction = np.uint8(0.8 * target + 0.2 * prediction)
    planes = [color.rgb2ycbcr(p)[..., 0] if channels == 3 else p[..., 0].astype(float) for p in (target, prediction)]
    first, second = (plane[4:-4, 4:-4] for plane in planes)
    scores = super_resolution.compare_luma(prediction, target)
    assert scores["psnr"] == pytest.approx(metrics.peak_signal_noise_ratio(first, second, data_range=255), abs=1e-3)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255, "full": True}
    ssim_map = metrics.structural_similarity(first, second, **options)[1]
    assert scores["ssim"] == pytest.approx(ssim_map[5:-5, 5:-5].mean(), abs=1e-4)  # where the window fits inside


def test_scores_stand_beside_those_of_the_bicubic_filter():
    model = tiny_model("srresnet", bicubic_skip=True)
    target = np.uint8(np.linspace(0, 255, 40 * 44 * 3).reshape(40, 44, 3))
    picture = np.concatenate([target, noise(40, 3, 3)], 1)
    scores = compute_scores(model, [picture, noise(16, 40, 3)])  # the second is too small for a window
    assert set(scores) == {metric.name for metric in model.own_metrics}
    low = super_resolution.bicubic_resize(target, (10, 11))
    predictions = {"": model.upscale(low.numpy()), "bicubic_": super_resolution.bicubic_resize(low, (40, 44))}
    expected = {
        prefix + name: value
        for prefix, prediction in predictions.items()
        for name, value in super_resolution.compare_luma(prediction, target).items()
    }
    assert scores == pytest.approx(expected) and min(scores["psnr"], scores["bicubic_psnr"]) > 40
    assert compute_scores(model, [noise(16, 40, 3)]) == {}


def test_channels_are_converted():
    for channels, other in ((3, 1), (1, 3)):
        assert super_resolution.convert_channels(tf.constant(noise(5, 4, other)), channels).shape == (5, 4, channels)
    picture = noise(5, 4, 3)
    assert super_resolution.convert_channels(picture, 3) is picture
