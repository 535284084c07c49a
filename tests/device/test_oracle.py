"""The cases that the search is compared with others' in (`tests.search`), in all three ways of looping.

All that the search leaves behind is what it leaves when it is run step by step on the CPU.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.device.loop import WAYS
from tests.device.oracle import cpu_history, device_history, on_a_device
from tests.device.searches import ROUNDING, differences
from tests.driver.rig import Rig
from tests.search.cases import MIXED, case
from tests.search.hashed_model import END, hashed_model

ALL = MIXED + 100
# So many at a time, of one process; the first of them and those that have everything run with all tests.
AT_ONCE = 25
SAMPLE = (0, MIXED)
GROUPS = Path(__file__).parents[1] / "search" / "group_goldens.json"


def compared(models: Any, vocabulary: int, ends: Any, options: SearchOptions, way: str) -> list[str]:
    wanted = cpu_history(models, vocabulary, ends, options)
    with on_a_device(models, vocabulary, ends, way) as backend:
        return differences(device_history(backend, len(models), ends, options), wanted, ROUNDING)


def of_transformers(first: int, way: str) -> dict[str, Any]:
    found = {}
    for number in range(first, min(first + AT_ONCE, ALL)):
        case_ = case(number)
        different = compared(case_.models, case_.vocabulary, case_.ends, case_.options, way)
        if different:
            found[str(case_)] = different
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "first",
    [
        pytest.param(first, marks=[] if first in SAMPLE else [pytest.mark.oracle])
        for first in range(0, ALL, AT_ONCE)
    ],
)
def test_the_cases_that_transformers_has(first: int, way: str, rig: Rig) -> None:
    assert rig.run(of_transformers, first, way).value == {}


def of_groups(way: str, stride: int) -> dict[str, Any]:
    found = {}
    for golden in json.loads(GROUPS.read_text(encoding="utf-8"))["cases"][::stride]:
        vocabulary, spread, bonus = golden["model"]
        models = [hashed_model(seed, vocabulary, spread, bonus) for seed in golden["seeds"]]
        options = SearchOptions(**golden["options"], n_best=golden["options"]["beams"])
        different = compared(models, vocabulary, (END,), options, way)
        if different:
            found[str(options)] = different
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.oracle)])
def test_groups_of_beams(way: str, stride: int, rig: Rig) -> None:
    assert rig.run(of_groups, way, stride).value == {}


OTHERS: dict[str, dict[str, Any]] = {
    "coverage": {"beams": 4, "coverage_penalty": 0.5},
    "gnmt": {"beams": 3, "length_penalty_type": "gnmt", "length_penalty": 0.8},
    "drawn": {"beams": 4, "do_sample": True, "seed": 11, "temperature": 1.4},
    "nucleus": {"beams": 4, "do_sample": True, "seed": 3, "top_k": 9, "top_p": 0.8, "min_p": 0.02},
    "drawn with everything": {
        "beams": 3,
        "do_sample": True,
        "seed": 5,
        "repetition_penalty": 1.2,
        "no_repeat_ngram_size": 2,
        "suppress_tokens": (7, 9),
    },
    "32 beams": {"beams": 32},
    "a long one": {"beams": 2, "max_length": 39, "min_length": 39},
}


def of_others(way: str) -> dict[str, Any]:
    found = {}
    for name, options in OTHERS.items():
        models = [hashed_model(seed, 23) for seed in (1, 2, 3)]
        chosen: dict[str, Any] = {"max_length": 9, "n_best": options["beams"]} | options
        different = compared(models, 23, (END,), SearchOptions(**chosen), way)
        if different:
            found[name] = different
    return found


@pytest.mark.parametrize("way", WAYS)
def test_what_transformers_does_not_have(way: str, rig: Rig) -> None:
    assert rig.run(of_others, way).value == {}
