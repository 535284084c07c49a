"""The loop on a device, in three ways: the same search as on the CPU, and nothing crosses between steps."""

from __future__ import annotations

from typing import Any

import pytest

from cnnrnn.core.errors import BackendError, DeviceError
from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.device import open_device
from cnnrnn.runtime.device.loop import WAYS, choose
from tests.device.searches import Question, Search, differences, looping
from tests.driver import inside
from tests.driver.rig import Rig

OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {"beams": 1},
    "five beams": {"beams": 5},
    "short": {"beams": 3, "max_length": 3},
    "one step": {"beams": 2, "max_length": 1},
    "groups": {"beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    "no repeats": {"beams": 3, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
    "drawn": {"beams": 2, "do_sample": True, "seed": 7, "temperature": 1.2},
}


def searches(way: str, pictures: int, options: dict[str, Any]) -> list[Any]:
    """The same search twice in the same buffers; what differs, and the counters of the second."""
    chosen: dict[str, Any] = {"max_length": 12} | options
    search = Search(Question(pictures, SearchOptions(**chosen)))
    wanted = search.on_the_cpu()
    with looping(search, way) as (_, stream, loop, arrays):
        first = loop.run(arrays)
        before = stream.counters.snapshot()
        inside.reset()
        second = loop.run(arrays)
        counted = stream.counters.since(before).to_dict()
        return [differences(first, wanted) + differences(second, wanted), counted, inside.counts(), loop.way]


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("way", WAYS)
def test_it_searches_as_the_cpu_does(way: str, name: str, rig: Rig) -> None:
    outcome = rig.run(searches, way, 2, OPTIONS[name])
    different, counted, driver, used = outcome.value
    assert different == []
    assert used == way
    assert counted["synchronizes"] == driver["synchronizes"] == 1
    assert driver["pageable"] == 0
    assert counted["host_to_device_bytes"] == driver["host_to_device_bytes"]
    if way == "while":  # the inputs, the history and how many steps it has; nothing between the steps
        assert (driver["host_to_device"], driver["device_to_host"], driver["device_to_device"]) == (3, 2, 0)
        assert driver["graph_launches"] == 1


@pytest.mark.parametrize("pictures", [1, 8])
def test_batches(pictures: int, rig: Rig) -> None:
    assert rig.run(searches, "while", pictures, {"beams": 5}).value[0] == []


def stopped(way: str, deadline_ms: float) -> list[Any]:
    """A search with a deadline, and one without after it."""
    search = Search(Question(1, SearchOptions(max_length=12, beams=3)))
    wanted = search.on_the_cpu()
    with looping(search, way) as (_, _, loop, arrays):
        late = loop.run(arrays, deadline_ms)
        return [late.steps, len(wanted.tokens), differences(loop.run(arrays), wanted)]


@pytest.mark.parametrize("way", WAYS)
def test_a_deadline(way: str, rig: Rig) -> None:
    """The step that runs when it passes is the last; the stand-in runs nothing before the host asks."""
    steps, all_steps, different = rig.run(stopped, way, 0.0).value
    assert steps == 1 < all_steps
    assert different == []
    steps, all_steps, different = rig.run(stopped, way, 60_000.0).value
    assert steps == all_steps
    assert different == []


def way_of(way: str) -> str:
    with open_device() as device:
        try:
            return choose(device, way)
        except DeviceError as error:
            return str(error)


@pytest.mark.parametrize(
    ("driver", "way", "used"),
    [
        ("13000", "auto", "while"),
        ("12030", "auto", "replay"),
        ("12020", "auto", "launch"),
        ("13000", "launch", "launch"),
        (
            "12020",
            "while",
            "loop='while' cannot be had on stand-in 0 with a driver of CUDA 12.2; it has launch",
        ),
        (
            "13000",
            "best",
            "loop='best' cannot be had on stand-in 0 with a driver of CUDA 13.0; it has while",
        ),
    ],
)
def test_the_way_is_what_the_driver_can(driver: str, way: str, used: str, rig: Rig) -> None:
    assert rig.run(way_of, way, STANDIN_DRIVER_VERSION=driver).value.startswith(used)


def with_a_failure(way: str, number: int) -> list[Any]:
    """A search whose call of this number fails, and one after it; the calls of the first."""
    search = Search(Question(1, SearchOptions(max_length=2, beams=2)))
    wanted = search.on_the_cpu()
    with looping(search, way) as (_, _, loop, arrays):
        inside.reset()
        inside.fail_call(number, inside.OUT_OF_MEMORY)
        try:
            said: Any = differences(loop.run(arrays), wanted)
        except BackendError as error:
            said = str(error)
        calls = inside.lines(inside.Lines.CALLS)
        inside.fail_call(0)
        return [said, differences(loop.run(arrays), wanted), calls]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_every_call_of_a_search_fails_once(way: str, rig: Rig) -> None:
    """One exception, and the loop searches on."""
    calls = rig.run(with_a_failure, way, 0).value[2]
    assert len(calls) >= 8
    for number in range(1, len(calls) + 1):
        outcome = rig.try_out(with_a_failure, way, number)
        assert outcome.error is None, outcome.stderr
        said, different, calls = outcome.value
        assert said == [] or "CUDA_ERROR_OUT_OF_MEMORY" in said, (calls[number - 1], said)
        assert different == [], calls[number - 1]
        assert outcome.reports == []
        assert outcome.leaks == {}
