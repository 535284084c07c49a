"""Settings that take turns over the same pictures, so that a machine whose speed drifts is fair to all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cnnrnn.bench.counting import Cost, count
from cnnrnn.bench.energy import Meter
from cnnrnn.bench.floor import Rates, measure_rates
from cnnrnn.bench.neighbours import Counters, shares
from cnnrnn.bench.summary import Summary, doubts, summarise
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import OptionsError
from cnnrnn.runtime.loading import load
from cnnrnn.runtime.model import MAX_BATCH, Model
from cnnrnn.runtime.ort_cpu import NAME as ORT_CPU
from cnnrnn.runtime.threads import physical_cores

STAGES = ("decode", "preprocess", "encoder", "step", "select", "backtrace", "total")
OWN_STAGES = ("decode", "preprocess")
LEAST_REPETITIONS = 3


@dataclass(frozen=True)
class Setting:
    """One way to run a bundle.

    Attributes:
        precision: one that the bundle has.
        backend: what runs the graphs.
        threads: of ``ort-cpu``; None elsewhere.
        batch: pictures at once.
        beams: the beam width.
        steps: every answer is made this long, so that settings do the same work; None lets them end.
    """

    precision: str
    backend: str = ORT_CPU
    threads: int | None = None
    batch: int = 1
    beams: int = 5
    steps: int | None = None

    def keywords(self) -> dict[str, Any]:
        """Of a model's call."""
        length = {} if self.steps is None else {"min_length": self.steps, "max_length": self.steps}
        return {"beams": self.beams, **length}

    def __str__(self) -> str:
        parts = [self.precision, self.backend if self.backend != ORT_CPU else "", f"beam {self.beams}"]
        parts += [
            f"{self.threads} thread{'s' * (self.threads > 1)}" if self.threads else "",
            f"batch {self.batch}",
        ]
        parts += [f"{self.steps} steps" if self.steps else ""]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        settings: the first one is the one that the others vary.
        repetitions: answers of each setting that count.
        warm_up: answers of each before these.
        seconds: the turns end after this time, if `LEAST_REPETITIONS` of each are there; None never.
    """

    settings: tuple[Setting, ...]
    repetitions: int = 100
    warm_up: int = 3
    seconds: float | None = 30.0

    def __post_init__(self) -> None:
        if not self.settings:
            raise OptionsError("there is no setting to measure; give one at least")
        if len(set(self.settings)) < len(self.settings):
            raise OptionsError("a setting is there twice; leave one of them out")
        if self.repetitions < LEAST_REPETITIONS:
            raise OptionsError(
                f"repetitions={self.repetitions}; give {LEAST_REPETITIONS} or more, 30 or more for a p99"
            )
        if self.warm_up < 1:
            raise OptionsError(
                f"warm_up={self.warm_up}; give 1 or more: the first answer makes the graphs ready"
            )
        for setting in self.settings:
            if not 1 <= setting.batch <= MAX_BATCH:
                raise OptionsError(f"batch={setting.batch}; give 1 to {MAX_BATCH}, which go through together")


@dataclass
class Timed:
    """What a setting took.

    Attributes:
        stages_ms: by stage the milliseconds of each call, of the whole batch.
        steps: of each call, those of its longest answer.
        floors_ms: the least that a stage can take, where that is known.
    """

    setting: Setting
    stages_ms: dict[str, list[float]] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)
    floors_ms: dict[str, float] = field(default_factory=dict)

    def summaries(self) -> dict[str, Summary]:
        """Of each stage."""
        return {stage: summarise(self.stages_ms[stage]) for stage in STAGES if stage in self.stages_ms}

    @property
    def pictures_per_s(self) -> float:
        """Throughput, as MLPerf's offline scenario has it: of all the calls together."""
        total_ms = self.stages_ms["total"]
        return 1000 * self.setting.batch * len(total_ms) / sum(total_ms)


@dataclass
class Bench:
    """What was measured.

    Attributes:
        bundle: its name.
        timed: by setting, in the plan's order.
        costs: of each precision's graphs, with the first setting's beams.
        rates: of the machine, by number of threads.
        foreign, stolen: shares of the processors that others had meanwhile; None where unknown.
        joules: energy that the turns took, by counter; of all settings together.
        seconds: that the turns took.
    """

    bundle: str
    timed: list[Timed]
    costs: dict[str, dict[str, Cost]] = field(default_factory=dict)
    rates: dict[int, Rates] = field(default_factory=dict)
    foreign: float | None = None
    stolen: float | None = None
    joules: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def doubts(self) -> list[str]:
        """Why the run is too noisy to trust, by the first setting's answers."""
        return doubts(summarise(self.timed[0].stages_ms["total"]), self.foreign, self.stolen)

    def to_dict(self) -> dict[str, Any]:
        """The part of the report that was measured."""
        return {
            "settings": [_result(timed) for timed in self.timed],
            "costs": {
                precision: {stage: cost.to_dict() for stage, cost in stages.items()}
                for precision, stages in self.costs.items()
            },
            "machine_at_best": [rates.to_dict() for rates in self.rates.values()],
            "other_processes": self.foreign,
            "hypervisor": self.stolen,
            "joules": {name: round(value, 3) for name, value in self.joules.items()},
            "seconds": round(self.seconds, 2),
            "noisy": self.doubts(),
        }


