"""Layouts that people have: read as what they are, or refused with what is there."""

import json
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from zoo import data
from zoo.errors import UserError

LABELS = ("image", "label")


def save(path, color=0, mode="L", size=(8, 8), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)
    return path


def fill(folder, *names):
    """A picture in each place, whose gray value is its number."""
    for value, name in enumerate(names, 1):
        save(folder / name, value)


def open_folder(path, keys=("image",), image_shape=None):
    return data.open_source(f"folder:{path}", image_shape=image_shape, keys=keys)


def content(source, split="train"):
    """The gray value and the class of each picture."""
    arrays = source.arrays(split)
    names = [source.class_names[label] for label in arrays["label"]] if "label" in arrays else [None] * len(arrays["image"])
    return list(zip(np.asarray(arrays["image"])[:, 0, 0, 0].tolist(), names, strict=True))


# -- splits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("train", ["train", "training", "Train"])
@pytest.mark.parametrize("test", ["test", "testing", "val", "valid", "validation", "dev", "eval"])
def test_flat_splits(tmp_path, train, test):
    fill(tmp_path, f"{train}/a.png", f"{train}/b.png", f"{test}/c.png")
    source = open_folder(tmp_path)
    assert source.sizes == {"train": 2, "test": 1} and source.class_names is None
    assert content(source) == [(1, None), (2, None)] and content(source, "test") == [(3, None)]
    with pytest.raises(UserError, match="holds the splits train and test, without folders of classes; the model needs class labels"):
        open_folder(tmp_path, LABELS)


def test_a_validation_split_beside_a_test_split_is_counted(tmp_path, capsys):
    fill(tmp_path, "train/a.png", "test/b.png", "valid/c.png", "valid/d.png", "e.png")
    source = open_folder(tmp_path)
    assert source.sizes == {"train": 1, "test": 1}
    warning = capsys.readouterr().err
    assert "2 in valid, as test images are those of test" in warning and "1 next to the splits" in warning


def test_splits_with_class_folders(tmp_path):
    fill(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/dog/1.png", "val/cat/1.png", "val/cat/2.png")
    source = open_folder(tmp_path, LABELS)
    assert source.class_names == ("cat", "dog") and source.sizes == {"train": 2, "test": 3}
    assert content(source) == [(1, "cat"), (2, "dog")] and content(source, "test") == [(4, "cat"), (5, "cat"), (3, "dog")]
    fill(tmp_path, "val/bird/1.png")
    with pytest.raises(UserError, match="val/bird is a class that .*train/? does not have; its classes: cat, dog"):
        open_folder(tmp_path, LABELS)


def test_splits_and_others_are_refused(tmp_path):
    fill(tmp_path, "train/a.png", "cats/b.png")
    with pytest.raises(UserError, match="holds train, with the name of a split, and cats; .*--data folder:.*/train; .*rename train"):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    "names, message", [(["test/a.png"], "holds test and no train split"), (["val/a.png", "valid/b.png", "train/c.png"], "both")]
)
def test_splits_that_are_ambiguous_are_refused(tmp_path, names, message):
    fill(tmp_path, *names)
    with pytest.raises(UserError, match=message):
        open_folder(tmp_path)


@pytest.mark.parametrize("held_out", ["test", "val", "valid"])
def test_held_out_pictures_of_all_layouts(tmp_path, held_out, capsys):
    for split in ("train", held_out):
        save(tmp_path / "pairs" / split / "a.png", 5, size=(16, 8))
        save(tmp_path / "any" / split / "a.png", 6, size=(9, 12))
        for domain in "AB":
            save(tmp_path / "domains" / f"{split}{domain}" / "a.png", 7)
    save(tmp_path / "pairs" / "extra" / "b.png", size=(16, 8))
    assert open_folder(tmp_path / "pairs", ("x", "y", "pair")).sizes == {"train": 1, "test": 1}
    assert "1 in the folder extra, which is not a split" in capsys.readouterr().err
    assert open_folder(tmp_path / "any", ("picture",)).sizes == {"train": 1, "test": 1}
    assert open_folder(tmp_path / "domains", ("x", "y")).sizes == {"train": 1, "test": 1}


# -- classes ------------------------------------------------------------------------------------------------------------


