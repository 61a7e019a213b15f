"""From image to image: what is right of CycleGAN and pix2pix alone."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import number, same, source, tiny, weights

import zoo
from zoo import data, layers
from zoo.errors import UserError


def images(count, *values, side=16):
    """Images that are one value each."""
    return tf.ones([count, side, side, 1]) * tf.reshape(tf.constant(values, tf.float32), [-1, 1, 1, 1])


# -- CycleGAN -------------------------------------------------------------------------------------------------------------------------


def test_the_pool_fills_and_then_gives_half_of_the_time_what_was_seen_before():
    game = tiny("cyclegan", pool=6, batch_size=2)
    seen, old = [], 0
    for i in range(40):
        fake = {name: images(2, 0.01 * (2 * i + 1), 0.01 * (2 * i + 2)) for name in "xy"}
        game.randomness.restart()
        given = {name: number(value)[:, 0, 0, 0] for name, value in game.recalled(fake).items()}
        game.round.assign_add(1)
        new = number(fake["x"])[:, 0, 0, 0]
        seen.extend(new)
        assert all(np.isclose(value, seen, atol=1e-6).any() for values in given.values() for value in values)
        if i < 3:
            np.testing.assert_array_equal(given["x"], new)
        else:
            old += sum(not np.isclose(value, new, atol=1e-6).any() for value in given["x"])
    assert int(game.pooled) == 80
    assert 20 <= old <= 54, "half of 74"
    kept = number(game.kept_x.images)[:, 0, 0, 0]
    assert len(set(kept)) == 6 and all(np.isclose(value, seen, atol=1e-6).any() for value in kept)
    assert not np.array_equal(kept, number(game.kept_y.images)[:, 0, 0, 0]), "each has a draw of its own"


def test_the_pool_gives_nothing_that_was_not_put_there():
    game = tiny("cyclegan", pool=5, batch_size=4)  # filled in the middle of a batch
    images = tf.ones([4, *game.config.image_shape])
    for round in range(30):
        game.round.assign(round)
        game.pooled.assign(0)
        game.randomness.restart()
        for kept in (game.kept_x, game.kept_y):
            kept.images.assign(tf.zeros_like(kept.images))
        for _ in range(2):
            found = game.recalled({"x": images, "y": images})
            assert all(float(tf.reduce_min(found[name])) == 1 for name in "xy")


def test_the_losses_of_cyclegan_by_hand(monkeypatch):
    game = tiny("cyclegan", cycle=10.0, identity=5.0)
    batch = {"x": images(2, 0.2, 0.2), "y": images(2, 0.6, 0.6)}
    fake = {"y": images(2, 0.5, 0.5), "x": images(2, 0.1, 0.1)}
    # A translator that adds 0.1 to all, a discriminator that says three times the mean.
    monkeypatch.setattr(game, "translated", lambda network, to, image, training: image + 0.1)
    monkeypatch.setattr(game, "judge", lambda image, batch: {k: 3 * tf.reduce_mean(v, (1, 2), keepdims=True) for k, v in image.items()})
    terms = {name: float(value) for name, value in game.generator_loss(batch, fake).items()}
    assert terms == {
        "g_adversarial_x": pytest.approx((0.3 - 1) ** 2, rel=1e-5),
        "g_adversarial_y": pytest.approx((1.5 - 1) ** 2, rel=1e-5),
        "g_cycle_x": pytest.approx(10 * 0.4, rel=1e-5),  # F(G(x)): 0.6, from 0.2
        "g_cycle_y": pytest.approx(10 * 0.4, rel=1e-5),  # G(F(y)): 0.2, from 0.6
        "g_identity_x": pytest.approx(5 * 0.1, rel=1e-5),
        "g_identity_y": pytest.approx(5 * 0.1, rel=1e-5),
    }
    terms = {name: float(value) for name, value in game.discriminator_loss(batch, fake).items()}
    assert terms == {
        "d_adversarial_x": pytest.approx(((0.6 - 1) ** 2 + 0.3**2) / 2, rel=1e-5),
        "d_adversarial_y": pytest.approx(((1.8 - 1) ** 2 + 1.5**2) / 2, rel=1e-5),
    }


def test_translators_take_any_size_that_is_a_multiple_of_four():
    exports = tiny("cyclegan").exports()
    for name in ("to_x", "to_y"):
        assert exports[name][0](tf.zeros([2, 20, 28, 1]))["image"].shape == (2, 20, 28, 1)
    with pytest.raises(UserError, match="images of 30x32 pixels: both sides must be multiples of 4; --image-shape 32 32 1 resizes them"):
        zoo.create("cyclegan", image_shape=(30, 32, 1))
    with pytest.raises(UserError, match="--pool 2: must be at least --batch-size 4"):
        zoo.create("cyclegan", pool=2)


def test_scores_of_cyclegan_by_hand(monkeypatch):
    game = tiny("cyclegan")
    monkeypatch.setattr(game, "translated", lambda network, to, image: image + (0.2 if to == "y" else -0.1))
    x, y = np.full((3, 16, 16, 1), 100, np.uint8), np.full((3, 16, 16, 1), 140, np.uint8)
    found = game.scores({"x": x, "y": y}, None)
    assert found == {"cycle_error": pytest.approx(0.05, abs=1e-5)}
    found = game.scores(
        {"x": x, "y": y, "pair": np.arange(3), "label_x": np.array([1, 1, 2]), "label_y": np.array([1, 1, 2])},
        lambda images: np.array([1, 2, 2]),
    )
    assert found["psnr_y"] == pytest.approx(-20 * np.log10(140 / 255 - 100 / 255 - 0.1), rel=1e-3)
    assert found["psnr_x"] == pytest.approx(-20 * np.log10(140 / 255 - 0.05 - 100 / 255), rel=1e-3)
    assert found["translated"] == pytest.approx(2 / 3)
    alone = game.scores({"x": x, "y": y}, lambda images: (images.mean((1, 2, 3)) > 0.5).astype(int))  # which domain: x is 0, y is 1
    assert alone["translated"] == pytest.approx(0.5)  # both come out below a half


# -- pix2pix --------------------------------------------------------------------------------------------------------------------------


def test_the_noise_of_pix2pix_is_a_function_of_the_seed():
    game = tiny("pix2pix")
    batch = next(iter(source(game).batches(4)))
    first = game.translated(batch["x"], tf.constant([1, 2, 3, 4], tf.int64))
    np.testing.assert_allclose(first, game.translated(batch["x"], tf.constant([1, 2, 3, 4], tf.int64)), atol=1e-6)
    other = game.translated(batch["x"], tf.constant([1, 2, 3, 5], tf.int64))
    np.testing.assert_allclose(first[:3], other[:3], atol=1e-6)
    assert np.abs(first[3] - other[3]).max() > 1e-4


def test_dropout_that_stays_on():
    from zoo.models.pix2pix import Dropout

    x = number(Dropout(0.25, 1)(tf.ones([2, 40, 40, 2]), tf.constant([7, 8], tf.int64)))
    assert set(np.unique(x).round(4)) == {0.0, np.float32(1.3333)}
    assert abs((x == 0).mean() - 0.25) < 0.02 and not np.array_equal(x[0], x[1])
    assert not np.array_equal(x, number(Dropout(0.25, 2)(tf.ones([2, 40, 40, 2]), tf.constant([7, 8], tf.int64))))


def test_the_discriminator_of_pix2pix_sees_both():
    game = tiny("pix2pix")
    batch = next(iter(source(game).batches(4)))
    said = game.judge(batch["y"], batch)
    assert said.shape[1:] == (2, 2, 1)
    assert np.abs(said - game.judge(batch["y"], {**batch, "x": batch["x"][::-1]})).max() > 1e-4
    terms = game.generator_loss(batch, batch["y"] * 0.5)
    assert float(terms["g_l1"]) == pytest.approx(100 * float(tf.reduce_mean(tf.abs(batch["y"]))) / 2, rel=1e-4)


def test_the_u_net_goes_down_to_one_pixel():
    game = zoo.create("pix2pix_256", widths=(1,) * 8)
    down = [layer.output.shape[1] for layer in game.generator.layers if type(layer).__name__ == "Conv2D"]
    up = [layer.output.shape[1] for layer in game.generator.layers if type(layer).__name__ == "Conv2DTranspose"]
    assert down == [128, 64, 32, 16, 8, 4, 2, 1] and up == [2, 4, 8, 16, 32, 64, 128, 256]
    assert sum(type(layer).__name__ == "Dropout" for layer in game.generator.layers) == 3
    assert [layer.output.shape[1:] for layer in game.discriminator.layers][-1] == (30, 30, 1)


def test_pairs_are_cut_alike():
    game = tiny("pix2pix")
    data = source(game)
    arrays = data.arrays("train")
    data = data.few(24)
    twins = {**arrays, "y": arrays["x"]}
    import dataclasses

    data = dataclasses.replace(data, examples=lambda split: tf.data.Dataset.from_tensor_slices(twins), _held={}).jittered(4, True)
    batches = list(data.batches(24).take(2))
    for batch in batches:
        np.testing.assert_array_equal(batch["x"], batch["y"])
    order = [np.argsort(batch["pair"]) for batch in batches]
    assert np.abs(number(batches[0]["x"])[order[0]] - number(batches[1]["x"])[order[1]]).max() > 0.1, "another cut in another epoch"
    held = next(iter(data.batches(24, split="test")))
    np.testing.assert_allclose(number(held["x"])[np.argsort(held["pair"])], arrays["x"] / 127.5 - 1, atol=1e-5)


# -- what both are made of ------------------------------------------------------------------------------------------------------------


def test_instance_norm_is_keras_group_norm_of_one_channel():
    import keras

    x = tf.random.stateless_normal([2, 5, 7, 3], [1, 2]) * 3 + 1
    theirs = keras.layers.GroupNormalization(-1, epsilon=1e-5)
    mine = layers.InstanceNorm(affine=True)
    np.testing.assert_allclose(mine(x), theirs(x), atol=1e-4)
    mine.set_weights([np.float32([1, 2, 3]), np.float32([0, 1, 0])])
    theirs.set_weights([np.float32([1, 2, 3]), np.float32([0, 1, 0])])
    np.testing.assert_allclose(mine(x), theirs(x), atol=1e-4)
    np.testing.assert_allclose(layers.InstanceNorm()(x).numpy().std((1, 2)), 1, atol=1e-3)


@pytest.mark.parametrize("side, steps, patches", [(256, 3, 30), (64, 3, 6), (32, 2, 6), (16, 3, 2)])
def test_patches(side, steps, patches):
    import keras

    x = layers.patch_logits(keras.Input((side, side, 3)), 2, steps, 0.2, layers.InstanceNorm)
    assert x.shape == (None, patches, patches, 1)


# -- as a user types it ---------------------------------------------------------------------------------------------------------------

SMALL = ["--width", "4", "--blocks", "1", "--discriminator-width", "4", "--image-shape", "16", "16", "3", "--batch-size", "2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Four rounds of a small CycleGAN between red and blue pictures."""
    import os

    import train

    here, folder = os.getcwd(), tmp_path_factory.mktemp("domains")
    draw = np.random.RandomState(0)
    for part in ("trainA", "trainB", "testA", "testB"):
        (folder / "colours" / part).mkdir(parents=True)
        for i in range(25):
            pixels = draw.randint(0, 90, (16, 16, 3)).astype(np.uint8)
            pixels[4:12, 4:12, 0 if part[-1] == "A" else 2] = 250
            tf.io.write_file(str(folder / "colours" / part / f"{i}.png"), tf.io.encode_png(pixels))
    os.chdir(folder)
    try:
        argv = ["--model", "cyclegan", "--data", "folder:colours", *SMALL, "--steps", "4", "--every", "2", "--data-dir", str(folder)]
        assert train.main(argv) == 0
        yield folder / "runs" / "cyclegan-colours-0001"
    finally:
        os.chdir(here)


