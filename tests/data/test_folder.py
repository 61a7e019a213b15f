"""Layouts of folders of pictures, and what is reported about files that cannot be used."""

import shutil
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from zoo import data
from zoo.data import limits
from zoo.data.image_files import DECODE_ERRORS, open_upright, to_pixels
from zoo.errors import UserError


def save_picture(path, mode="RGB", size=(12, 12), color=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color if color is not None else 0).save(path)
    return path


def test_flat_folder(tmp_path, capsys):
    for i in range(3):
        save_picture(tmp_path / f"{i}.png", color=(i, 0, 0))
    source = data.open_source(f"folder:{tmp_path}")
    assert source.keys == ("image",) and source.image_shape == (12, 12, 3) and source.sizes == {"train": 3}
    assert sorted(source.arrays()["image"][:, 0, 0, 0]) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_plain_pictures_of_sixteen_pixels_need_no_warning(tmp_path, capsys):
    for mode in ("L", "RGB"):
        save_picture(tmp_path / f"{mode}.png", mode, (16, 16))
    data.open_source(f"folder:{tmp_path}")
    assert capsys.readouterr().err == ""


def test_a_path_without_its_prefix_is_refused(tmp_path):
    with pytest.raises(UserError, match="is a path, not the name of a dataset; for a folder of pictures, use --data folder:"):
        data.open_source(str(tmp_path))


def test_class_folders_of_grayscale_pictures(tmp_path):
    for i, name in enumerate(["cat", "dog", "dog"]):
        save_picture(tmp_path / name / f"{i}.png", "L", color=50 + i)
    source = data.open_source(f"folder:{tmp_path}")
    assert source.class_names == ("cat", "dog") and source.image_shape == (12, 12, 1)
    arrays = source.arrays()
    assert list(arrays["label"]) == [0, 1, 1] and list(arrays["image"][:, 0, 0, 0]) == [50, 51, 52]


def test_pictures_that_can_be_converted_are_counted_in_one_line(tmp_path, capsys):
    save_picture(tmp_path / "rgba.png", "RGBA", color=(255, 0, 0, 0))
    save_picture(tmp_path / "deep.png", "I;16", color=65535)
    save_picture(tmp_path / "palette.png", "P")
    save_picture(tmp_path / "bits.png", "1")
    save_picture(tmp_path / "plain.png", size=(30, 20))
    source = data.open_source(f"folder:{tmp_path}")
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1
    for part in (
        "1 with transparency, composited onto white",
        "1 with 16 or more bits per channel, scaled from 0 to 65,535",
        "1 with a palette, converted to RGB",
        "1 in mode 1, converted to L",
        "5 of 2 different sizes, center-cropped to a square and resized to 64x64",
    ):
        assert part in warning
    assert source.image_shape == (64, 64, 3)
    images = dict(zip(["bits", "deep", "palette", "plain", "rgba"], source.arrays()["image"], strict=True))
    assert images["rgba"].min() == 255, "transparent images are composited onto white"
    assert images["deep"].min() == 255, "16 bits are scaled, not clipped"


def test_pictures_that_cannot_be_used_are_named(tmp_path):
    save_picture(tmp_path / "good.png")
    save_picture(tmp_path / "dot.png", size=(1, 1))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG cut off")
    cut = save_picture(tmp_path / "cut.jpg", size=(200, 200))
    cut.write_bytes(cut.read_bytes()[:300])
    with pytest.raises(UserError) as error:
        data.open_source(f"folder:{tmp_path}")
    for part in ("3 of 4 pictures", "broken.png (not an image)", "cut.jpg", "dot.png (1x1 pixels)"):
        assert part in str(error.value)


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (40, 20))
    exif = image.getexif()
    exif[0x0112] = 6  # rotated by 90 degrees
    image.save(tmp_path / "a.jpg", exif=exif)
    assert data.open_source(f"folder:{tmp_path}").image_shape == (40, 20, 3)


def test_the_version_of_a_folder_changes_with_its_files(tmp_path):
    save_picture(tmp_path / "a.png")
    first = data.open_source(f"folder:{tmp_path}").version
    assert data.open_source(f"folder:{tmp_path}").version == first
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    assert data.open_source(f"folder:{tmp_path}").version != first


def test_folder_resized_on_request(tmp_path):
    save_picture(tmp_path / "a.png", size=(40, 20), color=(7, 7, 7))
    assert data.open_source(f"folder:{tmp_path}", image_shape=(16, 16, 1)).arrays()["image"].shape == (1, 16, 16, 1)