def test_classes_are_in_natural_order(tmp_path):
    fill(tmp_path, *(f"{i}/a.png" for i in range(1, 13)))
    source = open_folder(tmp_path, LABELS)
    assert source.class_names == tuple(map(str, range(1, 13))) and content(source) == [(i, str(i)) for i in range(1, 13)]


def test_no_class_vanishes(tmp_path, capsys):
    """A class one level deeper, one of another suffix, one of none; other files are counted by kind."""
    fill(tmp_path, "a/1.png", "b/deeper/2.png")
    save(tmp_path / "c" / "3.jfif", 3, format="JPEG")
    save(tmp_path / "d" / "no_suffix", 4, format="PNG")
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "a" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    os.symlink(tmp_path / "nowhere", tmp_path / "a" / "link.png")
    source = open_folder(tmp_path, LABELS)
    assert content(source) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    warning = capsys.readouterr().err
    for part in (
        "1 of another type (.txt)",
        "1 in an unsupported format (.heic)",
        "1 behind a broken symbolic link",
        "1 in folders within class folders",
    ):
        assert part in warning, warning
    (tmp_path / "bb").mkdir()
    with pytest.raises(UserError, match=r"no pictures in .*bb; each class has a folder of its own; remove it, or fill it"):
        open_folder(tmp_path, LABELS)


@pytest.mark.parametrize(
    "suffix", ["jpg", "jfif", "jpe", "png", "bmp", "gif", "webp", "avif", "tif", "ppm", "pgm", "pbm", "pnm", "txt", ""]
)
def test_formats_are_recognized_by_their_content(tmp_path, suffix):
    formats = {"jpg": "JPEG", "jfif": "JPEG", "jpe": "JPEG", "tif": "TIFF", "ppm": "PPM", "pgm": "PPM", "pbm": "PPM", "pnm": "PPM"}
    kind = formats.get(suffix, suffix.upper() if suffix not in ("txt", "") else "PNG")
    name = f"a.{suffix}" if suffix else "a"
    save(tmp_path / "class" / name, 200 if suffix != "pbm" else 1, "1" if suffix == "pbm" else "L", format=kind)
    source = open_folder(tmp_path, LABELS)
    assert source.sizes == {"train": 1} and abs(int(source.arrays()["image"].max()) - (255 if suffix == "pbm" else 200)) < 4


@pytest.mark.parametrize("junk", ["__MACOSX", "@eaDir", ".ipynb_checkpoints"])
def test_folders_of_systems_are_skipped_by_all(tmp_path, junk):
    fill(tmp_path / "classes", "a/left_1.png", "a/right_1.png", "b/left_1.png", "b/right_1.png", f"{junk}/left.png", f"a/{junk}/left.png")
    assert open_folder(tmp_path / "classes", LABELS).class_names == ("a", "b")
    source = open_folder(tmp_path / "classes", ("image", "label", "pose"))
    assert source.class_names == ("a", "b") and source.sizes == {"train": 4}


# -- labels in a file, archives -----------------------------------------------------------------------------------------


def write_stylegan(folder):
    fill(folder, "00000/img0.png", "00000/img1.png", "00001/img2.png", "00001/img3.png")
    labels = [["00000/img0.png", 1], ["00000/img1.png", 0], ["00001/img2.png", 1]]
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))


def test_labels_of_a_json_file(tmp_path, capsys):
    write_stylegan(tmp_path)
    source = open_folder(tmp_path, LABELS)
    assert content(source) == [(1, "1"), (2, "0"), (3, "1")] and "1 without a label in dataset.json" in capsys.readouterr().err
    (tmp_path / "dataset.json").write_text('{"labels": null}')
    assert open_folder(tmp_path).sizes == {"train": 4} and open_folder(tmp_path).class_names is None