def test_a_whole_run_of_a_translator(run, capsys):
    import json

    from zoo import __main__ as tool

    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    scores = rows[-1]["scores"]
    assert set(scores) == {"cycle_error", "translated"} and 0 < scores["cycle_error"] < 1 and 0 <= scores["translated"] <= 1
    protocol = rows[-1]["protocol"]
    assert protocol["fake_images"] == 0 and protocol["real_images"] == 25 and protocol["split"] == "test"
    assert json.loads((run / "checkpoints" / "best" / "score.json").read_text())["name"] == "translated"
    card = (run / "README.md").read_text()
    assert (
        "25 held-out examples" in card
        and "| cycle error | lower |" in card
        and "| `to_x` | `image float32 [n, height, width, 3]` |" in card
        and 'model.serve("to_y", image=...)' in card
        and "below them their translations, and these translated back" in card
        and "zoo generate" not in card
    )
    assert tool.main(["evaluate", str(run)]) == 0
    assert "cycle_error" in capsys.readouterr().out
    assert tool.main(["evaluate", str(run), "--metrics", "cycle_error"]) == 0
    said = capsys.readouterr().out
    assert "cycle_error" in said and "translated " not in said
    with pytest.raises(UserError, match="does not allow to measure psnr_x"):
        tool.main(["evaluate", str(run), "--metrics", "psnr_x"])
    with pytest.raises(UserError, match="no metric 'translate'; did you mean 'translated'"):
        tool.main(["evaluate", str(run), "--metrics", "translate"])
    for command in (["generate"], ["analyse"], ["usefulness"], ["evaluate", "--metrics", "frechet"]):
        with pytest.raises(UserError, match=f"zoo {command[0]}.*images of other images.*zoo translate RUN PICTURE OUT.png; .*cycle_error"):
            tool.main([command[0], str(run), *command[1:]])


