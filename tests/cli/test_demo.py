"""``cnnrnn demo`` and the page it writes."""

from __future__ import annotations

import html.parser
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cnnrnn.cli import main


class Page(html.parser.HTMLParser):
    """What a browser would find: elements with their attributes, and the text."""

    VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and "script" not in self.open:
            self.words.append(data)

    def having(self, tag: str, css_class: str = "") -> list[dict[str, str]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and (not css_class or css_class in attributes.get("class", "").split())
        ]


@pytest.fixture
def demo(colour_bundle: Path, colour_pictures: Path, tmp_path: Path) -> Callable[..., int]:
    """Runs the command on the colours; the page is ``page.html`` in the test's folder, or ``output``."""

    def run(*arguments: str, output: Path | None = None) -> int:
        where = ["--pictures", str(colour_pictures), "--output", str(output or tmp_path / "page.html")]
        return main(["demo", "--bundle", str(colour_bundle), *where, *arguments])

    return run


@pytest.fixture
def page_text(demo: Callable[..., int], tmp_path: Path) -> str:
    assert demo() == 0
    return (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.fixture
def page(page_text: str) -> Page:
    return Page(page_text)


def test_it_prints_picture_text_score_and_stages(
    demo: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    demo()
    head, *rows, foot = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "picture",
        "text",
        "score",
        "decode",
        "preprocess",
        "encoder",
        "step",
        "select",
        "backtrace",
        "total",
    ]
    assert [row.split()[:4] for row in rows] == [
        [f"{name}.png", "a", name, "square"] for name in ("blue", "green", "red")
    ]
    for row in rows:
        score, *stages, total = map(float, row.split()[4:])
        assert score < 0 < total
        assert sum(stages) == pytest.approx(total, abs=1.0)
    assert foot == "(times in milliseconds)"


def test_json_has_a_line_a_picture(demo: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    demo("--json")
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["text"] for answer in answers] == ["a blue square", "a green square", "a red square"]
    assert all(len(answer["hypotheses"]) == 5 for answer in answers)


def test_a_page_in_a_folder_that_does_not_exist_is_known_before_any_work(
    demo: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "no-such-folder"
    assert demo(output=folder / "page.html") == 1
    output = capsys.readouterr()
    assert f"there is no folder {folder}. Make it (mkdir -p {folder})" in output.err
    assert output.out == ""


def test_pictures_that_do_not_exist_are_a_wrong_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--pictures", str(tmp_path / "nope"), "--output", str(tmp_path / "page.html")]) == 2
    assert f"there is no folder {tmp_path / 'nope'}" in capsys.readouterr().err


def test_the_page_is_well_formed_and_names_its_language(page: Page) -> None:
    assert page.open == []
    assert page.having("html")[0]["lang"] == "en"
    assert page.having("title")
    assert any("width=device-width" in meta.get("content", "") for meta in page.having("meta"))


def test_the_page_asks_no_host(page: Page, page_text: str) -> None:
    assert re.findall(r"https?:|url\((?!data:)|@import", page_text) == []
    assert [
        image["src"][:15] for image in page.having("img") if not image["src"].startswith("data:image/png")
    ] == []
    policy = next(meta["content"] for meta in page.having("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'")
    assert page.having("link") == []


def test_each_picture_has_a_card_with_caption_words_and_hypotheses(page: Page) -> None:
    text = " ".join(page.words)
    assert len(page.having("article", "card")) == 3
    assert [picture["aria-label"] for picture in page.having("div", "picture")] == [
        "blue.png",
        "green.png",
        "red.png",
    ]
    assert len(page.having("button")) == 3 * len(["a", "red", "square"])
    assert len(page.having("tr")) == 3 * (1 + 5)
    for colour in ("blue", "green", "red"):
        assert f"a {colour} square" in text


def test_the_attention_is_drawn_and_said_word_by_word(page: Page) -> None:
    """The bundle's attention starts at the upper left and moves on by one position a word."""
    overlays = [image["src"] for image in page.having("img")]
    assert len(overlays) == 9
    assert len(set(overlays[:3])) == 3
    said = [word for word in page.words if word.startswith("looked at the")]
    assert [part.split(",")[0].removeprefix("looked at the ") for part in said[:3]] == [
        "upper left",
        "upper centre",
        "middle left",
    ]
    assert all("70% of its attention" in part for part in said)


def test_both_colour_schemes_and_reduced_motion_are_served(page_text: str) -> None:
    assert "prefers-color-scheme: dark" in page_text
    assert "prefers-reduced-motion" in page_text
    assert 'name="color-scheme" content="light dark"' in page_text


def test_the_page_says_what_the_order_is(page: Page) -> None:
    assert "ranked by their score" in " ".join(" ".join(page.words).split())


def test_a_file_name_cannot_inject_markup(
    demo: Callable[..., int], colour_pictures: Path, tmp_path: Path
) -> None:
    (colour_pictures / "red.png").rename(colour_pictures / "<script>alert(1)<.png")
    demo()
    assert "<script>alert" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_format_that_browsers_do_not_read_is_converted(
    demo: Callable[..., int], colour_pictures: Path, tmp_path: Path
) -> None:
    cv2 = pytest.importorskip("cv2")
    red = colour_pictures / "red.png"
    cv2.imwrite(str(colour_pictures / "red.bmp"), cv2.imdecode(np_bytes(red), cv2.IMREAD_COLOR))
    red.unlink()
    demo()
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "data:image/bmp" not in page.having("article")[2]["style"]
    assert "data:image/png" in page.having("article")[2]["style"]


def np_bytes(path: Path) -> object:
    import numpy as np

    return np.frombuffer(path.read_bytes(), np.uint8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no picture", "is not a JPEG, PNG, WebP, GIF, BMP, TIFF or DICOM picture"),
        (b"", "is empty; get it again"),
    ],
)
def test_one_broken_picture_is_named_and_the_others_are_shown(
    data: bytes,
    reason: str,
    demo: Callable[..., int],
    colour_pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (colour_pictures / "broken.png").write_bytes(data)
    assert demo() == 1
    output = capsys.readouterr()
    assert output.err.count("broken.png") == 1
    assert f"broken.png {reason}" in output.err
    assert all(f"a {colour} square" in output.out for colour in ("red", "green", "blue"))
    assert len(Page((tmp_path / "page.html").read_text(encoding="utf-8")).having("article")) == 3

    for picture in colour_pictures.glob("*.png"):
        picture.write_bytes(data)
    assert demo(output=tmp_path / "none.html") == 1
    assert "none of the 4 pictures" in capsys.readouterr().err
    assert not (tmp_path / "none.html").exists()


def test_what_a_picture_is_called_stands_beside_a_wrong_answer(
    demo: Callable[..., int], colour_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"blue.png": ["a blue square", "a tile"], "red.png": ["a rose"]}
    (colour_pictures / "captions.json").write_text(json.dumps(names), encoding="utf-8")
    assert demo() == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == ["1 of 2 are what the pictures are called", "  red.png is called: a rose"]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<span>called ") == 1
    assert "<span>called a rose</span>" in page