@pytest.mark.parametrize(
    "labels, message",
    [
        ([["00000/img0.png", 0], ["gone.png", 1]], "names gone.png, which does not exist"),
        ([["00000/img0.png", 0.5]], "labels are integers"),
        ([["00000/img0.png", 2]], "no image has the label 0"),
        ([3], "cannot be read as labels"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path, labels, message):
    write_stylegan(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    with pytest.raises(UserError, match=message):
        open_folder(tmp_path, LABELS)


@pytest.mark.parametrize("prefix", ["", "dataset/"])
@pytest.mark.parametrize("layout", ["classes", "stylegan", "splits"])
def test_archives_are_read_as_folders(tmp_path, layout, prefix):
    folder = tmp_path / "folder"
    if layout == "stylegan":
        write_stylegan(folder)
    else:
        fill(folder, *(["a/1.png", "b/2.png"] if layout == "classes" else ["train/a/1.png", "train/b/1.png", "test/a/1.png"]))
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"{prefix}{path.relative_to(folder)}")
        archive.writestr(f"__MACOSX/{prefix}a/._1.png", b"junk")
    zipped, plain = (open_folder(path, LABELS) for path in (tmp_path / "images.zip", folder))
    assert zipped.sizes == plain.sizes and zipped.class_names == plain.class_names and zipped.version == plain.version
    for split in plain.sizes:
        assert content(zipped, split) == content(plain, split)


@pytest.mark.parametrize("text", [b"", b"PK\x03\x04 cut", b"no archive"])
def test_damaged_archives_are_one_line(tmp_path, text):
    (tmp_path / "a.zip").write_bytes(text)
    with pytest.raises(UserError, match="a.zip cannot be read as a zip archive"):
        open_folder(tmp_path / "a.zip")


# -- pixels -------------------------------------------------------------------------------------------------------------


def test_an_empty_split_is_refused_by_name(tmp_path):
    fill(tmp_path, "train/a.png", "train/b.png")
    (tmp_path / "val").mkdir()
    with pytest.raises(UserError, match="no pictures in .*val, next to train"):
        open_folder(tmp_path)


def test_a_folder_around_the_classes_is_no_class(tmp_path):
    fill(tmp_path, "animals/cat/1.png", "animals/dog/1.png")
    with pytest.raises(UserError, match="animals is the only class, and holds the folders cat, dog; .*--data folder:.*animals"):
        open_folder(tmp_path, LABELS)
    assert open_folder(tmp_path).sizes == {"train": 2}, "a model without classes takes all"
    assert open_folder(tmp_path / "animals", LABELS).class_names == ("cat", "dog")


def save_deep(path, values, dtype):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), values, dtype)).save(path)


@pytest.mark.parametrize(
    "dtype, suffix, values, expected, limit",
    [
        (np.uint16, "png", (1000, 4000), (62, 249), "4,095"),
        (np.uint16, "png", (1000, 60000), (4, 233), "65,535"),
        (np.int32, "tif", (10, 200), (10, 200), "255"),
        (np.float32, "tif", (0.25, 0.5), (64, 128), "1"),
        (np.float32, "tif", (1e5, 2e5), (128, 255), "200,000"),
    ],
)
def test_deep_pictures_have_one_range(tmp_path, capsys, dtype, suffix, values, expected, limit):
    for i, value in enumerate(values):
        save_deep(tmp_path / f"{i}.{suffix}", value, dtype)
    assert [value for value, _ in content(open_folder(tmp_path))] == pytest.approx(expected, abs=1)
    assert f"2 with 16 or more bits per channel, scaled from 0 to {limit}" in capsys.readouterr().err


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_values_without_a_meaning_are_refused(tmp_path, value):
    save_deep(tmp_path / "a.tif", value, np.float32)
    save(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"1 of 2 pictures cannot be used: .*a.tif \(negative or infinite values\)"):
        open_folder(tmp_path)


def test_the_first_of_several_frames_is_used_and_counted(tmp_path, capsys):
    frames = [Image.new("L", (8, 8), value) for value in (10, 20, 30)]
    for suffix in ("gif", "tif", "webp", "png"):
        frames[0].save(
            tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **({"lossless": True} if suffix == "webp" else {})
        )
    source = open_folder(tmp_path)
    assert {value for value, _ in content(source)} == {
        10
    } and "4 with several frames, of which the first is used" in capsys.readouterr().err


# -- identity of a folder -----------------------------------------------------------------------------------------------


