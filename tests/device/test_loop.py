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


def searches(way: str, pictures: int, options: dict[str, Any], provider: str = "cuda-core") -> list[Any]:
    """The same search twice in the same buffers; what differs, and the counters of the second."""
    chosen: dict[str, Any] = {"max_length": 12} | options
    search = Search(Question(pictures, SearchOptions(**chosen)))
    wanted = search.on_the_cpu()
    with looping(search, way, provider) as (_, stream, loop, arrays):
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


@pytest.mark.parametrize("name", OPTIONS)
def test_it_searches_over_pycuda_too(name: str, pycuda: str, rig: Rig) -> None:
    different, counted, driver, used = rig.run(searches, "auto", 2, OPTIONS[name], pycuda).value
    assert different == []
    assert used == "launch"
    assert counted["synchronizes"] == driver["synchronizes"] == 1
    assert driver["pageable"] == 0
    for copies in ("host_to_device", "device_to_host", "device_to_device"):
        assert counted[f"{copies}_bytes"] == driver[f"{copies}_bytes"]
    assert counted["launches"] == driver["kernels"]


def stopped(way: str, deadline_ms: float, provider: str = "cuda-core") -> list[Any]:
    """A search with a deadline, and one without after it."""
    search = Search(Question(1, SearchOptions(max_length=12, beams=3)))
    wanted = search.on_the_cpu()
    with looping(search, way, provider) as (_, _, loop, arrays):
        late = loop.run(arrays, deadline_ms)
        return [late.steps, len(wanted.tokens), differences(loop.run(arrays), wanted)]


def check_deadlines(rig: Rig, way: str, provider: str) -> None:
    """The step that runs when it passes is the last; the stand-in runs nothing before the host asks."""
    steps, all_steps, different = rig.run(stopped, way, 0.0, provider).value
    assert steps == 1 < all_steps
    assert different == []
    steps, all_steps, different = rig.run(stopped, way, 60_000.0, provider).value
    assert steps == all_steps
    assert different == []


@pytest.mark.parametrize("way", WAYS)
def test_a_deadline(way: str, rig: Rig) -> None:
    check_deadlines(rig, way, "cuda-core")


def test_a_deadline_over_pycuda(pycuda: str, rig: Rig) -> None:
    check_deadlines(rig, "launch", pycuda)


def way_of(way: str, provider: str = "cuda-core") -> str:
    with open_device(provider=provider) as device:
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


@pytest.mark.parametrize("way", ["while", "replay"])
def test_pycuda_has_no_graphs(way: str, pycuda: str, rig: Rig) -> None:
    said = rig.run(way_of, way, pycuda).value
    assert said.startswith(f"loop={way!r} cannot be had on stand-in 0")
    assert "it has launch" in said
    assert rig.run(way_of, "auto", pycuda).value == "launch"


def with_each_failure(way: str, provider: str) -> list[Any]:
    """A search for each of its calls, which fails, and one after it: the call, and what came of the two."""
    search = Search(Question(1, SearchOptions(max_length=2, beams=2)))
    wanted = search.on_the_cpu()
    found: list[Any] = []
    with looping(search, way, provider) as (_, _, loop, arrays):
        inside.reset()
        loop.run(arrays)
        for number in range(1, 1 + len(inside.lines(inside.Lines.CALLS))):
            before = len(inside.lines(inside.Lines.CALLS))
            inside.fail_call(number, inside.OUT_OF_MEMORY)
            try:
                said: Any = differences(loop.run(arrays), wanted)
            except BackendError as error:
                said = str(error)
            call = inside.lines(inside.Lines.CALLS)[before + number - 1]
            inside.fail_call(0)
            found.append([call, said, differences(loop.run(arrays), wanted)])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_every_call_of_a_search_fails_once(way: str, rig: Rig) -> None:
    check_each_failure(rig, way, "cuda-core")


@pytest.mark.slow
def test_every_call_of_a_search_over_pycuda_fails_once(pycuda: str, rig: Rig) -> None:
    check_each_failure(rig, "launch", pycuda)


def check_each_failure(rig: Rig, way: str, provider: str) -> None:
    """One exception, and the loop searches on."""
    found = rig.run(with_each_failure, way, provider).value
    assert len(found) >= 8
    for call, said, different in found:
        assert said == [] or "CUDA_ERROR_OUT_OF_MEMORY" in said, (call, said)
        assert different == [], call
    assert any("CUDA_ERROR_OUT_OF_MEMORY" in said for _, said, _ in found)