def test_two_domains_in_folders(tmp_path):
    for part, count in (("trainA", 3), ("trainB", 2), ("testA", 1), ("testB", 1)):
        for i in range(count):
            save_picture(tmp_path / part / f"{i}.png", color=(i + 1, 0, 100 * (part[-1] == "B")))
    source = data.open_source(f"folder:{tmp_path}", keys=("x", "y"))
    assert source.sizes == {"train": 2, "test": 1} and source.image_shape == (12, 12, 3)
    batch = next(iter(source.batches(2)))
    assert float(tf.reduce_max(batch["x"][..., 2])) == -1 and float(tf.reduce_min(batch["y"][..., 2])) > -1
    assert "pair" not in source.load_examples("test", 1)
    assert sorted(source.single_images().arrays("train")["label"]) == [0, 0, 0, 1, 1], "without classes, the domain is the label"


def test_two_domains_that_cannot_be_used(tmp_path):
    save_picture(tmp_path / "trainA" / "a.png")
    with pytest.raises(UserError, match="no pictures of domain B in the train split of .*; two domains are trainA trainB"):
        data.open_source(f"folder:{tmp_path}", keys=("x", "y"))
    save_picture(tmp_path / "trainB" / "a.png", "L")
    with pytest.raises(UserError, match="domain B in .* are grayscale and the others are not; --image-shape HEIGHT WIDTH 3"):
        data.open_source(f"folder:{tmp_path}", keys=("x", "y"))
    assert data.open_source(f"folder:{tmp_path}", image_shape=(16, 16, 3), keys=("x", "y")).image_shape == (16, 16, 3)


def test_pairs_side_by_side(tmp_path, capsys):
    for split, count in (("train", 3), ("val", 2)):
        for i in range(count):
            both = Image.new("RGB", (24, 12), (10, 0, 0))
            both.paste((200, 0, i), (12, 0, 24, 12))
            (tmp_path / split).mkdir(exist_ok=True)
            both.save(tmp_path / split / f"{i}.png")
    source = data.open_source(f"folder:{tmp_path}", keys=("x", "y", "pair"))
    assert source.sizes == {"train": 3, "test": 2} and source.image_shape == (12, 12, 3)
    arrays = source.arrays("train")
    assert (arrays["x"][..., 0] == 10).all() and (arrays["y"][..., 0] == 200).all()
    assert (arrays["y"][:, 0, 0, 2] == arrays["pair"]).all()
    assert "side by side?" not in capsys.readouterr().err
    save_picture(tmp_path / "flat" / "high.png", size=(12, 12))
    data.open_source(f"folder:{tmp_path / 'flat'}", keys=("x", "y", "pair"))
    assert "1 not wider than high, split anyway (high.png: 6x12); pairs are expected side by side" in capsys.readouterr().err
    save_picture(tmp_path / "train" / "odd.png", size=(25, 12))
    with pytest.raises(UserError, match=r"odd.png \(25x12: halves of different sizes\)"):
        data.open_source(f"folder:{tmp_path}", keys=("x", "y", "pair"))


def test_identities_and_poses(tmp_path, capsys):
    for identity in ("anna", "bert"):
        for pose in ("left", "right-2", "right_1", "front.a"):
            save_picture(tmp_path / identity / f"{pose}.png")
    source = data.open_source(f"folder:{tmp_path}", keys=("image", "label", "pose"))
    assert source.pose_names == ("front", "left", "right") and source.class_names == ("anna", "bert")
    assert sorted(source.arrays("train")["pose"]) == [0, 0, 1, 1, 2, 2, 2, 2]
    assert "warning" not in capsys.readouterr().err
    for identity in ("carl", "dora"):
        for i in range(4):
            save_picture(tmp_path / identity / f"{identity}{i}.png")
    data.open_source(f"folder:{tmp_path}", keys=("image", "label", "pose"))
    assert "8 of 11 poses belong to a single identity" in capsys.readouterr().err
    for identity in ("carl", "dora"):
        shutil.rmtree(tmp_path / identity)
    for file in (tmp_path / "bert").iterdir():
        if not file.name.startswith("left"):
            file.unlink()
    with pytest.raises(UserError, match="bert has pictures of one pose only; .* poses in this folder: front, left, right"):
        data.open_source(f"folder:{tmp_path}", keys=("image", "label", "pose"))
    save_picture(tmp_path / "bert" / "_.png")
    with pytest.raises(UserError, match="_.png does not begin with a pose"):
        data.open_source(f"folder:{tmp_path}", keys=("image", "label", "pose"))
    with pytest.raises(UserError, match="no folders of identities"):
        data.open_source(f"folder:{tmp_path / 'anna'}", keys=("image", "label", "pose"))
    (tmp_path / "emil").mkdir()
    with pytest.raises(UserError, match="no pictures in .*emil; each identity has a folder of its own"):
        data.open_source(f"folder:{tmp_path}", keys=("image", "label", "pose"))