def test_a_folder_is_identified_by_its_content(tmp_path):
    fill(tmp_path / "one", "a.png", "b.png")
    fill(tmp_path / "two", "a.png", "b.png")
    versions = [open_folder(tmp_path / name).version for name in ("one", "two")]
    assert versions[0] == versions[1]
    stamp = os.stat(tmp_path / "two" / "a.png")
    save(tmp_path / "two" / "a.png", 99)  # as large as before
    assert os.stat(tmp_path / "two" / "a.png").st_size == stamp.st_size
    changed = open_folder(tmp_path / "two")
    assert changed.version != versions[0] and content(changed)[0] == (99, None)


def test_files_that_are_as_they_were_are_not_read_again(tmp_path, monkeypatch):
    fill(tmp_path, "a.png", "b.png")
    version = open_folder(tmp_path).version
    monkeypatch.setattr("zoo.data.index.read_header", lambda *args: pytest.fail("read again"))
    assert open_folder(tmp_path).version == version


# -- what the user chooses ----------------------------------------------------------------------------------------------


def test_every_frame_may_be_an_image(tmp_path):
    frames = [Image.new("L", (8, 8), value) for value in (10, 20, 30)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    save(tmp_path / "b.png", 40)
    source = data.open_source(f"folder:{tmp_path}", reading=data.Reading(frames=True))
    assert [value for value, _ in content(source)] == [10, 20, 30, 40]


CSV = "a.png,cat\nsub/b.png,dog\n"


@pytest.mark.parametrize(
    "name, text", [("l.csv", CSV), ("l.csv", "filename,label\n" + CSV), ("l.json", '{"labels": [["a.png", 0], ["sub/b.png", 1]]}')]
)
def test_labels_of_a_file_that_the_user_names(tmp_path, name, text, capsys):
    fill(tmp_path / "images", "a.png", "sub/b.png", "c.png")
    (tmp_path / name).write_text(text)
    source = data.open_source(f"folder:{tmp_path / 'images'}", keys=LABELS, reading=data.Reading(label_file=str(tmp_path / name)))
    names = ("0", "1") if name.endswith("json") else ("cat", "dog")
    assert content(source) == [(1, names[0]), (2, names[1])] and f"1 without a label in {name}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, message",
    [
        ("a.png\n", "'a.png' has no label"),
        ("gone.png,cat\na.png,dog\nlost.png,cat\n", r"names gone.png, which does not exist \(and 1 more\)$"),
        ("a,cat\n", "names a, which does not exist; include the file extension"),
        ("file,label,class\na.png,1,cat\n", "several columns of classes, label, class"),
    ],
)
def test_label_files_that_cannot_be_used(tmp_path, text, message):
    fill(tmp_path / "images", "a.png")
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        data.open_source(f"folder:{tmp_path / 'images'}", keys=LABELS, reading=data.Reading(label_file=str(tmp_path / "l.csv")))


def test_the_order_of_the_classes_of_a_run_is_kept(tmp_path):
    fill(tmp_path, "1/a.png", "2/a.png", "10/a.png")
    source = data.open_source(f"folder:{tmp_path}", keys=LABELS, class_names=("1", "10", "2"))
    assert source.class_names == ("1", "10", "2") and sorted(content(source)) == [(1, "1"), (2, "2"), (3, "10")]


# -- pairs in two folders ------------------------------------------------------------------------------------------------

PAIRS = ("x", "y", "pair")


@pytest.mark.parametrize(
    ("x", "y", "held_out"),
    [
        ("A/train", "B/train", ("A/val", "B/val")),
        ("trainA", "trainB", ("testA", "testB")),
        ("train_a", "train_b", ("valid_a", "valid_b")),
        ("A", "B", None),
    ],
)
def test_pairs_of_equal_names(tmp_path, x, y, held_out):
    for i in (1, 2, 10):
        save(tmp_path / x / f"{i}.png", i)
        save(tmp_path / y / f"{i}.jpg" if i == 2 else tmp_path / y / f"{i}.png", 100 + i, format="PNG")
    for domain, value in zip(held_out or (), (50, 150), strict=False):
        save(tmp_path / domain / "7.png", value)
    source = open_folder(tmp_path, PAIRS)
    assert source.sizes == ({"train": 3, "test": 1} if held_out else {"train": 3}) and source.version.startswith(
        f"{3 + bool(held_out)} pairs"
    )
    arrays = source.arrays()
    assert arrays["x"][:, 0, 0, 0].tolist() == [1, 2, 10] and arrays["y"][:, 0, 0, 0].tolist() == [101, 102, 110]
    if held_out:
        assert [source.arrays("test")[key][0, 0, 0, 0] for key in "xy"] == [50, 150]


