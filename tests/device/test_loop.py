"""The loop on a device, in three ways: the same search as on the CPU, and nothing crosses between steps."""

from __future__ import annotations

from typing import Any

import pytest

from cnnrnn.core.errors import CnnrnnError
from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.device import open_device
from cnnrnn.runtime.device.loop import WAYS, choose
from tests.device.searches import Question, Searched, differences, looping
from tests.driver import inside
from tests.driver.rig import Rig

OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {"beams": 1},
    "five beams": {"beams": 5},
    "short": {"beams": 3, "max_length": 3},
    "one step": {"beams": 2, "max_length": 1},
    "groups": {"beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    "no repeats": {"beams": 3, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
    "covering": {"beams": 3, "coverage_penalty": 0.4},
    "drawn": {"beams": 2, "do_sample": True, "seed": 7, "temperature": 1.2},
}


def searches(way: str, pictures: int, options: dict[str, Any], provider: str = "cuda-core") -> list[Any]:
    """The same search twice in the same buffers; what differs, and the counters of the second."""
    chosen: dict[str, Any] = {"max_length": 12} | options
    searched = Searched(Question(pictures, SearchOptions(**chosen)))
    wanted = searched.on_the_cpu()
    with looping(searched.graphs, way, provider=provider) as backend:
        first = searched.on(backend)
        inside.reset()
        second = searched.on(backend)
        driver = inside.counts()
        assert second.device is not None
        different = differences(first, wanted) + differences(second, wanted)
        trace = second.device
        return [different, trace.loop, trace.crossed, trace.counters.to_dict(), driver]


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("way", WAYS)
def test_it_searches_as_the_cpu_does(way: str, name: str, rig: Rig) -> None:
    outcome = rig.run(searches, way, 2, OPTIONS[name])
    different, used, crossed, counted, driver = outcome.value
    assert different == []
    assert used == way
    assert crossed == {"host_to_device_bytes": 0, "device_to_host_bytes": 0, "synchronizes": 0}
    assert counted["synchronizes"] == driver["synchronizes"] == 1
    assert driver["pageable"] == 0
    assert counted["host_to_device_bytes"] == driver["host_to_device_bytes"]
    # The picture, three groups of tensors and the limit of steps; the history.
    assert (driver["host_to_device"], driver["device_to_host"], driver["device_to_device"]) == (5, 1, 0)
    if way == "while":  # the encoder, and the loop
        assert driver["graph_launches"] == 2


@pytest.mark.parametrize("pictures", [1, 3, 8])
def test_batches(pictures: int, rig: Rig) -> None:
    """Of three a bucket of four is filled."""
    assert rig.run(searches, "while", pictures, {"beams": 5}).value[0] == []


def stopped(way: str, deadline_ms: float, provider: str = "cuda-core") -> list[Any]:
    """A search with a deadline, and one without after it."""
    searched = Searched(Question(1, SearchOptions(max_length=12, beams=3)))
    wanted = searched.on_the_cpu()
    with looping(searched.graphs, way, provider=provider) as backend:
        late = searched.on(backend, deadline_ms)
        return [len(late.tokens), len(wanted.tokens), differences(searched.on(backend), wanted)]


def check_deadlines(rig: Rig, way: str, provider: str) -> None:
    """The step that runs when it passes is the last; the stand-in runs nothing before the host asks."""
    steps, all_steps, different = rig.run(stopped, way, 0.001, provider).value
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


def way_of(way: str, captures: bool, provider: str = "cuda-core") -> str:
    with open_device(provider=provider) as device:
        try:
            return choose(device, way, captures=captures)
        except CnnrnnError as error:
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
            "loop='while' cannot be had on stand-in 0 with a driver of CUDA 12.2; there is launch",
        ),
        ("13000", "best", "loop='best' is unknown; give 'auto', 'while', 'replay', 'launch'"),
    ],
)
def test_the_way_is_what_the_driver_can(driver: str, way: str, used: str, rig: Rig) -> None:
    assert rig.run(way_of, way, True, STANDIN_DRIVER_VERSION=driver).value.startswith(used)


def test_the_way_is_what_the_engines_can(rig: Rig) -> None:
    assert rig.run(way_of, "auto", False).value == "launch"
    said = rig.run(way_of, "replay", False).value
    assert said.startswith("loop='replay' cannot be had with these engines; there is launch")


@pytest.mark.parametrize("name", OPTIONS)
def test_it_searches_over_pycuda_too(name: str, pycuda: str, rig: Rig) -> None:
    different, used, crossed, counted, driver = rig.run(searches, "auto", 2, OPTIONS[name], pycuda).value
    assert different == []
    assert used == "launch"
    assert crossed == {"host_to_device_bytes": 0, "device_to_host_bytes": 0, "synchronizes": 0}
    assert counted["synchronizes"] == driver["synchronizes"] == 1
    assert driver["pageable"] == 0
    for copies in ("host_to_device", "device_to_host", "device_to_device"):
        assert counted[f"{copies}_bytes"] == driver[f"{copies}_bytes"]
    assert counted["launches"] == driver["kernels"]


def test_pycuda_has_no_graphs(pycuda: str, rig: Rig) -> None:
    assert rig.run(way_of, "auto", True, pycuda).value == "launch"
    for way in ("while", "replay"):
        said = rig.run(way_of, way, True, pycuda).value
        assert said.startswith(f"loop={way!r} cannot be had on stand-in 0")
        assert "there is launch" in said
