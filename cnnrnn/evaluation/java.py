"""METEOR and SPICE, which are Java programs: what they say, or why they are left out."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.extras import require

log = logging.getLogger(__name__)

Texts = dict[int, list[str]]
"""Picture to its captions, as ``pycocoevalcap`` takes them."""

JAVA = "there is no java on PATH; install it, on Debian and Ubuntu with: apt install default-jre-headless"
NOT_ASKED = "not asked for, since Java takes half a minute to load them"
CORENLP = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")

Scored = tuple[float, NDArray[np.float64]]
"""The score of all pictures, and (N,) float64 of each."""


def java_scores(references: Texts, captions: Texts) -> tuple[dict[str, Scored], dict[str, str]]:
    """METEOR (Banerjee & Lavie 2005, version 1.5, English) and SPICE (Anderson et al. 2016) of captions.

    Args:
        references, captions: words of each picture, those of ``captions`` in a list of one.

    Returns:
        ``meteor`` and ``spice`` as far as they can be had, from 0 to 1, and of the others the reason.
    """
    scores: dict[str, Scored] = {}
    left_out: dict[str, str] = {}
    metrics: tuple[tuple[str, Callable[[], str], Callable[[Texts, Texts], Scored]], ...] = (
        ("meteor", _without_java, _meteor),
        ("spice", _without_spice, _spice),
    )
    for name, reason, compute in metrics:
        if why := reason():
            left_out[name] = why
            continue
        try:
            scores[name] = compute(references, captions)
        except (OSError, ValueError, KeyError, subprocess.CalledProcessError) as error:
            left_out[name] = f"its Java program failed: {error or type(error).__name__}; see: java -version"
            log.warning("%s is left out: %s", name, left_out[name])
    return scores, left_out


def _without_java() -> str:
    return "" if shutil.which("java") else JAVA


def _without_spice() -> str:
    """SPICE's own constructor would fetch what it lacks; nothing is fetched here."""
    if why := _without_java():
        return why
    folder = Path(require("pycocoevalcap.spice", extra="eval").__path__[0]) / "lib"
    if absent := [name for name in CORENLP if not (folder / name).is_file()]:
        return (
            f"there is no {absent[0]} in {folder}; this fetches it, some 400 MB: "
            "python -m pycocoevalcap.spice.get_stanford_models"
        )
    return ""


def _meteor(references: Texts, captions: Texts) -> Scored:
    with _closed(require("pycocoevalcap.meteor.meteor", extra="eval").Meteor()) as meteor:
        score, each = meteor.compute_score(_without_bars(references), _without_bars(captions))
    return float(score), np.asarray(each, np.float64)


def _spice(references: Texts, captions: Texts) -> Scored:
    """The mean over pictures; one of which neither graph has anything counts as 0."""
    spice = require("pycocoevalcap.spice.spice", extra="eval").Spice()
    with _stdout_as_stderr():
        _, each = spice.compute_score(references, captions)
    values = np.nan_to_num(np.array([scores["All"]["f"] for scores in each], np.float64))
    return float(values.mean()), values


@contextlib.contextmanager
def _stdout_as_stderr() -> Iterator[None]:
    """What a child process says is no answer of ours, and belongs on standard error."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _without_bars(texts: Texts) -> Texts:
    """METEOR's protocol has ``|||`` between captions."""
    return {number: [text.replace("|||", " ") for text in several] for number, several in texts.items()}


@contextlib.contextmanager
def _closed(meteor: Any) -> Iterator[Any]:
    """The process ends, and its pipes with it, which its own destructor leaves open.

    A failure leaves its lock taken, and the destructor would wait for that for ever.
    """
    try:
        yield meteor
    finally:
        if meteor.lock.locked():
            meteor.lock.release()
        process = meteor.meteor_p
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