def test_pairs_without_a_partner_are_refused(tmp_path, capsys):
    fill(tmp_path, "A/train/1.png", "A/train/2.png", "B/train/1.png", "B/train/2.png", "extra/3.png")
    assert open_folder(tmp_path, PAIRS).sizes == {"train": 2}
    assert "1 in the folder extra, which is not used" in capsys.readouterr().err
    save(tmp_path / "B/train/3.png")
    with pytest.raises(UserError, match="B/train/3.png has no partner of the same name in the other domain"):
        open_folder(tmp_path, PAIRS)


def test_damaged_partners_are_named(tmp_path):
    fill(tmp_path, "A/1.png", "B/1.png")
    content = (tmp_path / "B/1.png").read_bytes()
    (tmp_path / "B/1.png").write_bytes(content[:50])
    with pytest.raises(UserError, match="B/1.png"):
        open_folder(tmp_path, PAIRS).arrays()


# -- what is met ---------------------------------------------------------------------------------------------------------


def test_a_flat_folder_may_have_folders_in_it(tmp_path, capsys):
    """Classes are not needed, and most pictures are in no folder."""
    fill(tmp_path, "a.png", "b.png", "c.png", "more/d.png")
    source = open_folder(tmp_path)
    assert source.sizes == {"train": 4} and source.class_names is None
    assert "1 in folders within it, read as well" in capsys.readouterr().err
    fill(tmp_path, *(f"more/{i}.png" for i in range(5)), *(f"others/{i}.png" for i in range(5)))
    assert open_folder(tmp_path).class_names == ("more", "others")
    assert "3 next to the class folders, ignored" in capsys.readouterr().err


def test_files_of_labels_are_no_other_files(tmp_path, capsys):
    fill(tmp_path, "0/a.png", "0/b.png")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": [["0/a.png", 0], ["0/b.png", 1]]}))
    assert open_folder(tmp_path, LABELS).num_classes == 2
    assert not capsys.readouterr().err


def test_sizes_and_modes_are_known(tmp_path):
    save(tmp_path / "a.png", size=(8, 16))
    save(tmp_path / "b.png", mode="RGB")
    save(tmp_path / "c.png", mode="RGB")
    facts = open_folder(tmp_path, image_shape=(8, 8, 3)).facts()
    assert facts == {
        "sizes": "8x8: 2, 8x16: 1 (width x height)",
        "modes": "RGB: 2, L: 1",
        "resizing": "1 center-cropped and resized to 8x8 (width x height)",
    }
    assert data.open_source("digits").facts()["sizes"] == "32x32"


# -- names like those of splits and domains ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [("testA", "testB", "trainA", "trainB"), ("test_set", "training_set"), ("train2017", "val2017"), ("DIV_train_HR", "DIV_valid_HR")],
)
@pytest.mark.parametrize("keys", [("image",), LABELS, ("picture",)])
def test_folders_that_are_named_like_splits_are_no_classes(tmp_path, names, keys):
    fill(tmp_path, *(f"{name}/{i}.png" for name in names for i in range(2)))
    with pytest.raises(UserError, match=f"holds {names[0]}, .*which are named like splits; .*--data folder:.*train"):
        open_folder(tmp_path, keys)


def test_splits_within_classes_are_refused(tmp_path):
    fill(tmp_path, "cat/train/1.png", "cat/test/2.png", "dog/train/1.png", "dog/test/2.png")
    with pytest.raises(UserError, match="cat holds test, train, which are named like splits"):
        open_folder(tmp_path, LABELS)


def test_classes_may_have_the_name_of_one_split(tmp_path):
    fill(tmp_path, "train_station/1.png", "airport/1.png")
    assert open_folder(tmp_path, LABELS).class_names == ("airport", "train_station")