def test_poses_are_in_the_order_of_their_numbers(tmp_path):
    for identity in "ab":
        for pose in (2, 10, 1):
            save_picture(tmp_path / identity / f"pose{pose}.png", "L", color=pose)
    arrays = data.open_source(f"folder:{tmp_path}", keys=("image", "label", "pose")).arrays("train")
    poses = {int(image.max()): int(pose) for image, pose in zip(arrays["image"], arrays["pose"], strict=True)}
    assert poses == {1: 0, 2: 1, 10: 2}


def test_crops_of_pictures_of_any_size(tmp_path, monkeypatch):
    for i, size in enumerate([(20, 30), (40, 24), (22, 22)]):
        save_picture(tmp_path / f"{i}.png", size=size, color=(i + 1, i + 1, i + 1))

    def corner(example, seed, training):
        return {"high": tf.image.stateless_random_crop(example["picture"], (8, 8, 3), seed)}

    pictures = data.open_source(f"folder:{tmp_path}", keys=("picture",))
    assert pictures.image_shape == (None, None, 3)
    assert [p.shape for p in pictures.load_examples()["picture"]] == [(30, 20, 3), (24, 40, 3), (22, 22, 3)]
    for memory in (limits.MEMORY_BYTES, 0):
        monkeypatch.setattr(limits, "MEMORY_BYTES", memory)
        source = data.open_source(f"folder:{tmp_path}", keys=("picture",)).with_crops(8, corner)
        assert source.sizes == {"train": 3 * 9}, "600 pixels over 64 are 9"
        assert isinstance(source.arrays()["pixels"], np.memmap) == (memory == 0)
        batches = [b["high"].numpy() for b in source.batches(9, seed=1).take(6)]
        values = np.rint((np.stack(batches)[..., 0, 0, 0] + 1) * 127.5)
        assert values.shape == (6, 9) and sorted(np.bincount(values[:3].astype(int).ravel())) == [0, 9, 9, 9]
        again = next(iter(source.batches(9, seed=1, start=4)))["high"]
        np.testing.assert_array_equal(again, batches[4])
        assert not np.array_equal(values[:3], values[3:])


def test_subsets_of_pictures_of_any_size_are_refused(tmp_path):
    save_picture(tmp_path / "a.png")
    with pytest.raises(UserError, match="--examples is not supported for folder:.*; omit it to train on all of them"):
        data.open_source(f"folder:{tmp_path}", keys=("picture",)).subset(1)


def test_read_image_keeps_size_and_converts_channels(tmp_path):
    file = save_picture(tmp_path / "a.png", size=(5, 4), color=(9, 9, 9))
    for channels in (1, 3):
        image = to_pixels(open_upright(file, transparent=channels == 4), channels)
        assert image.shape == (4, 5, channels) and image.dtype == np.uint8 and (image == 9).all()
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(DECODE_ERRORS):
        open_upright(tmp_path / "b.png")


TEXT_ORIENTATION = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHI4sI", 1, 0x0112, 2, 2, b"6", 0)  # as a text, not a number


@pytest.mark.parametrize(
    "suffix, orientation", [("jpg", 6), ("png", 6), ("webp", 6), ("tif", 6), ("jpg", TEXT_ORIENTATION), ("png", TEXT_ORIENTATION)]
)
def test_the_orientation_of_all_formats_is_applied_once(tmp_path, suffix, orientation):
    """One of another type than a number is ignored, as by other programs."""
    image = Image.new("RGB", (40, 20))
    image.paste((255, 255, 255), (0, 0, 40, 4))  # along the top, which becomes the right side
    exif = image.getexif() if orientation == 6 else orientation
    if orientation == 6:
        exif[0x0112] = 6
    image.save(tmp_path / f"a.{suffix}", exif=exif, **({"quality": 95} if suffix in ("jpg", "webp") else {}))
    source = data.open_source(f"folder:{tmp_path}")
    pixels = source.arrays()["image"][0]
    if orientation == 6:
        assert source.image_shape == (40, 20, 3) and pixels[20, 18].min() > 200 and pixels[20, 2].max() < 50
    else:
        assert source.image_shape == (20, 40, 3) and pixels[1, 20].min() > 200


def test_only_pictures_of_16_bits_are_counted_as_such(tmp_path, capsys):
    save_picture(tmp_path / "stride_168.bmp", size=(56, 12))
    save_picture(tmp_path / "tile.tif", size=(56, 12))
    data.open_source(f"folder:{tmp_path}")
    assert capsys.readouterr().err == ""
