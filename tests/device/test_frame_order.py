"""Frames and the streams that write them: who waits for whom, and how long a frame is kept."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest

import cnnrnn
from cnnrnn.core.errors import ImageError
from cnnrnn.runtime.device import session
from cnnrnn.runtime.device.options import DeviceOptions
from tests.device.device_frames import Uploaded, unknown
from tests.device.test_backends import on_the_cpu, opened, plain
from tests.device.test_frames import picture
from tests.driver import inside
from tests.driver.calls import start
from tests.driver.rig import Rig

LEGACY, PER_THREAD = 1, 2
SHOWN: dict[str, Callable[[Uploaded], Any]] = {
    "by its stream": Uploaded.shown,
    "without a word": Uploaded.shown_by_2,
    "without a stream": lambda frame: frame.shown(stream=None),
    "by another's": lambda frame: frame.shown(stream=LEGACY),
}


def with_provider(provider: str) -> cnnrnn.Model:
    """A model over the library with TensorRT's surface, on the device layer of this provider."""
    opened("tensorrt").close()
    options = DeviceOptions(provider=provider)
    return cnnrnn.load("emoji", backend="tensorrt", precision="fp32", device=options)


def written_again(shown: str, on: int, provider: str, left_out: str = "") -> list[str]:
    """A camera that writes the next frame into the same memory while the last one is still captioned: what
    the driver reports of it."""
    array = picture()
    if left_out:
        setattr(session, left_out, lambda *_: None)
    with with_provider(provider) as model:
        model(array)
        start()
        frame = Uploaded(array, wait=False, on=on)
        image = SHOWN[shown](frame)
        answers = model.map([image, image])
        frame.write()
        for _ in answers:
            frame.write()
        frame.free()
    return inside.lines(inside.Lines.REPORTS)


@pytest.mark.usefixtures("pycuda")
@pytest.mark.parametrize("provider", ["cuda-core", "pycuda"])
@pytest.mark.parametrize(
    ("shown", "on"),
    [
        ("by its stream", 0),
        ("by its stream", LEGACY),
        ("by its stream", PER_THREAD),
        ("without a word", LEGACY),
    ],
)
def test_the_frames_stream_is_waited_for_and_waits(shown: str, on: int, provider: str, rig: Rig) -> None:
    outcome = rig.try_out(written_again, shown, on, provider)
    assert outcome.error is None, outcome.stderr
    assert outcome.value == []


@pytest.mark.parametrize("shown", ["without a stream", "by another's"])
def test_a_frame_whose_stream_is_not_said_is_noticed(shown: str, rig: Rig) -> None:
    """Planted: nothing orders the frame's writing and its reading, and the driver says so."""
    reports = rig.try_out(written_again, shown, 0, "cuda-core").value
    assert any("'fit_frame' reads" in text and text.startswith("race: ") for text in reports), reports


@pytest.mark.parametrize(
    ("left_out", "race"),
    [("begin_reading", "race: 'fit_frame' reads"), ("end_reading", "'fit_frame' reads on another stream")],
)
def test_one_event_that_is_left_out_is_noticed(left_out: str, race: str, rig: Rig) -> None:
    """Planted: the search does not wait for the frame, or who writes the next one not for the search."""
    reports = rig.try_out(written_again, "by its stream", 0, "cuda-core", left_out).value
    assert any(race in text for text in reports), reports


def one_dead_of_two(provider: str) -> list[Any]:
    array = picture(0, 20, 30)
    wanted = on_the_cpu(array)
    with with_provider(provider) as model:
        model(array)
        start()
        frame = Uploaded(array)
        dead = frame.shown(stream=unknown().address)
        found = []
        in_a_list = model([dead, frame.shown()], errors="return")
        for refused, good in (in_a_list, model.map([dead, array], errors="return")):
            assert isinstance(refused, ImageError)
            found += [str(refused), plain(good) == wanted]
        frame.free()
    return found


@pytest.mark.usefixtures("pycuda")
@pytest.mark.parametrize("provider", ["cuda-core", "pycuda"])
def test_a_stream_that_is_gone_is_an_error_of_its_picture_alone(provider: str, rig: Rig) -> None:
    outcome = rig.try_out(one_dead_of_two, provider)
    assert outcome.error is None, outcome.stderr
    assert outcome.leaks == {}
    in_a_list, good, in_a_map, good_too = outcome.value
    assert good
    assert good_too
    for said in (in_a_list, in_a_map):
        assert "its stream is gone, or of another context" in said


def kept() -> list[bool]:
    with opened("tensorrt") as model:
        model(picture())
        start()
        frame = Uploaded(picture())
        image: Any = frame.shown()
        there = weakref.ref(image)
        pieces = model.stream(image)
        next(pieces)
        del image
        found = [there() is not None]
        for _ in pieces:
            pass
        del pieces
        found.append(there() is not None)
        frame.free()
    return found


def test_a_frame_is_kept_until_its_answer_is_there(rig: Rig) -> None:
    """By who reads it; a search that waits for its next picture keeps none."""
    assert rig.run(kept).value == [True, False]
