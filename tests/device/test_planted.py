"""Faults that are planted in the loop's surroundings, each of which has to be noticed."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

import pytest

from cnnrnn.core.errors import DeviceError
from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.device.arena import TensorPlace
from tests.device import searches
from tests.device.ort_engines import OrtEngines, array, span
from tests.device.searches import Question, Search, differences, looping
from tests.driver import inside
from tests.driver.calls import ok, start
from tests.driver.rig import Rig

OPTIONS = SearchOptions(max_length=6, beams=3)


class Remembering(OrtEngines):
    """Engines that keep what they were bound to last, for the faults to use."""

    places: Mapping[str, TensorPlace] = {}

    def bind(self, turn: int, tensors: Mapping[str, TensorPlace]) -> None:
        Remembering.places = tensors
        super().bind(turn, tensors)


class Swapped(OrtEngines):
    """Engines that read what the step before wrote as if it were theirs to write."""

    def bind(self, turn: int, tensors: Mapping[str, TensorPlace]) -> None:
        super().bind(1 - turn, tensors)


class ReadingOnTheHost(Remembering):
    """Engines that look at the logits when they are queued."""

    def enqueue(self, stream: int, turn: int) -> None:
        super().enqueue(stream, turn)
        float(array(self.places["logits"]).max())


class AdvancingInACapture(Remembering):
    """Engines that write their state when they are queued, and so when they are captured."""

    def enqueue(self, stream: int, turn: int) -> None:
        array(self.places["state_h0"])[...] = 0
        super().enqueue(stream, turn)


KINDS: dict[str, type[OrtEngines]] = {
    "right": Remembering,
    "swapped": Swapped,
    "reading on the host": ReadingOnTheHost,
    "advancing in a capture": AdvancingInACapture,
}


def planted(kind: str, fault: str) -> list[str]:
    """What differs from the CPU's search, or the error."""
    searches.OrtEngines = KINDS[kind]  # type: ignore[misc]
    search = Search(Question(1, OPTIONS))
    wanted = search.on_the_cpu()
    with looping(search, "replay") as (device, stream, loop, arrays):
        if fault == "freed early":
            first = min(Remembering.places.values(), key=lambda place: place.address)
            ok(start().cuMemFree(first.address))
        with device.stream() as other:
            if fault == "no event":
                written = [span(Remembering.places["memory_keys"])]
                inside.enqueue(other.handle, lambda: None, writes=written, name="encoder")
            if fault == "in flight":
                graph: Any = loop._graph
                graph.launch(other)
            try:
                return differences(loop.run(arrays), wanted)
            except DeviceError as error:
                return [str(error)]
            finally:
                stream.close()


def test_without_a_fault(rig: Rig) -> None:
    assert rig.try_out(planted, "right", "").value == []


def test_a_swapped_double_buffer(rig: Rig) -> None:
    """What the first step reads is nobody's: here a token that is none, which the engine refuses."""
    outcome = rig.try_out(planted, "swapped", "")
    assert outcome.reports == ["'step 0' failed"]
    assert "CUDA_ERROR_LAUNCH_FAILED" in outcome.value[0]


@pytest.mark.parametrize("kind", ["reading on the host", "advancing in a capture"])
def test_the_host_touches_the_device(kind: str, rig: Rig) -> None:
    outcome = rig.try_out(planted, kind, "")
    assert outcome.returncode == -signal.SIGSEGV
    assert "the host touched device memory" in outcome.stderr


def test_a_buffer_freed_early(rig: Rig) -> None:
    outcome = rig.try_out(planted, "right", "freed early")
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in outcome.value[0]
    assert any("which was freed" in report for report in outcome.reports)


def test_a_missing_event(rig: Rig) -> None:
    outcome = rig.try_out(planted, "right", "no event")
    assert any(report.startswith("race: ") and "'encoder'" in report for report in outcome.reports)


def test_a_graph_that_is_in_flight(rig: Rig) -> None:
    outcome = rig.try_out(planted, "right", "in flight")
    assert any("was launched while a launch of it was in flight" in report for report in outcome.reports)
