"""The checks `loops`: each way of looping gives the CPU's answers, and nothing crosses between its steps."""

from __future__ import annotations

import cnnrnn
from benchmarks.gpu_check.notes import FailedError, Notes, Setting, SkippedError
from benchmarks.gpu_check.parity import Answer, answers
from benchmarks.gpu_check.place import ENGINES, driver_counts, driver_reports, forget, model, pictures
from benchmarks.gpu_check.report import COUNTERS
from cnnrnn.runtime.result import Result

# As many as go through the graphs together: the checks of parity have made engines of that size.
BATCH = 16
# So short that it has passed when the first step is launched.
DEADLINE_MS = 1e-3


def loops(setting: Setting, notes: Notes, *, way: str) -> None:
    """One way of looping, over the first engines that run here."""
    loop(setting, notes, way=way, backend=engines_here(setting, way))


def engines_here(setting: Setting, way: str) -> str:
    """The first backend whose engines ran here and can be run in this way.

    Raises:
        SkippedError: there is none.
    """
    for backend in ENGINES:
        if f"engine {backend}" in setting.good:
            return backend
    if way == "launch" and "engine ort-cuda" in setting.good:
        return "ort-cuda"
    others = " or ONNX Runtime" if way == "launch" else ", since no others are captured"
    raise SkippedError(
        f"it needs engines of TensorRT-RTX or TensorRT{others}, and none of them ran here: see the checks "
        "'engine'"
    )


def pycuda(setting: Setting, notes: Notes) -> None:
    """The best way that pycuda has, which captures nothing: plain launches."""
    loop(
        setting, notes, way="launch", backend=engines_here(setting, "launch"), asked="auto", provider="pycuda"
    )


def loop(
    setting: Setting, notes: Notes, *, way: str, backend: str, asked: str = "", provider: str = "auto"
) -> None:
    """One picture, several pictures, a deadline, and a stream of tokens.

    Args:
        way: that it has to be; ``asked``: the one to ask for, if another.
    """
    notes.note(backend=backend, provider=provider)
    wanted = answers(setting)[:BATCH]
    images = pictures(len(wanted))
    with model(setting, backend, loop=asked or way, provider=provider) as captioner:
        captioner(images[0])
        if setting.stand_in:
            forget()
        one = captioner(images[0])
        notes.note(loop=one.loop, steps=one.steps, counters=one.counters)
        if setting.stand_in:
            notes.note(driver=driver_counts())
        several = captioner(images)
        late = captioner(images[0], deadline_ms=DEADLINE_MS)
        streamed = _streamed(captioner, images[0])
    problems = [
        *differences([one], wanted[:1]),
        *differences(several, wanted),
        *(f"the loop was {result.loop}" for result in (one, *several) if result.loop != way),
        *_crossed(one.counters),
        *(line for result in several for line in _crossed(result.counters)),
    ]
    if late.steps >= one.steps > 1:
        problems.append(f"a deadline of {DEADLINE_MS} ms did not end the search: {late.steps} steps")
    if streamed != (one.text, one.tokens):
        problems.append(f"the stream's pieces are {streamed[0]!r}, the answer is {one.text!r}")
    if setting.stand_in:
        problems += driver_reports()
    nothing = ", ".join(f"{name} {(one.counters or {}).get(name)}" for name in COUNTERS)
    notes.note(summary=f"{backend}, {one.steps} steps: {nothing}")
    if problems:
        raise FailedError("; ".join(problems))


def differences(results: list[Result], wanted: list[Answer]) -> list[str]:
    """Where the answers are not the CPU's, a sentence each."""
    pairs = zip(results, wanted, strict=True)
    return [
        f"a batch of {len(wanted)} says {result.text!r} of picture {place}, the CPU {answer.text!r}"
        for place, (result, answer) in enumerate(pairs)
        if result.tokens != answer.tokens
    ]


def _crossed(counters: dict[str, int] | None) -> list[str]:
    if counters is None:
        return ["the answer has no counters"]
    return [f"{name} between the steps is {counters[name]}" for name in COUNTERS if counters[name]]


def _streamed(captioner: cnnrnn.Model, image: str) -> tuple[str, tuple[int, ...]]:
    """The pieces of a stream, joined."""
    stream = captioner.stream(image)
    pieces = list(stream)
    tokens = tuple(token for piece in pieces for token in piece.tokens)
    return "".join(piece.text for piece in pieces), tokens
