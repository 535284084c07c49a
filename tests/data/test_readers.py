"""Caption files in the three formats, and what is wrong with them."""

import json
from pathlib import Path

import pytest

from cnnrnn.core.errors import DataError
from cnnrnn.data.readers import Sample, read_captions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"a picture, not looked into by the readers")
    return tmp_path


def test_folder_with_captions_json(folder: Path) -> None:
    (folder / "captions.json").write_text(json.dumps({"a.png": ["a cat", " a small cat "], "b.png": "a dog"}))
    expected = [Sample(folder / "a.png", ("a cat", "a small cat")), Sample(folder / "b.png", ("a dog",))]
    assert read_captions(folder) == expected


def test_csv_with_several_rows_a_picture(folder: Path) -> None:
    table = folder / "captions.csv"
    table.write_text('image,caption\na.png,"a cat, asleep"\nb.png,a dog\na.png,a cat\n', encoding="utf-8-sig")
    expected = [Sample(folder / "a.png", ("a cat, asleep", "a cat")), Sample(folder / "b.png", ("a dog",))]
    assert read_captions(table) == expected


def test_coco_captions(folder: Path, tmp_path: Path) -> None:
    content = {
        "images": [{"id": 7, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}],
        "annotations": [
            {"image_id": 9, "id": 1, "caption": "A dog."},
            {"image_id": 7, "id": 2, "caption": "A cat."},
            {"image_id": 9, "id": 3, "caption": "One dog."},
        ],
    }
    file = tmp_path / "annotations" / "captions_val.json"
    file.parent.mkdir()
    file.write_text(json.dumps(content))
    samples = read_captions(file, images=[tmp_path / "annotations", folder])
    assert samples == [
        Sample(folder / "b.png", ("A dog.", "One dog.")),
        Sample(folder / "a.png", ("A cat.",)),
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("captions.json", "{", "is not JSON"),
        ("captions.json", "[]", "must hold an object"),
        ("captions.json", "{}", "names no picture"),
        ("captions.json", '{"a.png": [""]}', "key 'a.png': 'a.png' has the caption '', which says nothing"),
        ("captions.json", '{"a.png": 3}', "'a.png' has the caption 3"),
        ("captions.json", '{"a.png": []}', "1 of 1 pictures have no caption"),
        ("captions.json", '{"a.png": "x", "a.png": "y"}', "has the key 'a.png' twice"),
        ("captions.json", '{"a.png": "x", "c.png": "y"}', "1 of 2 pictures are missing"),
        ("captions.json", '{"images": [{"id": 1}], "annotations": []}', "lacks or misnames 'file_name'"),
        (
            "captions.json",
            '{"images": [{"id": 1, "file_name": 12}], "annotations": []}',
            "images[0]: the file name 12 is not text; put it in quotes",
        ),
        ("captions.csv", "image,caption\na.png,caf\xe9\n", "it has the byte 0xe9; save it as UTF-8"),
        ("captions.csv", f"image,caption\na.png,{'x' * 200_000}\n", "is not CSV: field larger"),
        ("captions.csv", "image,text\na.png,x\n", "no column 'caption'"),
        ("captions.csv", "image,caption\na.png,\n", "line 2: 'a.png' has the caption ''"),
        ("captions.csv", "picture;text\n", "has no column 'caption'"),
        ("captions.json", '{"images": [], "info": {}}', "has images and no annotations"),
        (
            "captions.json",
            '{"images": [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}], '
            '"annotations": []}',
            "images[1] has the id 1, which images[0] has too",
        ),
        (
            "captions.json",
            '{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"id": 3, "image_id": 2}]}',
            "annotations[0] is about the image 2, and images has none",
        ),
        (
            "captions.json",
            '{"images": [{"id": 1, "file_name": "a.png"}], "annotations": '
            '[{"id": 3, "image_id": 1, "caption": "x"}, {"id": 3, "image_id": 1, "caption": "y"}]}',
            "annotations[1] has the id 3, which annotations[0] has too",
        ),
        (
            "captions.json",
            '{"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "a.png"}], "annotations": '
            '[{"image_id": 1, "caption": "x"}, {"image_id": 2, "caption": "y"}]}',
            "images[1] is the picture 'a.png', as images[0] is; join their captions",
        ),
        ("captions.txt", "what is this", "starts with 'what is this' and is of no known kind"),
    ],
)
def test_malformed(folder: Path, name: str, content: str, said: str) -> None:
    (folder / name).write_text(content, encoding="latin-1")
    with pytest.raises(DataError) as caught:
        read_captions(folder / name)
    assert said in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"captions\.json does not exist"):
        read_captions(tmp_path)
