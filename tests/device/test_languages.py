"""Languages on a device: the CPU's answers, by the engines that there are, and nothing between steps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import cnnrnn
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.manifest import LanguageSpec
from cnnrnn.core.samples import package_data, pictures_in
from cnnrnn.runtime.device.loop import WAYS
from cnnrnn.runtime.graphs import Graphs
from cnnrnn.runtime.model import Model
from tests.device.host_engines import HostSource
from tests.device.searches import looping
from tests.driver.rig import Rig

# Any words of the shipped bundle: what matters is that each is fed where it was asked for.
SPOKEN = LanguageSpec("en", {"en": 1, "de": 40, "ar": 41})
CODES = ("ar", "en", "de")


class Counting(HostSource):
    """Counts the engines that were asked for."""

    made = 0

    def engine(self, *arguments: Any) -> Any:
        self.made += 1
        return super().engine(*arguments)


def answers(way: str) -> list[Any]:
    """What a model on a device answers, and one on the CPU; and engines made before languages and in all."""
    paths: list[Path] = list(pictures_in(package_data("samples") / "demo")[:3])
    bundle = Bundle.open("emoji")
    spoken = dataclasses.replace(bundle.manifest, languages=SPOKEN)
    with cnnrnn.load(bundle) as plain:
        model = Model(plain._backend, spoken, bundle.tokenizer())  # type: ignore[arg-type]
        wanted = [result.tokens for result in model(paths, language=CODES)]
    source = Counting()
    with looping(Graphs.of(bundle, "fp32"), way, source) as backend:
        Model(backend, bundle.manifest, bundle.tokenizer())(paths)
        before = source.made
        model = Model(backend, spoken, bundle.tokenizer())
        results = model(paths, language=CODES)
        several = [model(paths[0], language=code).hypotheses for code in CODES]
        single = [[one.tokens for one in hypotheses] for hypotheses in several]
        found = [result.tokens for result in results]
    codes = [result.language for result in results]
    return [wanted, found, single, codes, results[0].counters, before, source.made]


@pytest.mark.parametrize("way", WAYS)
def test_it_answers_as_the_cpu_does(way: str, rig: Rig) -> None:
    wanted, found, single, codes, counters, before, _ = rig.run(answers, way).value
    assert found == wanted
    assert single[0][0] == wanted[0]
    assert len(set(map(str, single))) == 3, "all that was considered, since the best may be the same"
    assert codes == list(CODES)
    assert counters == {"host_to_device_bytes": 0, "device_to_host_bytes": 0, "synchronizes": 0}
    assert before > 0


def test_a_batch_in_several_languages_needs_no_other_engine(rig: Rig) -> None:
    *_, before, made = rig.run(answers, WAYS[0]).value
    assert made - before == before  # the single picture's bucket alone