def test_a_flat_test_split_beside_classes_is_named(tmp_path, capsys):
    fill(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/1.png", "test/2.png")
    assert open_folder(tmp_path, LABELS).sizes == {"train": 2}
    assert "2 in test, which has no folders of classes" in capsys.readouterr().err


def test_splits_of_identities_are_refused(tmp_path):
    fill(tmp_path, *(f"{split}/{name}/{pose}_1.png" for split in ("train", "test") for name in "ab" for pose in "lr"))
    with pytest.raises(UserError, match="which are named like splits; identities are held out by --held-out-identities"):
        open_folder(tmp_path, ("image", "label", "pose"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("trainA/1.png", "testB/1.png"), "trainA/1.png has no partner"),
        (("photos/1.png", "maps/1.png"), "holds maps, photos; pairs are side by side in one file, or of equal names in"),
        (("A/1.png", "c/1.png"), "A/1.png has no partner"),
    ],
)
def test_pictures_are_not_cut_in_half_unless_they_are_pairs(tmp_path, names, message):
    fill(tmp_path, *names)
    with pytest.raises(UserError, match=message):
        open_folder(tmp_path, PAIRS)


@pytest.mark.parametrize(("x", "y"), [("train/A", "train/B"), ("A/train", "B/train")])
def test_domains_in_other_folders(tmp_path, x, y):
    fill(tmp_path, f"{x}/1.png", f"{x}/2.png", f"{y}/3.png")
    source = open_folder(tmp_path, ("x", "y"))
    assert source.x.sizes == {"train": 2} and source.y.sizes == {"train": 1}


# -- identity ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [".", "images"])
def test_labels_and_crops_are_part_of_the_identity(tmp_path, folder):
    """Wherever the file of the labels is."""
    fill(tmp_path / folder, "a.png", "b.png")
    for k, (first, second) in enumerate((("0", "1"), ("1", "0"))):
        (tmp_path / f"{k}.csv").write_text(f"a.png,{first}\nb.png,{second}\n")

    def identity(**choices):
        return data.open_source(f"folder:{tmp_path / folder}", keys=("image",), reading=data.Reading(**choices)).identity

    files = [str(tmp_path / f"{k}.csv") for k in range(2)]
    identities = [identity(), identity(crop="pad"), identity(crop="none"), *(identity(label_file=file) for file in files)]
    assert len(set(identities)) == 5
    (tmp_path / "copy.csv").write_bytes((tmp_path / "0.csv").read_bytes())
    assert identity(label_file=str(tmp_path / "copy.csv")) == identities[3]


def test_files_that_change_while_they_are_read_are_refused(tmp_path):
    """The decoded examples are stored under the digest of what was there at the start."""
    fill(tmp_path, "a.png", "b.png")
    source = open_folder(tmp_path)
    save(tmp_path / "a.png", 200)
    with pytest.raises(UserError, match="a.png .changed since the command started."):
        source.arrays()
    assert content(open_folder(tmp_path))[0][0] == 200


def test_errors_of_the_system_are_not_remembered(tmp_path, monkeypatch):
    from zoo.data.files import FileTree

    fill(tmp_path, "a.png", "b.png")
    open_file = FileTree.open_file

    def fail(tree, name):
        if name == "a.png":
            raise PermissionError(13, "Permission denied")
        return open_file(tree, name)

    monkeypatch.setattr(FileTree, "open_file", fail)
    with pytest.raises(UserError, match="a.png .Permission denied"):
        open_folder(tmp_path)
    monkeypatch.undo()
    assert open_folder(tmp_path).sizes == {"train": 2}


# -- frames, links, archives -----------------------------------------------------------------------------------------------


def test_frames_have_values_and_colors_of_their_own(tmp_path):
    pages = [Image.fromarray(np.full((8, 8), value, np.uint16)) for value in (100, 1000, 4000)]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    frames = data.Reading(frames=True)
    images = data.open_source(f"folder:{tmp_path}", reading=frames).arrays()["image"]
    assert images[:, 0, 0, 0].tolist() == [6, 62, 249]
    Image.new("L", (8, 8), 9).save(tmp_path / "b.tiff", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
    assert data.open_source(f"folder:{tmp_path}", reading=frames).arrays()["image"][4, 0, 0].tolist() == [255, 0, 0]
    Image.fromarray(np.full((8, 8), 1, np.float32)).save(
        tmp_path / "c.tiff", save_all=True, append_images=[Image.fromarray(np.full((8, 8), -5, np.float32))]
    )
    with pytest.raises(UserError, match="c.tiff, frame 2 .negative"):
        data.open_source(f"folder:{tmp_path}", reading=frames)


def test_names_with_a_hash_are_names(tmp_path):
    for value, name in enumerate(("a.png", "a.png#1", "a.png#2"), 1):
        save(tmp_path / name, value, format="PNG")
    assert content(open_folder(tmp_path)) == [(1, None), (2, None), (3, None)]


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path):
    fill(tmp_path, "train/1.png")
    (tmp_path / "test").symlink_to("train")
    (tmp_path / "train" / "up").symlink_to("..")
    assert open_folder(tmp_path).sizes == {"train": 1, "test": 1}


