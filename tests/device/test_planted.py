"""Faults that are planted in the loop's surroundings, each of which has to be noticed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from cnnrnn.core.errors import DeviceError
from cnnrnn.core.search import SearchOptions
from tests.device.host_engines import HostContext, HostEngine, HostSource, Places, array, span
from tests.device.searches import Question, Searched, differences, looping
from tests.driver import inside
from tests.driver.calls import ok, start
from tests.driver.rig import Rig

OPTIONS = SearchOptions(max_length=6, beams=3)


class Steps(HostEngine):
    """Engines whose steps' contexts are remembered, for the faults to use."""

    contexts: ClassVar[list[HostContext]] = []
    made: type[HostContext] = HostContext

    def context(self, places: Places, scratch: int) -> HostContext:
        if self.role != "step":
            return super().context(places, scratch)
        context = self.made(self.role, self.spec, self.function, places)
        self.contexts.append(context)
        return context


class LooksOnTheHost(HostContext):
    """A step that looks at the logits when it is queued."""

    def enqueue(self, stream: int) -> None:
        super().enqueue(stream)
        float(array(self.writes["logits"]).max())


class AdvancesInACapture(HostContext):
    """A step that writes its state when it is queued, and so when it is captured."""

    def enqueue(self, stream: int) -> None:
        array(self.reads["state_h0"])[...] = 0
        super().enqueue(stream)


class Swapped(Steps):
    """Each of the two turns of a step is bound as the other."""

    def context(self, places: Places, scratch: int) -> HostContext:
        context = super().context(places, scratch)
        if self.role == "step" and len(self.contexts) == 2:
            one, other = self.contexts
            one.reads, other.reads = other.reads, one.reads
            one.writes, other.writes = other.writes, one.writes
        return context


def swapped() -> None:
    HostSource.engines = Swapped


def looks_on_the_host() -> None:
    Steps.made = LooksOnTheHost


def advances_in_a_capture() -> None:
    Steps.made = AdvancesInACapture


def nothing() -> None:
    """No fault."""


def planted(before: str, fault: str) -> list[str]:
    """What differs from the CPU's search, or the error; one fault is there before the first search, another
    comes before the second."""
    HostSource.engines = Steps
    found: Callable[[], None] = globals()[before]
    found()
    searched = Searched(Question(1, OPTIONS))
    wanted = searched.on_the_cpu()
    with looping(searched.graphs, "replay") as backend:
        answers = [*differences(searched.on(backend), wanted)]
        (session,) = (session for _, session in backend._sessions._idle)
        places = Steps.contexts[0].reads
        with backend._device.current(), backend._device.stream() as other:
            if fault == "freed early":
                first = min(places.values(), key=lambda place: place.address)
                ok(start().cuMemFree(first.address))
            if fault == "no event":
                inside.enqueue(
                    other.handle, lambda: None, writes=[span(places["memory_keys"])], name="another encoder"
                )
            if fault == "in flight":
                graph: Any = session._encoding
                graph.launch(other)
            try:
                return [*answers, *differences(searched.on(backend), wanted)]
            except DeviceError as error:
                return [str(error)]


def test_without_a_fault(rig: Rig) -> None:
    assert rig.run(planted, "nothing", "").value == []


def test_a_swapped_double_buffer(rig: Rig) -> None:
    """A step then goes on from what the step before the last left."""
    assert "tokens" in rig.try_out(planted, "swapped", "").value


@pytest.mark.parametrize("fault", ["looks_on_the_host", "advances_in_a_capture"])
def test_the_host_touches_the_device(fault: str, rig: Rig) -> None:
    outcome = rig.try_out(planted, fault, "")
    assert outcome.returncode == -signal.SIGSEGV
    assert "the host touched device memory" in outcome.stderr


def test_a_buffer_freed_early(rig: Rig) -> None:
    outcome = rig.try_out(planted, "nothing", "freed early")
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in outcome.value[0]
    assert any("which was freed" in report for report in outcome.reports)


def test_a_missing_event(rig: Rig) -> None:
    outcome = rig.try_out(planted, "nothing", "no event")
    assert any(report.startswith("race: ") and "'another encoder'" in report for report in outcome.reports)


def test_a_graph_that_is_in_flight(rig: Rig) -> None:
    outcome = rig.try_out(planted, "nothing", "in flight")
    assert any("was launched while a launch of it was in flight" in report for report in outcome.reports)
