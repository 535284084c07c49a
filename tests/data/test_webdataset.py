"""Tar shards are listed without reading their pictures, and pictures read where they lie."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnrnn.core.errors import DataError, ImageError
from cnnrnn.data.pictures import read_picture
from cnnrnn.data.readers import ShardPicture, Source, read_captions, read_source


def png(value: int) -> bytes:
    return cv2.imencode(".png", np.full((4, 5, 3), value, np.uint8))[1].tobytes()


def shard(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return path


def test_samples_are_members_with_one_key(tmp_path: Path) -> None:
    path = shard(
        tmp_path / "0.tar",
        {
            "__index__": b"WebDataset's own",
            "a/0001.png": png(1),
            "a/0001.txt": "一只猫\n".encode(),
            "a/0001.json": b'{"caption": "the text counts, not this"}',
            "a/0002.json": json.dumps({"caption": ["a dog", "one dog"], "url": "x"}).encode(),
            "a/0002.JPG": png(2),
            "a/0003.cls": b"7",
            "a/0004.seg.png": png(4),
            "a/0005.png": png(5),
            "a/0005.json": b'["x"]',
        },
    )
    samples = read_captions(path)
    assert [sample.captions for sample in samples] == [("一只猫",), ("a dog", "one dog"), ("x",)]
    assert [read_picture(sample.image)[0, 0, 0] for sample in samples] == [1, 2, 5]
    assert str(samples[0].image) == f"{path}:a/0001.png"


def test_several_shards_by_folder_pattern_and_range(tmp_path: Path) -> None:
    for number in range(3):
        shard(tmp_path / f"train-{number:03d}.tar", {"0.png": png(number), "0.txt": b"%d" % number})
    for source in (tmp_path, tmp_path / "train-*.tar", tmp_path / "train-{000..002}.tar"):
        assert [sample.captions for sample in read_captions(source)] == [("0",), ("1",), ("2",)], source
    assert len(read_captions(tmp_path / "train-{001..002}.tar")) == 2
    with pytest.raises(DataError, match=r"1 of the 4 shards of .* do not exist, first .*train-003\.tar"):
        read_captions(tmp_path / "train-{000..003}.tar")
    with pytest.raises(DataError, match="no file matches"):
        read_captions(tmp_path / "val-*.tar")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("0.png", png(0)), ("1.txt", b"x"), ("0.txt", b"y")], "has the key '0' twice"),
        ([("0.png", png(0)), ("0.jpg", png(1))], "key '0' has two pictures, 0.png and 0.jpg"),
        ([("0.png", png(0)), ("0.txt", b"caf\xe9")], "0.txt is not UTF-8: byte 3 is 0xe9"),
        ([("0.png", png(0)), ("0.json", b"{")], "0.json is not JSON"),
        ([("0.png", png(0)), ("0.json", b'{"text": "x"}')], "1 of 1 pictures have no caption"),
        ([("0.png", png(0)), ("0.txt", b" ")], "has the caption ' ', which says nothing"),
        (
            [("0.png", png(0)), ("0.txt", b"x" * (1024**2 + 1))],
            "0.txt has 1048577 bytes; a caption has at most",
        ),
        ([("0.cls", b"3")], "names no picture"),
    ],
)
def test_malformed(tmp_path: Path, members: list[tuple[str, bytes]], said: str) -> None:
    path = shard(tmp_path / "0.tar", dict(members))
    with pytest.raises(DataError) as caught:
        read_captions(path)
    assert said in str(caught.value)


def test_cut_short_or_packed(tmp_path: Path) -> None:
    path = shard(tmp_path / "0.tar", {"0.txt": b"x", "0.png": png(0) * 100})
    whole = path.read_bytes()
    path.write_bytes(whole[:2000])
    with pytest.raises(DataError, match=r"ends within 0\.png: it is cut short"):
        read_captions(path)
    path.write_bytes(gzip.compress(whole))
    with pytest.raises(DataError, match="is packed with gzip"):
        read_captions(path)
    with pytest.raises(DataError, match="is not a tar file that can be read"):
        read_source(Source(str(path), kind="webdataset"))


def test_a_shard_that_changed_since_it_was_listed(tmp_path: Path) -> None:
    picture = ShardPicture(shard(tmp_path / "0.tar", {"0.png": png(0)}), "0.png", 512, 10**6)
    with pytest.raises(ImageError, match=r"0\.tar:0\.png has \d+ of 1000000 bytes; get the shard again"):
        read_picture(picture)
    (tmp_path / "0.tar").unlink()
    with pytest.raises(ImageError, match=r"cannot read .*0\.tar:0\.png: No such file"):
        read_picture(picture)


def test_listing_a_shard_takes_no_memory_for_its_pictures(tmp_path: Path) -> None:
    big = bytes(4 * 1024**2)
    members = {name: data for n in range(8) for name, data in ((f"{n}.png", big), (f"{n}.txt", b"x"))}
    path = shard(tmp_path / "0.tar", members)
    del members
    tracemalloc.start()
    reading = read_source(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(reading.samples) == 8
    assert peak_bytes < len(big)