def test_archives_with_the_separators_of_windows(tmp_path):
    fill(tmp_path, "cat/1.png", "dog/2.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("cat/1.png", "dog/2.png"):
            member = zipfile.ZipInfo("x")
            member.filename = name.replace("/", "\\")
            archive.writestr(member, (tmp_path / name).read_bytes())
    assert open_folder(tmp_path / "a.zip", LABELS).class_names == ("cat", "dog")


# -- label files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "a.png,cat\nb.png,dog\n",
        "name,label\na.png,cat\nb.png,dog\n",
        "\ufefffile;class\n./a.png;cat\nb.png;dog\n",
        "split,filename,label\ntrain,a.png,cat\ntest,b.png,dog\n",
        'image\tcategory\na.png\t"cat"\nb.png\tdog\n',
    ],
)
def test_csv_files_that_people_have(tmp_path, text):
    fill(tmp_path, "a.png", "b.png")
    (tmp_path / "l.csv").write_text(text, encoding="utf-8")
    source = data.open_source(f"folder:{tmp_path}", keys=LABELS, reading=data.Reading(label_file=str(tmp_path / "l.csv")))
    assert content(source) == [(1, "cat"), (2, "dog")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no labels"),
        ("name,label\n", "has no labels"),
        ("a.png,\nb.png,dog\n", "'a.png' has no label"),
        ("a.png,cat\na.png,dog\n", "a.png has two labels, cat and dog"),
        ("a.png,train,cat\n", "is not a file name and a class"),
        ("photo,label,x\na.png,cat,1\n", "has the columns photo, label, x; rename that of the file names to name or file"),
        ("photo,label\na.png,cat\n", "has the columns photo, label; rename that of the file names to name or file"),
        ("file,split,kind\na.png,train,cat\n", "has the columns file, split, kind; rename the column that holds the classes to 'label'"),
    ],
)
def test_csv_files_that_are_refused(tmp_path, text, message):
    fill(tmp_path, "a.png", "b.png")
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        data.open_source(f"folder:{tmp_path}", keys=LABELS, reading=data.Reading(label_file=str(tmp_path / "l.csv")))


def test_label_files_keep_the_splits(tmp_path):
    fill(tmp_path, "train/1.png", "train/2.png", "test/1.png")
    (tmp_path / "l.csv").write_text("train/1.png,a\ntrain/2.png,b\ntest/1.png,b\n")
    source = data.open_source(f"folder:{tmp_path}", keys=LABELS, reading=data.Reading(label_file=str(tmp_path / "l.csv")))
    assert content(source) == [(1, "a"), (2, "b")] and content(source, "test") == [(3, "b")]


def test_a_json_without_labels_changes_nothing(tmp_path):
    fill(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "dataset.json").write_text('{"name": "pets"}')
    assert open_folder(tmp_path, LABELS).class_names == ("cat", "dog")


@pytest.mark.parametrize("keys", [("x", "y"), ("picture",), ("image", "label", "pose")])
def test_options_that_a_layout_does_not_have_are_refused(tmp_path, keys):
    fill(tmp_path, "a.png")
    with pytest.raises(UserError, match="--label-file is for models of single images"):
        data.open_source(f"folder:{tmp_path}", keys=keys, reading=data.Reading(label_file="l.csv"))


@pytest.mark.parametrize("shape", [(8, 8, 2), (0, 8, 3), (-1, 8, 3), (2**20, 8, 1)])
def test_impossible_shapes_are_refused(tmp_path, shape):
    fill(tmp_path, "a.png")
    with pytest.raises(UserError, match="--image-shape"):
        open_folder(tmp_path, image_shape=shape)
