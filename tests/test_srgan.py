"""SRGAN and SRResNet: the paper's networks and losses by hand, published figures of the bicubic filter, tiles, the `upscale` command."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import number, play, same, source, tiny, weights
from PIL import Image

import train
import zoo
from zoo import __main__ as commands
from zoo import data, runs
from zoo.errors import UserError
from zoo.models import srgan

PICTURES = Path(__file__).parents[2] / "shared" / "data" / "folders" / "sr"


def noise(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


def batch_of(game, size=4):
    return next(iter(source(game).batches(size)))


def counted(network):
    return sum(w.shape.num_elements() for w in network.trainable_weights)


# -- networks ----------------------------------------------------------------------------------------------------------


def test_parameter_counts_are_the_papers():
    game = zoo.create("srgan_96")
    assert counted(game.generator) == 1_550_659 and counted(game.discriminator) == 23_565_505
    convolutions = [
        layer for layer in game.discriminator.layers if isinstance(layer, (keras.layers.Conv2D, keras.layers.BatchNormalization))
    ]
    assert sum(counted(layer) for layer in convolutions) == 4_689_088
    assert counted(zoo.create("srresnet_96").generator) == 1_550_659


def test_the_small_ones_have_one_generator():
    small, large = zoo.create("srresnet"), zoo.create("srgan")
    assert [w.shape for w in small.generator.weights] == [w.shape for w in large.generator.weights]
    assert small.discriminator is None and list(small.players) == ["g"]


def test_four_channels_become_four_pixels():
    made = number(srgan.PixelShuffle()(np.arange(16, dtype=np.float32).reshape(1, 2, 2, 4)))
    np.testing.assert_array_equal(made[0, ..., 0], [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]])


def test_a_small_one_starts_as_the_bicubic_filter():
    game = tiny("srresnet", from_bicubic=True)
    low = np.random.RandomState(0).rand(2, 9, 8, 3).astype(np.float32) * 2 - 1
    made = number(game.averaged({"low": low}))
    wanted = tf.image.resize(low, (36, 32), "bicubic", antialias=True).numpy()
    np.testing.assert_allclose(made[:, 8:-8, 8:-8], wanted[:, 8:-8, 8:-8], atol=1e-5)
    np.testing.assert_allclose(made, wanted, atol=0.2)  # TensorFlow does not mirror at the edges


def test_the_rate_is_a_tenth_from_the_middle_on():
    game = zoo.create("srgan_96", content_loss="mse")
    game.compile()
    rates = [float(optimizer._learning_rate(at)) for optimizer in game.optimizers.values() for at in (0, 99_999, 100_000, 199_999)]
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5] * 2)


# -- what it learns from -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, bicubic, by_hand", [("set5", 28.43, 5), ("set14", 26.10, 14)])
def test_the_bicubic_filter_has_its_published_figures(kind, bicubic, by_hand):
    if not (PICTURES / kind).is_dir():
        pytest.skip(f"the pictures of {kind} are not in {PICTURES}")
    held = data.open(f"folder:{PICTURES / kind}", needs=("picture",)).some()
    assert len(held["picture"]) == by_hand
    game = zoo.create("srresnet", blocks=1, width=1)
    assert game.scores(held, None)["bicubic_psnr"] == pytest.approx(bicubic, abs=0.01)


def test_crops_are_of_the_picture_and_low_is_their_quarter():
    game = tiny("srresnet", turned=False)
    picture = noise(20, 24, 3)
    vary = srgan.crops(game.config)
    found = [vary({"picture": tf.constant(picture)}, [seed, tf.constant(3)], True) for seed in range(12)]
    windows = np.lib.stride_tricks.sliding_window_view(picture, (16, 16, 3)).reshape(-1, 16, 16, 3)
    for pair in found:
        assert any(np.array_equal(pair["high"], window) for window in windows)
        assert pair["low"].shape == (4, 4, 3)
        np.testing.assert_array_equal(pair["low"], srgan.resized(pair["high"], (4, 4)))
    assert len({number(pair["high"]).tobytes() for pair in found}) > 6
    again = vary({"picture": tf.constant(picture)}, [0, tf.constant(3)], True)
    np.testing.assert_array_equal(again["high"], found[0]["high"])


def test_turned_crops_are_turned_when_trained_on_only():
    game = tiny("srresnet", turned=True)
    vary, picture = srgan.crops(game.config), noise(16, 16, 3)
    symmetries = {np.rot90(side, k).tobytes() for side in (picture, picture[:, ::-1]) for k in range(4)}
    seen = {number(vary({"picture": tf.constant(picture)}, [seed, 0], True)["high"]).tobytes() for seed in range(40)}
    assert seen <= symmetries and len(seen) == 8
    np.testing.assert_array_equal(vary({"picture": tf.constant(picture)}, [1, 0], False)["high"], picture)


def test_batches_hold_both_in_the_networks_range():
    batch = batch_of(tiny("srresnet"))
    assert set(batch) == {"high", "low"} and batch["high"].shape == (4, 16, 16, 3) and batch["low"].shape == (4, 4, 4, 3)
    assert -1 <= number(batch["low"]).min() < 0 < number(batch["low"]).max() <= 1


def test_grey_pictures_become_colour_and_the_reverse():
    for channels, other in ((3, 1), (1, 3)):
        game = tiny("srresnet", image_shape=(16, 16, channels))
        pair = srgan.crops(dataclasses.replace(game.config, image_shape=(16, 16, channels)))(
            {"picture": noise(20, 24, other)}, [0, 0], True
        )
        assert pair["high"].shape == (16, 16, channels) and pair["low"].shape == (4, 4, channels)


def test_a_picture_that_is_smaller_is_refused_before_training(inside, capsys):
    for i, size in enumerate(((60, 70), (30, 70), (80, 80))):
        Image.fromarray(noise(*size, 3)).save(f"{i}.png")
    with pytest.raises(UserError, match=r"that are smaller than 48x48 in 'train': 1, one of 30x70; .*--image-shape 28 28 3"):
        train.main(["--model", "srresnet", "--data", f"folder:{inside}", "--steps", "2"])
    assert not (inside / "runs").exists()
    game = zoo.create("srresnet", image_shape=(28, 28, 3), blocks=1, width=1)
    batch = next(iter(game.prepare(game.config, data.open(f"folder:{inside}", needs=("picture",))).batches(4)))
    assert batch["high"].shape == (4, 28, 28, 3)


def test_a_smaller_picture_that_was_not_seen_goes_on_as_in_a_mirror():
    picture = noise(3, 5, 1)
    made = number(srgan.mirrored(tf.constant(picture), (8, 5)))
    np.testing.assert_array_equal(made, np.concatenate([picture, picture[::-1], picture[:2]]))
    np.testing.assert_array_equal(srgan.mirrored(tf.constant(picture), (2, 4)), picture)


def test_sides_must_be_multiples_of_four():
    with pytest.raises(UserError, match="images of 50x48 pixels: both sides must be multiples of 4; --image-shape 48 48 3 resizes them"):
        zoo.create("srresnet", image_shape=(50, 48, 3))


# -- losses ------------------------------------------------------------------------------------------------------------


def test_the_mean_squared_error_by_hand():
    game = tiny("srgan", adversarial_weight=0.5)
    batch, fake = batch_of(game), tf.constant(np.random.RandomState(1).uniform(-1, 1, (4, 16, 16, 3)), tf.float32)
    terms = game.generator_loss(batch, fake)
    assert set(terms) == {"g_content", "g_adversarial"}
    assert float(terms["g_content"]) == pytest.approx(np.mean((number(batch["high"]) - number(fake)) ** 2), rel=1e-5)
    logits = number(game.judge(fake, batch)).astype(np.float64)
    assert float(terms["g_adversarial"]) == pytest.approx(0.5 * np.mean(np.log1p(np.exp(-logits))), rel=1e-4)
    real = number(game.judge(batch["high"], batch)).astype(np.float64)
    wanted = np.mean(np.log1p(np.exp(-real))) + np.mean(np.log1p(np.exp(logits)))
    assert float(game.discriminator_loss(batch, fake)["d_adversarial"]) == pytest.approx(wanted, rel=1e-4)


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """A VGG19 of random weights, and a file of them."""
    keras.utils.set_random_seed(5)
    network = keras.applications.VGG19(include_top=False, weights=None)
    for layer in network.layers:
        if layer.weights:
            layer.bias.assign(np.random.RandomState(0).uniform(-0.1, 0.1, layer.bias.shape))
    path = tmp_path_factory.mktemp("vgg") / "vgg.weights.h5"
    network.save_weights(path)
    return network, path


@pytest.mark.parametrize("kind, channels", [("vgg54", 3), ("vgg22", 3), ("vgg22", 1)])
def test_the_content_is_that_of_the_named_layer(vgg, kind, channels):
    network, path = vgg
    layer = {"vgg54": "block5_conv4", "vgg22": "block2_conv2"}[kind]
    game = tiny("srgan", content_loss=kind, vgg_weights=str(path), image_shape=(16, 16, channels), variation_weight=1e-3)
    draw = np.random.RandomState(0)
    true, fake = (draw.uniform(-1, 1, (2, 16, 16, channels)).astype(np.float32) for _ in range(2))
    seen = keras.Model(network.input, network.get_layer(layer).output)

    def features(images):
        pixels = (np.repeat(images, 3, -1) if channels == 1 else images)[..., ::-1] * 127.5 + 127.5  # blue, green, red
        return number(seen(pixels - np.float32([103.939, 116.779, 123.68]))) / 12.75

    terms = game.content(tf.constant(true), tf.constant(fake))
    wanted = np.mean((features(true) - features(fake)) ** 2)
    assert wanted > 0 and features(true).min() == 0
    assert float(terms["g_content"]) == pytest.approx(wanted, rel=1e-4)
    assert ("g_variation" in terms) == (kind == "vgg22")
    if kind == "vgg22":
        variation = np.abs(np.diff(fake, axis=1)).sum((1, 2, 3)) + np.abs(np.diff(fake, axis=2)).sum((1, 2, 3))
        assert float(terms["g_variation"]) == pytest.approx(1e-3 * variation.mean(), rel=1e-4)


def test_vgg_is_seen_in_float32_whatever_the_models_precision(vgg, monkeypatch):
    monkeypatch.chdir(vgg[1].parent)
    config = zoo.registry.entry("srgan").configured(content_loss="vgg22", vgg_weights="vgg.weights.h5").resolved()
    assert config.vgg_weights == str(vgg[1])
    images = tf.random.stateless_uniform([1, 16, 16, 3], [1, 2], -1, 1)
    exact = srgan.vgg(config)(images)
    keras.config.set_dtype_policy("mixed_bfloat16")
    np.testing.assert_array_equal(srgan.vgg(config)(images), exact)
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


def test_vgg_is_no_part_of_the_model(vgg, tmp_path):
    game = tiny("srgan", content_loss="vgg54", vgg_weights=str(vgg[1]))
    assert sum(w.shape.num_elements() for w in game.weights) < 500_000
    play(game, 0, 1)
    assert game.played == 1
    path = tf.train.Checkpoint(game=game).write(str(tmp_path / "one"))
    kept = sum(np.prod(shape, dtype=int) for _, shape in tf.train.list_variables(path))
    assert kept < 1_000_000  # VGG alone has 20 million
    again = zoo.create("srgan", **{field.name: getattr(game.config, field.name) for field in dataclasses.fields(game.config)})
    tf.train.Checkpoint(game=again).restore(path).expect_partial()  # not compiled: no weights of VGG are looked for
    assert same(weights(again.generator), weights(game.generator))


def test_vgg_that_is_not_to_be_had_is_one_line(tmp_path, monkeypatch, blank):
    def unreachable(*args, **kwargs):
        raise OSError("URL fetch failure")

    monkeypatch.setattr("keras.src.applications.vgg19.file_utils.get_file", unreachable)
    with pytest.raises(UserError, match=r"VGG19 could not be fetched .*--vgg-weights FILE.*--content-loss mse"):
        tiny("srgan", content_loss="vgg54")
    for name in ("missing.weights.h5", "text.h5", "other.weights.h5", "vgg16.weights.h5", "odd.txt"):
        path = tmp_path / name
        if name in ("text.h5", "odd.txt"):
            path.write_text("no weights")
        if name == "other.weights.h5":
            keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save_weights(path)
        if name == "vgg16.weights.h5":
            keras.applications.VGG16(include_top=False, weights=None).save_weights(path)
        with pytest.raises(UserError, match=f"--vgg-weights .*{name} is no file of weights"):
            tiny("srgan", content_loss="vgg22", vgg_weights=str(path))


# -- what is measured, shown and served --------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_likeness_is_that_of_scikit_image(channels):
    from skimage import color, metrics

    true, made = noise(40, 33, channels), noise(40, 33, channels, seed=1)
    made = np.uint8(0.8 * true + 0.2 * made)
    planes = [color.rgb2ycbcr(p)[..., 0] if channels == 3 else p[..., 0].astype(float) for p in (true, made)]
    first, second = (plane[4:-4, 4:-4] for plane in planes)
    found = srgan.likeness(made, true)
    assert found["psnr"] == pytest.approx(metrics.peak_signal_noise_ratio(first, second, data_range=255), abs=1e-3)
    kind = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255, "full": True}
    whole = metrics.structural_similarity(first, second, **kind)[1]
    assert found["ssim"] == pytest.approx(whole[5:-5, 5:-5].mean(), abs=1e-4)  # where the window fits inside


def test_tiles_do_not_show():
    game = tiny("srresnet", blocks=2, from_bicubic=False)
    picture, last = noise(37, 43, 3), game.averaged.get_layer("image")
    made = game.averaged({"low": picture[None] / np.float32(127.5) - 1})
    last.kernel.assign(number(last.kernel) * 0.4 / np.std(made))  # at the start the pictures are nearly grey
    whole = game.enlarged(picture, tile=64).astype(int)
    assert whole.shape == (148, 172, 3) and whole.std() > 3
    assert np.abs(game.enlarged(picture, tile=9) - whole).max() <= 1  # of rounding
    assert np.abs(game.enlarged(picture, tile=9, overlap=0) - whole).max() > 1
    low = tf.constant(picture[None] / 255, tf.float32)
    served = number(game.exports()["upscale"][0](low)["image"])[0]
    np.testing.assert_allclose(served, whole / 255, atol=1 / 255)


def test_scores_stand_beside_the_bicubic_filters():
    game = tiny("srresnet", from_bicubic=True)
    true = np.uint8(np.linspace(0, 255, 40 * 44 * 3).reshape(40, 44, 3))
    whole = np.concatenate([true, noise(40, 3, 3)], 1)
    found = game.scores({"picture": [whole, noise(16, 40, 3)]}, None)  # the second is too small to be measured
    assert set(found) == set(game.measures)
    low = srgan.resized(true, (10, 11))
    made = {"": game.enlarged(low), "bicubic_": srgan.resized(low, (40, 44))}
    wanted = {kind + name: value for kind, picture in made.items() for name, value in srgan.likeness(picture, true).items()}
    assert found == pytest.approx(wanted) and min(found["psnr"], found["bicubic_psnr"]) > 40
    assert game.scores({"picture": [noise(16, 40, 3)]}, None) == {}


def test_previews_are_triples():
    game = tiny("srresnet")
    batch = batch_of(game, 7)
    images, columns = game.preview(batch)
    assert images.shape == (18, 16, 16, 3) and columns == 9
    np.testing.assert_allclose(images[2::3], (number(batch["high"])[:6] + 1) / 2, atol=1e-6)
    wanted = np.clip((tf.image.resize(batch["low"][:6], (16, 16), "bicubic") + 1) / 2, 0, 1)
    np.testing.assert_allclose(images[0::3], wanted, atol=1e-6)


# -- from the command line ---------------------------------------------------------------------------------------------

TINY = ["--width", "4", "--blocks", "1", "--steps", "2", "--every", "2", "--batch-size", "2", "--precision", "float32", "--scores", "0"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run of `srresnet` on the embedded photographs."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    assert train.main(["--model", "srresnet", "--run-dir", str(folder), *TINY]) == 0
    return folder


def test_srgan_starts_from_a_run_of_srresnet(run, tmp_path):
    kept = weights(zoo.load(run).averaged)
    options, _ = train.parse(["--model", "srgan", "--init", str(run), *TINY])
    game = zoo.create("srgan", **dataclasses.asdict(options.config))
    game.compile()
    assert not same(weights(game.generator), kept)
    train.begin(game, options.init)
    assert same(weights(game.generator), kept) and same(weights(game.averaged), kept)
    with pytest.raises(UserError, match=r"another network than this model's \([\d,]+\); .*width 4 there, 6 here; make these alike"):
        train.begin(tiny("srgan", width=6), str(run))


@pytest.mark.parametrize("mode, size", [("RGB", (37, 21)), ("L", (9, 14)), ("RGBA", (16, 8)), ("P", (12, 12))])
def test_upscale_enlarges_a_picture_of_any_size_and_mode(run, inside, mode, size):
    Image.fromarray(noise(size[1], size[0], 4)).convert("RGB" if mode == "P" else mode).convert(mode).save("small.png")
    assert commands.main(["upscale", str(run), "small.png", "made/large.png"]) == 0
    made = np.asarray(Image.open("made/large.png"))
    assert made.shape == (4 * size[1], 4 * size[0], 3)
    game = zoo.load(run)
    np.testing.assert_array_equal(made, game.enlarged(data.folder.whole("small.png", 3)))


def test_upscale_says_in_one_line_what_it_cannot_do(run, inside):
    Image.fromarray(noise(8, 8, 3)).save("good.png")
    Image.fromarray(noise(3, 9, 3)).save("thin.png")
    Path("text.png").write_text("no picture")
    for words, said in (
        (["missing.png", "out.png"], "missing.png cannot be read"),
        (["text.png", "out.png"], "text.png cannot be read"),
        (["thin.png", "out.png"], "thin.png has 9x3 pixels; at least 8x8"),
        (["good.png", "out.jpg"], "out.jpg: .*PNG"),
        (["good.png", "good.png/out.png"], "cannot be written"),
    ):
        with pytest.raises(UserError, match=said):
            commands.main(["upscale", str(run), *words])
    other = tiny("gan")
    record = {"model": "gan", "config": dataclasses.asdict(other.config), "data": {"name": "digits"}, "precision": "float32"}
    made = runs.Run.create({**record, "replicas": 1, "xla": False}, str(inside / "gan"))
    made.manager(other).save(checkpoint_number=0)
    with pytest.raises(UserError, match="enlarges no pictures"):
        commands.main(["upscale", "gan", "good.png", "out.png"])


def test_runs_are_seen_beside_the_bicubic_filter_and_the_truth(run, inside, capsys):
    import importlib.util

    spec = importlib.util.spec_from_file_location("enlarged", Path(__file__).parents[1] / "benchmarks" / "enlarged.py")
    enlarged = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(enlarged)
    Path("pictures").mkdir()
    true = noise(48, 64, 3)
    for name in "ab":
        Image.fromarray(true).save(f"pictures/{name}.png")
    assert enlarged.main([str(run), "--pictures", "pictures", "--out", "grid.png", "--side", "40"]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[2:4]}
    low = srgan.resized(true, (12, 16))
    for name, made in (("bicubic", srgan.resized(low, (48, 64)).numpy()), (run.name, zoo.load(run).enlarged(low))):
        planes = [srgan.luma(picture)[0, ..., 0].numpy() for picture in (made, true)]
        steps = [np.abs(np.diff(plane, axis=0)).mean() + np.abs(np.diff(plane, axis=1)).mean() for plane in planes]
        wanted = [*srgan.likeness(made, true).values(), steps[0] / steps[1]]
        np.testing.assert_allclose(np.float64(rows[name]), wanted, atol=2e-3)
    assert float(rows["bicubic"][2]) < 0.5  # noise, shrunk
    grid = np.asarray(Image.open("grid.png"))
    assert grid.shape == (2 * 42 - 2, 3 * 42 - 2, 3)
    np.testing.assert_array_equal(grid[:40, 84:], true[4:44, 12:52])