def test_a_picture_is_translated_as_the_model_is_served(run, inside, capsys):
    from PIL import Image

    from zoo import __main__ as tool

    picture = np.random.RandomState(0).randint(0, 255, (13, 18, 3)).astype(np.uint8)  # no multiples of 4
    Image.fromarray(picture).save("in.png")
    game, found = zoo.load(run), {}
    for words, by in ((), "to_y"), (("--by", "to_x"), "to_x"):
        assert tool.main(["translate", str(run), "in.png", "made/out.png", *words]) == 0
        assert f"in.png (18x13) by {by} in made/out.png" in capsys.readouterr().out
        found[by] = np.asarray(Image.open("made/out.png"))
        served = number(game.serve(by, image=picture[None] / 255)["image"])[0]
        np.testing.assert_array_equal(found[by], np.rint(served * 255))
    assert np.abs(found["to_x"].astype(int) - found["to_y"]).max() > 5
    for words, said in (
        (["none.png", "out.png"], "none.png cannot be read"),
        (["in.png", "out.gif"], "out.gif: a picture is written as PNG"),
        (["in.png", "out.png", "--by", "sideways"], "--by sideways: this run's model translates by to_y and to_x"),
        (["in.png", "out.png", "--pose", "1"], "--pose: to_y of this run's model takes no pose; leave it out"),
    ):
        with pytest.raises(UserError, match=said):
            tool.main(["translate", str(run), *words])
    for signature, given, said in (
        ("to_z", {}, "no signature 'to_z'; there is: serving_default, to_y, "),
        ("to_y", {"picture": picture}, "to_y takes image: image is missing, picture is not taken"),
        ("to_y", {"image": picture / 255}, r"image has shape \[13, 18, 3\]; to_y takes \[None, None, None, 3\]"),
    ):
        with pytest.raises(UserError, match=said):
            game.serve(signature, **given)


