"""``cnnrnn run``: answers, their JSON, bad pictures in their place, exit codes."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrnn.cli import main, parser
from cnnrnn.core.search import SearchOptions
from cnnrnn.core.search_limits import LIMITS
from cnnrnn.runtime.engine.device import find_device
from cnnrnn.runtime.ort_cpu import OrtCpuBackend


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
        "reason",
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
        (["--beams", "0"], "--beams 0 is outside 1 to 5"),
        (["--beams", "6"], "--beams 6 is outside 1 to 5"),
        (["--batch", "0"], "--batch is 0"),
        (["--max-length", "0"], "--max-length 0 is outside 1 to 1024"),
        (["--n-best", "9"], "--n-best 9 is outside 1 to 5: a search of 5 beams keeps no more; raise --beams"),
        (["--backend", "abacus"], "--backend abacus is unknown"),
        (["--precision", "fp7"], "--precision fp7 is not in bundle"),
        (["--threads", "0"], "--threads 0; give an integer from 1"),
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
    assert all(set(piece) == {"image", "settled", "tokens"} for piece in pieces)
    assert [token for piece in pieces for token in piece["tokens"]] == answer["tokens"]
    assert main(["run", str(colour_bundle), picture, "--stream", "--beams", "1"]) == 0
    assert capsys.readouterr().out.startswith(f"{picture}: + a\n")
    assert main(["run", str(colour_bundle), picture, "--stream", "--batch", "2"]) == 2
    assert "--stream" in capsys.readouterr().err


@pytest.mark.parametrize(("flag", "value"), [("--suppress-tokens", "1,x"), ("--bad-words-ids", "1;;2")])
def test_token_ids_that_are_none(flag: str, value: str, colour_bundle: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(colour_bundle), "x.png", flag, value])
    assert stopped.value.code == 2


def test_every_option_has_a_flag_of_its_name_with_its_range() -> None:
    """Transformers' names, where those are others, are flags too."""
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    flags = {flag: action for action in commands.choices["run"]._actions for flag in action.option_strings}
    for entry in dataclasses.fields(SearchOptions):
        if entry.name == "start":  # which is --language's
            continue
        action = flags["--" + entry.name.replace("_", "-")]
        assert action.dest == entry.name
        if entry.name in LIMITS:
            assert action.help is not None
            assert action.help.endswith(f"; {LIMITS[entry.name]}")
    for theirs, ours in (
        ("num-beams", "beams"),
        ("max-new-tokens", "max_length"),
        ("min-new-tokens", "min_length"),
        ("num-return-sequences", "n_best"),
    ):
        assert flags[f"--{theirs}"].dest == ours


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beams", "many"], "argument --beams/--num-beams: 'many' is not an integer; give 1 to 32"),
        (["--top-k", "2.5"], "argument --top-k: '2.5' is not an integer; give 0 to 3840"),
        (["--length-penalty", "x"], "argument --length-penalty: 'x' is not a number; give -4 to 4"),
        (["--deadline-ms", "soon"], "argument --deadline-ms: 'soon' is not a number; give 0 or more"),
        (["--batch", "two"], "argument --batch: 'two' is not an integer"),
        (["--threads", "1.5"], "argument --threads: '1.5' is not an integer"),
    ],
)
def test_what_is_no_number_is_refused_by_its_flag(
    arguments: list[str], message: str, colour_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(colour_bundle), "x.png", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--deadline-ms", "-1"], "--deadline-ms -1 is below 0: give milliseconds, or leave it out"),
        (["--seed", "3"], "--seed 3 has no effect without --do-sample; add it, or leave --seed out"),
        (
            ["--do-sample", "--beams", "4", "--num-beam-groups", "2", "--diversity-penalty", "1"],
            "--num-beam-groups 2 contradicts --do-sample",
        ),
        (["--temperature", "0", "--do-sample"], "--temperature 0 is outside 0.001 to 100: 1 leaves"),
        (["--suppress-tokens", "3,9"], "--suppress-tokens has token 9, outside 0 to 8, the vocabulary"),
        (["--bad-words-ids", "3;4,9"], "--bad-words-ids[1] has token 9, outside 0 to 8"),
        (["--prefix", "a purple"], "--prefix 'a purple' has 'purple', which the vocabulary of 9 lacks"),
        (["--prefix", "a red", "--max-length", "1"], "--prefix has 2 tokens, and there is --max-length 1"),
        (["--early-stopping", "never", "--beams", "1"], "--early-stopping never contradicts --beams 1"),
        (["--early-stopping", "true", "--do-sample"], "--early-stopping true contradicts --do-sample"),
    ],
)
def test_what_is_refused_is_named_by_its_flag(
    arguments: list[str],
    message: str,
    colour_bundle: Path,
    colour_pictures: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", str(colour_bundle), str(colour_pictures / "red.png"), *arguments]) == 2
    assert f"cnnrnn: {message}" in capsys.readouterr().err


def test_the_other_hypotheses_are_listed_where_they_are_asked_for(
    colour_bundle: Path, colour_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(colour_pictures / "red.png")
    assert main(["run", str(colour_bundle), picture, "--json", "--n-best", "3"]) == 0
    (answer,) = lines(capsys.readouterr().out)
    assert main(["run", str(colour_bundle), picture, "--n-best", "3"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{picture}: a red square  (")
    assert others == [
        f"  {rank}. {hypothesis['text']}  ({hypothesis['score']:.3f})"
        for rank, hypothesis in enumerate(answer["hypotheses"][1:], 2)
    ]
    assert main(["run", str(colour_bundle), picture]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_an_answer_that_did_not_end_says_why(
    colour_bundle: Path, colour_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(colour_pictures / "red.png")
    stuck = ["--suppress-tokens", "0,1,3,5,6,7,8", "--no-repeat-ngram-size", "2", "--min-length", "5"]
    reason = (
        "no token may follow these 2: --suppress-tokens, --no-repeat-ngram-size 2 and --min-length 5 leave "
        "none; allow more"
    )
    assert main(["run", str(colour_bundle), picture, *stuck]) == 0
    assert f"; {reason})" in capsys.readouterr().out
    assert main(["run", str(colour_bundle), picture, "--json", *stuck]) == 0
    (answer,) = lines(capsys.readouterr().out)
    assert (answer["stopped"], answer["reason"], answer["text"]) == ("no_token", reason, "a a")
    assert main(["run", str(colour_bundle), picture, "--max-length", "2"]) == 0
    assert "; cut off at --max-length 2)" in capsys.readouterr().out
    assert main(["run", str(colour_bundle), picture, "--deadline-ms", "0"]) == 0
    assert "; --deadline-ms 0 had passed; the best so far)" in capsys.readouterr().out


@pytest.mark.parametrize("as_json", [False, True])
def test_a_picture_whose_logits_are_no_numbers_is_reported_in_its_place(
    as_json: bool,
    colour_bundle: Path,
    colour_pictures: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = OrtCpuBackend.step

    def spoil(self: OrtCpuBackend, *given: Any) -> Any:
        made = whole(self, *given)
        logits = np.array(made.logits.numpy())
        logits[1] = np.nan
        return dataclasses.replace(made, logits=self._ort.OrtValue.ortvalue_from_numpy(logits))

    monkeypatch.setattr(OrtCpuBackend, "step", spoil)
    flags = ["--batch", "3", *(["--json"] if as_json else [])]
    assert main(["run", str(colour_bundle), str(colour_pictures), *flags]) == 1
    output = capsys.readouterr()
    assert "not finite in step 1" in output.err
    assert "1 of 3 pictures could not be used" in output.err
    if as_json:
        answers = lines(output.out)
        assert [answer.get("text") for answer in answers] == ["a blue square", None, "a red square"]
        assert answers[1]["kind"] == "NotFiniteError"
    else:
        assert len(output.out.splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory; give a file in UTF-8 with one phrase a line"),
        (b"\n \n", "has 0 phrases, at least 1; give a file in UTF-8 with one phrase a line"),
        (
            b"a red square\n\na purple square\n",
            "line 3, 'a purple square' has 'purple', which the vocabulary",
        ),
        (b"a red square\n\xff\n", "line 2, is not UTF-8; give a file"),
        (b"a red square <end>\n", "line 1, 'a red square <end>' has '<end>', which is a special token"),
    ],
    ids=["absent", "empty", "unknown word", "not UTF-8", "special token"],
)
def test_phrases_that_cannot_be_used(
    content: bytes | None,
    message: str,
    colour_bundle: Path,
    colour_pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "phrases.txt"
    if content is not None:
        file.write_bytes(content)
    picture = str(colour_pictures / "red.png")
    assert main(["run", str(colour_bundle), picture, "--phrases", str(file)]) == 2
    error = capsys.readouterr().err
    assert f"--phrases {file}" in error
    assert message in error
    assert "Errno" not in error


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx", "ort-cuda"])
def test_without_a_gpu_its_backends_are_exit_code_3(
    backend: str, colour_bundle: Path, colour_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if find_device() is not None:
        pytest.skip("this machine has a GPU")
    assert main(["run", str(colour_bundle), str(colour_pictures), "--backend", backend]) == 3
    assert "GPU 0 cannot be used: there is no driver" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [("--device", "7"), ("--loop", "while")])
def test_a_cpu_has_no_way_to_use_a_gpu(
    flags: tuple[str, ...], colour_bundle: Path, colour_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(colour_bundle), str(colour_pictures), *flags]) == 2
    assert f"{' '.join(flags)}: the backend ort-cpu uses no GPU; give --backend" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--loop", "best"), "--loop best is unknown; give 'auto', 'while', 'replay', 'launch'"),
        (("--device", "-1"), "--device -1; give the number of a GPU, from 0"),
        (("--threads", "2"), "--threads 2 is for the backend ort-cpu; tensorrt has none"),
    ],
)
def test_what_is_no_way_to_use_a_gpu(
    flags: tuple[str, ...],
    said: str,
    colour_bundle: Path,
    colour_pictures: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", str(colour_bundle), str(colour_pictures), "--backend", "tensorrt", *flags]) == 2
    assert said in capsys.readouterr().err
