"""The checks `parity`: each backend and precision answers as the CPU does in fp32, on the shipped samples."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cnnrnn
from benchmarks.gpu_check.notes import FailedError, Notes, Setting, SkippedError
from benchmarks.gpu_check.place import BUNDLE, model, pictures
from cnnrnn.runtime.result import Result

# The gate that a precision passes at its export: the share of captions that are fp32's, and how near two
# scores are for it to be a tie, which is counted apart. `export/tolerances.py` has the reasons.
LEAST_SHARE = 0.995
TIES = {"fp32": 1e-4, "fp16": 2.0**-10, "bf16": 2.0**-7}
SHOWN = 5

_FILE = "reference.json"


@dataclass(frozen=True)
class Answer:
    """What the CPU said of one picture: the best caption, and the score of every hypothesis by its tokens."""

    text: str
    tokens: tuple[int, ...]
    score: float
    steps: int
    scores: dict[tuple[int, ...], float]


def reference(setting: Setting, notes: Notes) -> None:
    """The CPU's own answers, for the other checks."""
    images = pictures(setting.pictures)
    with cnnrnn.load(BUNDLE, precision="fp32") as captioner:
        results = [captioner(image) for image in images]
    answers = [
        {
            "text": result.text,
            "tokens": result.tokens,
            "score": result.score,
            "steps": result.steps,
            "scores": [[hypothesis.tokens, hypothesis.score] for hypothesis in result.hypotheses],
        }
        for result in results
    ]
    (setting.work / _FILE).write_text(json.dumps(answers), encoding="utf-8")
    texts = len({result.text for result in results})
    notes.note(pictures=len(images), captions=texts)
    notes.note(summary=f"{len(images)} pictures, {texts} different captions, ONNX Runtime on the CPU, fp32")


def answers(setting: Setting) -> list[Answer]:
    """What `reference` left.

    Raises:
        SkippedError: it left nothing.
    """
    path: Path = setting.work / _FILE
    if not path.is_file():
        raise SkippedError("there are no answers of the CPU to compare: see the check 'parity reference'")
    return [
        Answer(
            entry["text"],
            tuple(entry["tokens"]),
            entry["score"],
            entry["steps"],
            {tuple(tokens): score for tokens, score in entry["scores"]},
        )
        for entry in json.loads(path.read_text(encoding="utf-8"))
    ]


def parity(setting: Setting, notes: Notes, *, backend: str, precision: str) -> None:
    """One backend in one precision."""
    if f"engine {backend}" not in setting.good:
        raise SkippedError(f"{backend} did not run here: see the check 'engine {backend}'")
    wanted = answers(setting)
    images = pictures(len(wanted))
    started = time.monotonic()
    with model(setting, backend, precision=precision) as captioner:
        results = captioner(images)
    loop = results[0].loop
    notes.note(seconds=round(time.monotonic() - started, 2), loop=loop)
    found = compared(results, wanted, TIES[precision])
    notes.note(**found)
    differ, ties, total = found["differ"], found["ties"], found["pictures"]
    notes.note(
        summary=f"{found['same']} of {total} captions are the CPU's fp32, {ties} ties, {differ} others; "
        f"scores differ by {found['largest_score_difference']:.1e} at most; loop {loop}"
    )
    if differ > (1 - LEAST_SHARE) * total:
        raise FailedError(
            f"{differ} of {total} captions are not the CPU's, {(1 - LEAST_SHARE) * total:.1f} may differ: "
            f"{found['different'][0]}"
        )


def compared(results: list[Result], wanted: list[Answer], tie: float) -> dict[str, Any]:
    """How many answers are the same; those that are not, with how far apart the CPU has the two."""
    same, ties, largest, different = 0, 0, 0.0, []
    for place, (result, answer) in enumerate(zip(results, wanted, strict=True)):
        if result.tokens == answer.tokens:
            same += 1
            largest = max(largest, abs(result.score - answer.score))
            continue
        theirs = answer.scores.get(result.tokens)
        gap = None if theirs is None else answer.score - theirs
        if gap is not None and gap <= tie:
            ties += 1
        else:
            different.append({"picture": place, "cpu": answer.text, "found": result.text, "gap": gap})
    return {
        "pictures": len(wanted),
        "same": same,
        "ties": ties,
        "differ": len(different),
        "different": different[:SHOWN],
        "largest_score_difference": largest,
        "tie_below": tie,
    }
