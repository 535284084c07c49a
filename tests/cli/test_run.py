"""``cnnrnn run``: answers, their JSON, bad pictures in their place, exit codes."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cnnrnn.cli import main


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_folder_is_answered_picture_by_picture(
    colour_bundle: Path, colour_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(colour_bundle), str(colour_pictures)]) == 0
    answers = capsys.readouterr().out.splitlines()
    assert [answer.partition(": ")[2].partition("  (")[0] for answer in answers] == [
        "a blue square",
        "a green square",
        "a red square",
    ]


def test_a_json_line_has_what_the_contract_names(
    colour_bundle: Path, colour_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(colour_pictures / "red.png")
    assert main(["run", str(colour_bundle), picture, "--json", "--n-best", "3"]) == 0
    output = capsys.readouterr()
    (answer,) = lines(output.out)
    assert output.err == ""
    assert set(answer) == {
        "image",
        "text",
        "score",
        "tokens",
        "hypotheses",
        "stopped",
        "timings_ms",
        "backend",
        "precision",
    }
    assert (answer["image"], answer["text"], answer["backend"], answer["precision"]) == (
        picture,
        "a red square",
        "ort-cpu",
        "fp32",
    )
    assert len(answer["hypotheses"]) == 3
    assert set(answer["hypotheses"][0]) == {"text", "tokens", "logprob", "score", "finished"}
    scores = [hypothesis["score"] for hypothesis in answer["hypotheses"]]
    assert scores == sorted(scores, reverse=True)
    assert set(answer["timings_ms"]) >= {
        "decode",
        "preprocess",
        "encoder",
        "step",
        "select",
        "backtrace",
        "total",
    }


@pytest.mark.parametrize("batch", ["1", "2", "8"])
def test_a_bad_picture_is_reported_in_its_place(
    batch: str, colour_bundle: Path, colour_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (colour_pictures / "c-broken.png").write_bytes(b"not a picture")
    assert main(["run", str(colour_bundle), str(colour_pictures), "--json", "--batch", batch]) == 1
    output = capsys.readouterr()
    answers = lines(output.out)
    assert [Path(answer["image"]).name for answer in answers] == [
        "blue.png",
        "c-broken.png",
        "green.png",
        "red.png",
    ]
    assert [answer.get("text") for answer in answers] == [
        "a blue square",
        None,
        "a green square",
        "a red square",
    ]
    assert answers[1]["kind"] == "ImageError"
    assert answers[1]["error"]
    assert "1 of 4 pictures" in output.err


def test_a_picture_comes_through_standard_input(
    colour_bundle: Path,
    colour_pictures: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = io.BytesIO((colour_pictures / "green.png").read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))
    assert main(["run", str(colour_bundle), "-", "--json"]) == 0
    (answer,) = lines(capsys.readouterr().out)
    assert (answer["image"], answer["text"]) == ("-", "a green square")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--beams", "0"], "beams=0"),
        (["--beams", "6"], "beams=6"),
        (["--batch", "0"], "--batch is 0"),
        (["--max-length", "0"], "max_length=0"),
        (["--n-best", "9"], "n_best=9"),
        (["--backend", "abacus"], "abacus"),
        (["--precision", "fp7"], "fp7"),
        (["--threads", "0"], "threads=0"),
    ],
)
def test_a_wrong_request_is_exit_code_2(
    arguments: list[str],
    named: str,
    colour_bundle: Path,
    colour_pictures: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", str(colour_bundle), str(colour_pictures), "--json", *arguments]) == 2
    output = capsys.readouterr()
    assert named in output.err
    assert named in lines(output.out)[0]["error"]


def test_an_unknown_bundle_lists_those_that_are_shipped(
    colour_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "nonesuch", str(colour_pictures)]) == 2
    assert "nonesuch" in capsys.readouterr().err


def test_a_folder_without_pictures_is_a_wrong_request(
    colour_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(colour_bundle), str(tmp_path)]) == 2
    assert "no picture" in capsys.readouterr().err


def test_the_search_options_reach_the_search(
    colour_bundle: Path, colour_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(colour_pictures / "red.png")
    assert main(["run", str(colour_bundle), picture, "--json", "--beams", "1", "--max-length", "2"]) == 0
    (answer,) = lines(capsys.readouterr().out)
    assert answer["text"] == "a red"
    assert [hypothesis["finished"] for hypothesis in answer["hypotheses"]] == [False]


@pytest.mark.parametrize("value", ["true", "false", "never"])
def test_early_stopping_is_read(value: str, colour_bundle: Path, colour_pictures: Path) -> None:
    assert main(["run", str(colour_bundle), str(colour_pictures / "red.png"), "--early-stopping", value]) == 0


def test_an_early_stopping_that_is_none_of_the_three(
    colour_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(colour_bundle), "x.png", "--early-stopping", "soon"])
    assert stopped.value.code == 2
    assert "soon" in capsys.readouterr().err


def test_every_search_option_has_its_flag(
    colour_bundle: Path, colour_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(colour_pictures / "red.png")
    phrases = tmp_path / "phrases.txt"
    phrases.write_text("a green square\n\na blue square\n")

    def texts(*flags: str) -> list[str]:
        assert main(["run", str(colour_bundle), picture, "--json", *flags]) == 0
        (answer,) = lines(capsys.readouterr().out)
        return [hypothesis["text"] for hypothesis in answer["hypotheses"]]

    assert set(texts("--phrases", str(phrases))) == {"a green square", "a blue square"}
    assert texts("--prefix", "a blue", "--num-return-sequences", "1") == ["a blue square"]
    assert not any("red" in text for text in texts("--suppress-tokens", "5"))
    assert not any("a red" in text for text in texts("--bad-words-ids", "4,5;4,7"))
    assert texts("--num-beams", "1", "--max-new-tokens", "2") == ["a red"]
    plain = ["--repetition-penalty", "1.1", "--no-repeat-ngram-size", "2", "--coverage-penalty", "0.1"]
    assert texts(*plain, "--length-penalty-type", "gnmt", "--min-new-tokens", "2", "--deadline-ms", "60000")[
        0
    ]
    assert (
        texts("--num-beams", "4", "--num-beam-groups", "2", "--diversity-penalty", "0.5")[0] == "a red square"
    )
    drawn = ["--do-sample", "--temperature", "0.5", "--top-k", "5", "--top-p", "0.9", "--min-p", "0.1"]
    assert texts(*drawn, "--seed", "3") == texts(*drawn, "--seed", "3")


def test_a_stream_prints_pieces_then_the_answer(
    colour_bundle: Path, colour_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(colour_pictures / "red.png")
    assert main(["run", str(colour_bundle), picture, "--json", "--stream"]) == 0
    *pieces, answer = lines(capsys.readouterr().out)
    assert "".join(piece["settled"] for piece in pieces) == answer["text"] == "a red square"
    assert main(["run", str(colour_bundle), picture, "--stream", "--beams", "1"]) == 0
    assert capsys.readouterr().out.startswith(f"{picture}: + a\n")
    assert main(["run", str(colour_bundle), picture, "--stream", "--batch", "2"]) == 2
    assert "--stream" in capsys.readouterr().err


@pytest.mark.parametrize(("flag", "value"), [("--suppress-tokens", "1,x"), ("--bad-words-ids", "1;;2")])
def test_token_ids_that_are_none(flag: str, value: str, colour_bundle: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(colour_bundle), "x.png", flag, value])
    assert stopped.value.code == 2


def test_phrases_that_cannot_be_read(
    colour_bundle: Path, colour_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(colour_pictures / "red.png")
    assert main(["run", str(colour_bundle), picture, "--phrases", str(colour_pictures / "none.txt")]) == 2
    assert "none.txt cannot be read" in capsys.readouterr().err