def test_a_translation_is_read_against_its_own_class_on_any_split():
    game = tiny("cyclegan", image_shape=(16, 16, 1), num_classes=10)
    domains = data.open("outlines", image_shape=(16, 16, 1), needs=("x", "y"))
    for split in ("train", "test"):
        held = domains.some(split, 40)
        assert {"label_x", "label_y"} <= set(held) and ("pair" in held) == (split == "test")
        asked = []

        def right(images, asked=asked, held=held):
            asked.append(images)
            return held["label_y" if len(asked) == 1 else "label_x"]  # of what was made as x, that is y's; then the other

        assert game.scores(held, right)["translated"] == 1
    assert (domains.some("train", 40)["label_x"] != domains.some("train", 40)["label_y"]).any()


def test_a_training_that_was_stopped_before_its_first_checkpoint_still_begins_from_the_other(run, tmp_path, monkeypatch):
    import train

    argv = ["--model", "cyclegan", "--data", "folder:colours", *SMALL, "--steps", "2", "--every", "2", "--scores", "0", "--seed", "3"]
    folder = tmp_path / "second"
    found = []
    monkeypatch.setattr(train, "fit", lambda model, *args, **kwargs: found.append(weights(model.generator)) or 1)
    train.main([*argv, "--init", str(run), "--run-dir", str(folder)])
    train.main(["--resume", str(folder)])
    kept = weights(zoo.load(run).averaged)
    assert len(found) == 2 and same(found[0], kept) and same(found[1], kept)
    with pytest.raises(UserError, match="init"):
        train.main(["--resume", str(folder), "--init", str(folder)])


