"""The checks `speed`: milliseconds by stage of the captioner that is timed, by backend and precision."""

from __future__ import annotations

import time
from pathlib import Path

import cnnrnn
from benchmarks.gpu_check.captioner import BATCHES, BEAMS, COMPARED, STEPS, fitted, same_tokens
from benchmarks.gpu_check.notes import Notes, Setting, SkippedError
from benchmarks.gpu_check.place import BUNDLE, model
from benchmarks.gpu_check.stopwatch import Deadline, repeated, sizes

# Of one setting, beside making its engines.
MOST_S = 6.0
# An engine of a size takes about so long to build; less than this is no time to begin one.
LEAST_S = 12.0
STAGES = ("encoder", "search", "backtrace")


def speed(setting: Setting, notes: Notes, *, backend: str, precision: str, within_s: float) -> None:
    """All sizes, the most important first, for as long as there is time."""
    bundle, batches = _what(setting)
    if setting.stand_in:
        notes.note(times_are_meaningless=True)
    if f"engine {backend}" not in setting.good:
        raise SkippedError(f"{backend} did not run here: see the check 'engine {backend}'")
    deadline = Deadline(within_s)
    times: dict[str, object] = {}
    left_out: list[str] = []
    notes.note(backend=backend, precision=precision, steps=STEPS, times=times, not_measured=left_out)
    with model(setting, backend, bundle=bundle, precision=precision) as captioner:
        images = list(fitted(captioner.manifest.image, max(COMPARED, *batches)))
        for batch, beams in sizes(batches, BEAMS):
            name = f"batch {batch} beam {beams}"
            if deadline.left_s < LEAST_S:
                left_out.append(name)
                continue
            times[name] = _measured(captioner, images[:batch], beams, setting.repetitions)
            notes.note(times=times, loop=_loop(captioner, images[0], beams))
        if bundle != BUNDLE and deadline.left_s > 0:
            answers = [
                captioner(image, beams=5, color="rgb", max_length=STEPS) for image in images[:COMPARED]
            ]
            notes.note(as_cpu_fp32=same_tokens(setting, 5, [answer.tokens for answer in answers]))
    if not times:
        raise SkippedError(f"in {within_s:.0f} s nothing could be measured")
    said = summary(times, left_out, notes.facts.get("as_cpu_fp32", ""))
    notes.note(not_measured=left_out, summary=f"meaningless: {said}" if setting.stand_in else said)


def summary(times: dict[str, object], left_out: list[str], same: str) -> str:
    """Medians of one picture, for the table."""
    parts = []
    for name, stages in times.items():
        assert isinstance(stages, dict)
        if name.startswith("batch 1 "):
            medians = ", ".join(f"{stage} {found['p50']:.2f}" for stage, found in stages.items())
            parts.append(f"{name.removeprefix('batch 1 ')}: {medians}")
    told = f"; tokens {same} the CPU's fp32" if same else ""
    rest = f"; not measured: {', '.join(left_out)}" if left_out else ""
    return f"ms of one picture (medians), {'; '.join(parts)}{told}{rest}"


def _what(setting: Setting) -> tuple[str | Path, tuple[int, ...]]:
    """The bundle, and the batches; over the stand-in driver it is only tried out."""
    if setting.stand_in:
        return BUNDLE, (1,)
    if "captioner" not in setting.good:
        raise SkippedError("there is no captioner to time: see the check 'captioner'")
    return setting.captioner / "bundle", BATCHES


def _measured(captioner: cnnrnn.Model, images: list[object], beams: int, repetitions: int) -> object:
    """A batch's stages: encoder and search by the device's own events, the rest by the host's clock."""

    def once() -> dict[str, float]:
        started = time.perf_counter()
        results = captioner(images, beams=beams, color="rgb", max_length=STEPS)
        wall_ms = (time.perf_counter() - started) * 1e3
        found = {stage: results[0].timings_ms[stage] for stage in STAGES}
        return {**found, "answer": wall_ms}

    return repeated(once, repetitions, MOST_S)


def _loop(captioner: cnnrnn.Model, image: object, beams: int) -> str | None:
    result = captioner(image, beams=beams, color="rgb", max_length=STEPS)  # type: ignore[call-overload]
    loop: str | None = result.loop
    return loop
