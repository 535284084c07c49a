"""Data sets as they are published: small files in their exact formats."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from cnnrnn.core.errors import ConfigError, DataError
from cnnrnn.data.readers import Sample, Source, read_captions, read_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def karpathy(folder: Path) -> Path:
    """dataset_coco.json, cut to three pictures of its own."""
    images = [
        {
            "filepath": folder_name,
            "sentids": [sentid, sentid + 1],
            "filename": name,
            "imgid": number,
            "split": split,
            "sentences": [
                {
                    "tokens": ["a", "man", "on", "a", "moped"],
                    "raw": f"A man on a moped {number}. ",
                    "imgid": number,
                    "sentid": sentid,
                },
                {"tokens": ["mopeds"], "raw": "Mopeds", "imgid": number, "sentid": sentid + 1},
            ],
            "cocoid": cocoid,
        }
        for number, (folder_name, name, split, cocoid, sentid) in enumerate(
            [
                ("val2014", "COCO_val2014_000000391895.jpg", "test", 391895, 770337),
                ("val2014", "COCO_val2014_000000060623.jpg", "restval", 60623, 770400),
                ("train2014", "COCO_train2014_000000057870.jpg", "train", 57870, 770500),
            ]
        )
    ]
    put(folder, *(f"{image['filepath']}/{image['filename']}" for image in images))
    file = folder / "dataset_coco.json"
    file.write_text(json.dumps({"images": images, "dataset": "coco"}))
    return file


def test_karpathy_coco(folder: Path) -> None:
    file = karpathy(folder)
    chosen = Source(str(file), split=("train", "restval"))
    assert read_captions(chosen) == [
        Sample(folder / "val2014/COCO_val2014_000000060623.jpg", ("A man on a moped 1.", "Mopeds")),
        Sample(folder / "train2014/COCO_train2014_000000057870.jpg", ("A man on a moped 2.", "Mopeds")),
    ]
    flat = read_captions(Source(str(file), split=("test",)), images=[folder / "val2014"])
    assert [sample.image for sample in flat] == [folder / "val2014/COCO_val2014_000000391895.jpg"]


def test_karpathy_needs_a_split_that_exists(folder: Path) -> None:
    file = karpathy(folder)
    with pytest.raises(DataError, match="has the splits restval, test, train; choose"):
        read_source(file)
    with pytest.raises(DataError, match="no split 'val'; the file has restval, test, train"):
        read_source(Source(str(file), split=("val",)))


def test_karpathy_flickr_without_filepath_and_with_tokens_alone(folder: Path) -> None:
    put(folder, "1000268201_693b08cb0e.jpg")
    image = {
        "sentids": [0],
        "imgid": 0,
        "sentences": [{"tokens": ["a", "child"], "imgid": 0, "sentid": 0}],
        "split": "train",
        "filename": "1000268201_693b08cb0e.jpg",
    }
    file = folder / "dataset_flickr8k.json"
    file.write_text(json.dumps({"images": [image], "dataset": "flickr8k"}))
    assert read_captions(Source(str(file), split=("train",)))[0].captions == ("a child",)
    file.write_text(json.dumps({"images": [image, image], "dataset": "flickr8k"}))
    with pytest.raises(DataError, match=r"images\[1\] has the id 0, which images\[0\] has too"):
        read_source(Source(str(file), split=("train",)))
    del image["split"]
    file.write_text(json.dumps({"images": [image], "dataset": "flickr8k"}))
    with pytest.raises(DataError, match="an entry lacks or misnames 'split'"):
        read_source(file)


TOKENS = (
    "1000268201_693b08cb0e.jpg#0\tA child in a pink dress is climbing up a set of stairs .\n"
    "1000268201_693b08cb0e.jpg#1\tA girl going into a wooden building .\n"
    "2258277193_586949ec62.jpg.1#0\tpeople waiting for the subway\n"
)


def test_flickr8k_tokens_with_its_lists(folder: Path) -> None:
    put(folder, "Flicker8k_Dataset/1000268201_693b08cb0e.jpg")
    file = folder / "Flickr8k.token.txt"
    file.write_text(TOKENS)
    (folder / "Flickr_8k.trainImages.txt").write_text("1000268201_693b08cb0e.jpg\n")
    images = [folder / "Flicker8k_Dataset"]
    expected = Sample(
        images[0] / "1000268201_693b08cb0e.jpg",
        ("A child in a pink dress is climbing up a set of stairs .", "A girl going into a wooden building ."),
    )
    for split in ("train", "Flickr_8k.trainImages.txt"):
        assert read_captions(Source(str(file), split=(split,)), images) == [expected]
    whole = read_source(file, images)  # the published file names one picture that is not in the data set
    assert whole.samples == (expected,)
    assert [fault.kind for fault in whole.faults] == ["missing"]
    assert "line 3: '2258277193_586949ec62.jpg.1' is missing" in whole.faults[0].message
    with pytest.raises(DataError, match=r"'val' has no list beside it; looked for .*devImages\.txt"):
        read_source(Source(str(file), split=("val",)), images)
    file.write_text("a.jpg#0\tx\na.jpg#one\ty\n")
    with pytest.raises(DataError, match=r"line 2 is 'a\.jpg#one"):
        read_source(file)


def test_flickr30k_results_csv_and_its_known_bad_line(folder: Path) -> None:
    put(folder, "1000092795.jpg", "2199200615.jpg")
    file = folder / "results.csv"
    file.write_text(
        "image_name| comment_number| comment\n"
        "1000092795.jpg| 0| Two young guys with shaggy hair look at their hands .\n"
        "1000092795.jpg| 1| Two young , White males are outside near many bushes .\n"
        "2199200615.jpg| 4   A dog runs across the grass .\n"
    )
    (folder / "test.txt").write_text("2199200615\n")
    first, second = read_captions(file)
    assert len(first.captions) == 2
    assert second == Sample(folder / "2199200615.jpg", ("A dog runs across the grass .",))
    assert read_captions(Source(str(file), split=("test",))) == [second]
    file.write_text("image_name| comment_number| comment\na.jpg, 0, x\n")
    with pytest.raises(DataError, match=r"line 2 is 'a\.jpg, 0, x'; three columns"):
        read_source(file)


def test_nocaps_by_domain(folder: Path) -> None:
    put(folder, "val/0013ea2087020901.jpg", "val/00146ba1e50ed8d8.jpg")
    content = {
        "info": {"url": "http://nocaps.org", "version": "0.1"},
        "licenses": [],
        "images": [
            {
                "id": number,
                "open_images_id": name,
                "height": 1024,
                "width": 732,
                "coco_url": f"https://s3.amazonaws.com/nocaps/val/{name}.jpg",
                "date_captured": "2018-11-06 11:04:33",
                "file_name": f"{name}.jpg",
                "license": 0,
                "domain": domain,
            }
            for number, (name, domain) in enumerate(
                [("0013ea2087020901", "in-domain"), ("00146ba1e50ed8d8", "out-domain")]
            )
        ],
        "annotations": [
            {"image_id": number, "id": number, "caption": f"A baby {number}."} for number in range(2)
        ],
    }
    file = folder / "nocaps_val_4500_captions.json"
    file.write_text(json.dumps(content))
    assert len(read_captions(file, [folder / "val"])) == 2
    chosen = read_captions(Source(str(file), split=("out-domain",)), [folder / "val"])
    assert chosen == [Sample(folder / "val/00146ba1e50ed8d8.jpg", ("A baby 1.",))]
    with pytest.raises(DataError, match="the file has in-domain, out-domain"):
        read_source(Source(str(file), split=("near-domain",)), [folder / "val"])


def test_conceptual_captions_find_pictures_by_the_stated_rule(folder: Path) -> None:
    addresses = [f"http://example.com/{name}.jpg?w=1" for name in "abc"]
    by_address = str(zlib.crc32(addresses[0].encode()))
    put(folder, by_address, "00000/000000001.jpg", "00000/000000001.json", "unasked.jpg")
    file = folder / "Train_GCC-training.tsv"
    file.write_text("".join(f"a caption, {n}\t{url}\n" for n, url in enumerate([*addresses, addresses[0]])))
    reading = read_source(file)
    assert reading.samples == (
        Sample(folder / by_address, ("a caption, 0", "a caption, 3")),
        Sample(folder / "00000/000000001.jpg", ("a caption, 1",)),
    )
    assert (reading.pictures, reading.skipped) == (3, 1)
    assert reading.usable(skip_share=0.34) == reading.samples
    with pytest.raises(DataError, match=r"1 of 3 pictures are missing[^$]*skip_share = 0\.3 allows 0"):
        reading.usable(skip_share=0.3)
    with pytest.raises(
        DataError, match="there is no split 'train'; the file of kind conceptual has no splits"
    ):
        read_source(Source(str(file), split=("train",)))


def test_a_stated_kind_is_believed(folder: Path) -> None:
    put(folder, "a.png")
    file = folder / "table.txt"
    file.write_text("a.png#0\tx\n")
    assert read_captions(file)[0].captions == ("x",)
    with pytest.raises(DataError, match="has no column 'caption'"):
        read_source(Source(str(file), kind="csv"))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"path": "a", "kind": "cocos"}, "kind = 'cocos' must be auto or one of .*; did you mean 'coco'"),
        ({"path": ""}, "path = '' must be"),
        ({"kind": "coco"}, "lacks the key 'path'"),
        ({"path": "a", "splits": "x"}, "unknown key 'splits'; known are path, kind, split, images"),
        ({"path": "a", "split": [3]}, r"split = \(3,\) must be a name"),
        (3, "3 must be a path, or a table"),
    ],
)
def test_a_source_that_says_nonsense(value: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Source.of(value)


SCRIPTS = ("قطة نائمة على سجادة", "一只猫睡在垫子上", "एक बिल्ली चटाई पर सो रही है", "😺💤 👩🏽‍🚀", "میخواهم‌ها")


def test_captions_of_any_script_come_back_as_they_were(folder: Path) -> None:
    put(folder, "a.png")
    (folder / "captions.json").write_text(
        json.dumps({"a.png": SCRIPTS}, ensure_ascii=False), encoding="utf-8"
    )
    (folder / "captions.csv").write_text(
        "image,caption\n" + "".join(f"a.png,{text}\n" for text in SCRIPTS), encoding="utf-8-sig"
    )
    (folder / "captions.token").write_text(
        "".join(f"a.png#{n}\t{text}\r\n" for n, text in enumerate(SCRIPTS)), encoding="utf-8"
    )
    for name in ("captions.json", "captions.csv", "captions.token"):
        assert read_captions(folder / name) == [Sample(folder / "a.png", SCRIPTS)], name


def test_a_caption_of_ten_thousand_words_is_refused(folder: Path) -> None:
    put(folder, "a.png", "b.png")
    (folder / "captions.json").write_text(json.dumps({"a.png": ["a cat", "word " * 10_000], "b.png": "x"}))
    with pytest.raises(DataError, match="caption of 50000 characters, and at most 10000 may be: 'word word"):
        read_captions(folder)
    reading = read_source(folder)
    assert [sample.captions for sample in reading.usable(skip_share=0.5)] == [("a cat",), ("x",)]


def test_faults_are_counted_by_picture_and_the_first_are_listed(folder: Path) -> None:
    put(folder, "a.png")
    captions = {"a.png": ["", "a cat"], **{f"{n}.png": "x" for n in range(8)}}
    (folder / "captions.json").write_text(json.dumps(captions))
    with pytest.raises(DataError) as caught:
        read_captions(folder)
    first, *listed, more, advice = str(caught.value).splitlines()
    assert first.endswith("8 of 9 pictures are missing, captions that are empty: 1")
    assert len(listed) == 5
    assert more == "  and 4 more"
    assert advice.startswith("skip_share = 0 allows 0; mend them; where pictures are elsewhere")