def _result(timed: Timed) -> dict[str, Any]:
    stages = {name: summary.to_dict() for name, summary in timed.summaries().items()}
    for name, floor in timed.floors_ms.items():
        stages[name]["floor_ms"] = round(floor, 4)
        stages[name]["over_floor"] = round(stages[name]["p50_ms"] / floor, 3) if floor else None
    return {
        "setting": asdict(timed.setting),
        "stages": stages,
        "steps": {
            "least": min(timed.steps),
            "most": max(timed.steps),
            "mean": sum(timed.steps) / len(timed.steps),
        },
        "pictures_per_s": round(timed.pictures_per_s, 2),
    }


def measure(
    bundle: str | Path | Bundle,
    pictures: Sequence[bytes],
    plan: Plan,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Bench:
    """Measure every setting of the plan over the same pictures, in turns: A B C A B C.

    Args:
        bundle: a folder, a shipped bundle's name, or one that is open.
        pictures: encoded files, taken one after the other, again and again.
        plan: what is measured.
        on_progress: called with the turns that are done.

    Raises:
        OptionsError: there is no picture, or a setting that the bundle or the search refuses.
        CnnrnnError: as `cnnrnn.load` and the model raise them.
    """
    if not pictures:
        raise OptionsError("there is no picture to measure with; give one at least")
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(Path(bundle))
    bench = Bench(opened.manifest.name, [Timed(setting) for setting in plan.settings])
    asked = opened.manifest.question
    about = {} if asked is None else {"question": asked.examples[0]}
    _count(bench, opened, pictures[0], about)
    with ExitStack() as stack:
        models = _models(stack, opened, plan.settings)
        _turns(bench, models, pictures, plan, about, on_progress)
    _add_floors(bench)
    return bench


def _models(stack: ExitStack, bundle: Bundle, settings: Sequence[Setting]) -> dict[Setting, Model]:
    """A model for each setting; those that differ in the search alone share one."""
    made: dict[tuple[str, str, int | None], Model] = {}
    for setting in settings:
        key = setting.backend, setting.precision, setting.threads
        if key not in made:
            backend, precision, threads = key
            made[key] = stack.enter_context(
                load(bundle, backend=backend, precision=precision, threads=threads)
            )
    return {setting: made[setting.backend, setting.precision, setting.threads] for setting in settings}


def _turns(
    bench: Bench,
    models: dict[Setting, Model],
    pictures: Sequence[bytes],
    plan: Plan,
    about: dict[str, Any],
    on_progress: Callable[[int], None],
) -> None:
    meter = Meter()
    before = Counters.read()
    began = time.perf_counter()
    for turn in range(-plan.warm_up, plan.repetitions):
        if turn == 0:
            before, began = Counters.read(), time.perf_counter()
            meter.start()
        passed = time.perf_counter() - began
        if turn >= LEAST_REPETITIONS and plan.seconds is not None and passed > plan.seconds:
            break
        for timed in bench.timed:
            batch = [pictures[(turn + place) % len(pictures)] for place in range(timed.setting.batch)]
            _answer(timed, models[timed.setting], batch, about, counts=turn >= 0)
        on_progress(max(turn + 1, 0))
    bench.seconds = time.perf_counter() - began
    bench.joules = meter.stop()
    bench.foreign, bench.stolen = shares(before, Counters.read())


def _answer(timed: Timed, model: Model, batch: list[bytes], about: dict[str, Any], *, counts: bool) -> None:
    started = time.perf_counter()
    answers = model(batch, **timed.setting.keywords(), **about)
    total_ms = 1000 * (time.perf_counter() - started)
    if not counts:
        return
    for stage in STAGES[:-1]:
        taken = [answer.timings_ms[stage] for answer in answers if stage in answer.timings_ms]
        if taken:  # the first two are each picture's own, the others those of the batch so far
            timed.stages_ms.setdefault(stage, []).append(sum(taken) if stage in OWN_STAGES else taken[-1])
    timed.stages_ms.setdefault("total", []).append(total_ms)
    timed.steps.append(answers[0].steps)


def _count(bench: Bench, bundle: Bundle, picture: bytes, about: dict[str, Any]) -> None:
    """The costs of the graphs with the first setting's beams, and the machine's rates."""
    first = bench.timed[0].setting
    on_processor = [timed for timed in bench.timed if timed.setting.backend == ORT_CPU]
    for timed in on_processor:
        setting = timed.setting
        threads = setting.threads or physical_cores()
        if setting.precision not in bench.costs:
            bench.costs[setting.precision] = count(
                bundle, setting.precision, threads, lambda model: model(picture, beams=first.beams, **about)
            )
    sizes = [cost.weight_bytes for stages in bench.costs.values() for cost in stages.values()]
    for threads in sorted({timed.setting.threads or physical_cores() for timed in on_processor}):
        bench.rates[threads] = measure_rates(threads, sizes)


def _add_floors(bench: Bench) -> None:
    """The least that the encoder and the steps can take, where the setting's costs are known."""
    first = bench.timed[0].setting
    for timed in bench.timed:
        setting = timed.setting
        if setting.backend != ORT_CPU or setting.beams != first.beams:
            continue
        rates = bench.rates[setting.threads or physical_cores()]
        costs = bench.costs[setting.precision]
        steps = sum(timed.steps) / len(timed.steps)
        timed.floors_ms["encoder"] = rates.floor_ms(costs["encoder"], setting.batch)
        timed.floors_ms["step"] = steps * rates.floor_ms(costs["step"], setting.batch)