def test_a_training_begins_from_another_ones_generator(run, tmp_path):
    import train
    from zoo import runs

    argv = ["--model", "cyclegan", "--data", "folder:colours", *SMALL, "--steps", "2", "--every", "2", "--scores", "0"]
    argv += ["--init", str(run), "--run-dir", str(tmp_path / "second"), "--generator-learning-rate", "1e-12"]
    assert train.main(argv) == 0
    first, second = zoo.load(run), zoo.load(runs.Run(tmp_path / "second"))
    for mine, theirs in zip(second.generator.weights, first.averaged.weights):
        np.testing.assert_allclose(number(mine), number(theirs), atol=1e-5)
    with pytest.raises(UserError, match="--init .*: its generator .* is another network"):
        train.main([*argv[:-4], "--run-dir", str(tmp_path / "third"), "--width", "8"])
    with pytest.raises(UserError, match="nowhere is no run"):
        train.main(["--model", "cyclegan", "--init", "nowhere", "--run-dir", str(tmp_path / "fourth")])
    assert not (tmp_path / "third").exists() and not (tmp_path / "fourth").exists()


def test_scores_that_a_translator_has_not_are_refused(run):
    import train
    from zoo import __main__ as tool

    with pytest.raises(UserError, match="no score 'frechet' of this model; there is: translated, cycle_error"):
        train.main(["--model", "cyclegan", "--data", "folder:colours", *SMALL, "--best", "frechet"])
    with pytest.raises(UserError, match="--live: what this run's model measures of itself is of its averaged networks"):
        tool.main(["evaluate", str(run), "--live"])
    with pytest.raises(UserError, match="the model needs pair, and .* has only x and y"):
        train.main(["--model", "pix2pix", "--data", "outlines"])


def test_what_is_asked_of_a_model_in_python_is_checked():
    acgan, biggan = tiny("acgan"), tiny("biggan")
    with pytest.raises(UserError, match="label is missing"):
        acgan.sample([1])
    with pytest.raises(UserError, match=r"1 seeds and label of shape \[2\]"):
        acgan.sample([1], label=[0, 1])
    with pytest.raises(UserError, match="label: this model does not ask for it"):
        tiny("dcgan").sample([1], label=[3])
    for limit in (0, -1.0, [0.5, float("nan")]):
        with pytest.raises(UserError, match="truncation must be more than 0"):
            biggan.sample([1, 2], label=[0, 1], truncation=limit)
