"""Questions on a device: the CPU's answers, one picture sent for many, and nothing between steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cnnrnn
from cnnrnn.core.bundle import Bundle
from cnnrnn.runtime.device.loop import WAYS
from cnnrnn.runtime.graphs import Graphs
from cnnrnn.runtime.model import Model
from cnnrnn.runtime.questions import QuestionReader
from tests.device.searches import looping
from tests.driver import inside
from tests.driver.rig import Rig

PICTURE = Path(__file__).resolve().parents[2] / "examples" / "vqa" / "shape.png"
QUESTIONS = ("what is the shape?", "what color is the shape?", "is there a circle?")


def answers(way: str) -> list[Any]:
    """What a model on a device answers, and one on the CPU, and what the device was sent."""
    bundle = Bundle.open("vqa")
    with cnnrnn.load(bundle) as model:
        wanted = [result.tokens for result in model.ask(PICTURE, QUESTIONS)]
    with looping(Graphs.of(bundle, "fp32"), way) as backend:
        model = Model(backend, bundle.manifest, bundle.tokenizer(), QuestionReader.of(bundle))
        model.ask(PICTURE, QUESTIONS)
        inside.reset()
        asked = model.ask(PICTURE, QUESTIONS)
        sent = inside.counts()["host_to_device_bytes"]
        listed = model([PICTURE] * 3, question=QUESTIONS)
        inside.reset()
        model([PICTURE] * 3, question=QUESTIONS)
        sent_apart = inside.counts()["host_to_device_bytes"]
        single = [model(PICTURE, question=question) for question in QUESTIONS]
        counters = asked[0].counters
    found = [[result.tokens for result in results] for results in (asked, listed, single)]
    return [wanted, found, sent, sent_apart, counters, [result.question for result in asked]]


@pytest.mark.parametrize("way", WAYS)
def test_it_answers_as_the_cpu_does(way: str, rig: Rig) -> None:
    wanted, found, sent, sent_apart, counters, asked = rig.run(answers, way).value
    assert found == [wanted] * 3
    assert len(set(map(tuple, wanted))) == 3
    assert asked == list(QUESTIONS)
    assert counters == {"host_to_device_bytes": 0, "device_to_host_bytes": 0, "synchronizes": 0}
    # Four pictures of a bucket where each question has its own, and one where they share it.
    assert sent_apart - sent == 3 * 64 * 64 * 3
