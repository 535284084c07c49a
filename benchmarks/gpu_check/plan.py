"""The checks of a run, in order: what everything else needs first, speed last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.notes import Setting
from benchmarks.gpu_check.outcome import Check
from benchmarks.gpu_check.place import BACKENDS, BUNDLE, ENGINES, missing, missing_for, missing_provider
from cnnrnn.core.bundle import Bundle
from cnnrnn.runtime.device.loop import WAYS

_HERE = "benchmarks.gpu_check"
# Beyond the time that a check keeps to by itself: it starts, and ends what it is at, which with TensorRT may
# be the building of an engine.
_GRACE_S, _BUILDING_S = 25.0, 60.0
# What is timed is not begun with less time left.
_LEAST_S = 40.0

# Over the stand-in driver all doubles compute the same.
_TRIED = (("tensorrt-rtx", "fp32"), ("tensorrt-rtx", "fp16"))
_ALIKE = "the doubles compute as those of the other checks 'parity' do, over the stand-in driver"

# What the checks of a group need of others, by name or group.
_ENGINES = ("parity reference", "engine")
_NEEDED: dict[str, tuple[str, ...]] = {
    "provider": (),
    "captioner": (),
    "peer": ("captioner",),
    "engine": ("parity reference",),
    "speed": (*_ENGINES, "captioner"),
}

DEVICES = Check(
    "devices",
    "devices",
    f"{_HERE}.devices:devices",
    limit_s=30,
    proves="There is a GPU, and its driver answers.",
)


def plan(setting: Setting, only: Sequence[str] = ()) -> list[Check]:
    """All checks but `DEVICES`.

    Args:
        only: names or groups, which bring what they need; all by default.
    """
    checks = [*_correct(setting), *_robust(setting), *_fast(setting)]
    if not only:
        return checks
    wanted = {check.name for check in checks if check.name in only or check.group in only}
    needed = {name for check in checks if check.name in wanted for name in _NEEDED.get(check.group, _ENGINES)}
    return [check for check in checks if check.name in wanted or {check.name, check.group} & needed]


def _check(group: str, name: str, function: str, limit_s: float, proves: str, **more: Any) -> Check:
    reasons = {key: more.pop(key, "") for key in ("missing", "skipped")}
    full = f"{group} {name}" if name else group
    least_s = _LEAST_S if "within_s" in more else 0.0
    return Check(full, group, f"{_HERE}.{function}", more, limit_s, proves, **reasons, least_s=least_s)


def _lacks(setting: Setting, backend: str) -> str:
    """Over the stand-in driver every backend has a double."""
    return "" if setting.stand_in else missing_for(backend)


def _correct(setting: Setting) -> Iterator[Check]:
    for provider in ("cuda-core", "pycuda"):
        yield _check(
            "provider", provider, "providers:provider", 30,
            "Memory, copies, kernels, events, graphs and loops in them work through it.",
            provider=provider, missing=missing_provider(setting, provider),
        )  # fmt: skip
    yield _check(
        "parity", "reference", "parity:reference", 60, "The CPU answers: what all others are compared with."
    )
    for backend in BACKENDS:
        yield _check(
            "engine", backend, "engines:engine", 75,
            "It makes engines for this architecture, and they run on it.",
            backend=backend, missing=_lacks(setting, backend),
        )  # fmt: skip
    for precision in Bundle.open(Path(BUNDLE)).manifest.precisions:
        for backend in BACKENDS:
            yield _check(
                "parity", f"{backend} {precision}", "parity:parity", 75,
                "At least 99.5 % of its captions are those of the CPU in fp32; ties are counted apart.",
                backend=backend, precision=precision, missing=_lacks(setting, backend),
                skipped=_ALIKE if setting.stand_in and (backend, precision) not in _TRIED else "",
            )  # fmt: skip
    for way in WAYS:
        yield _check(
            "loops", way, "loops:loops", 45,
            "The CPU's answers, in this way; from the first step to the last no byte crosses between host "
            "and device, and the host waits for nothing.",
            way=way, missing=_lacks_engines(setting, way),
        )  # fmt: skip
    yield _check(
        "loops", "launch ort-cuda", "loops:loop", 45,
        "The same with ONNX Runtime's engines.",
        way="launch", backend="ort-cuda", missing=_lacks(setting, "ort-cuda"),
    )  # fmt: skip


def _lacks_engines(setting: Setting, way: str = "launch") -> str:
    """Nothing, where one of the backends is there that can loop in this way."""
    lacks = [_lacks(setting, backend) for backend in (BACKENDS if way == "launch" else ENGINES)]
    return "; ".join(dict.fromkeys(lacks)) if all(lacks) else ""


def _robust(setting: Setting) -> Iterator[Check]:
    for way in WAYS:
        yield _check(
            "trace", way, "trace:trace", 45,
            "In a profiler's trace nothing is copied from the first step to the last.",
            way=way, missing=_lacks_engines(setting, way),
        )  # fmt: skip
    yield _check(
        "pycuda", "", "loops:pycuda", 45,
        "The CPU's answers through pycuda, by plain launches; nothing crosses between the steps.",
        missing=missing_provider(setting, "pycuda") or _lacks_engines(setting),
    )  # fmt: skip
    yield _check(
        "frames", "", "frames:frames", 45,
        "A frame in device memory, of any library, is captioned where it is.",
        missing=_lacks_engines(setting),
    )  # fmt: skip
    yield _check(
        "questions", "", "questions:questions", 60,
        "Answers to questions are the CPU's; several about one picture look at it once.",
        missing=_lacks_engines(setting),
    )  # fmt: skip
    for name, function, proves in (
        ("sharing sessions", "sharing:sessions", "Two threads, and two models, answer as one alone."),
        ("sharing streams", "sharing:streams", "Two searches at once, on two streams, answer as one alone."),
        ("failures memory", "failures:memory", "Without memory there is an error, and afterwards answers."),
        ("failures engine", "failures:engine", "A damaged engine is never loaded; it is built again."),
    ):
        group, _, short = name.partition(" ")
        way = "while" if name == "failures engine" else "launch"
        yield _check(group, short, function, 75, proves, missing=_lacks_engines(setting, way))


def _fast(setting: Setting) -> Iterator[Check]:
    """fp16 before fp32, and of each ours before the peers."""
    only_tried = "over the stand-in driver nothing is timed" if setting.stand_in else ""
    yield _check(
        "captioner", "", "captioner:captioner", 170,
        "ResNet-50 and an attention LSTM, V 10,000, H 512, are there as a bundle and for PyTorch.",
        skipped=only_tried,
    )  # fmt: skip
    for precision, seconds in (("fp16", 90.0), ("fp32", 45.0)):
        for backend in ENGINES:
            yield _speed(setting, backend, precision, seconds, only_tried)
        yield _peer(setting, "eager", precision, seconds / 2, only_tried)
        yield _speed(setting, "ort-cuda", precision, seconds / 2, only_tried)
        yield _peer(setting, "graphs", precision, seconds / 2, only_tried)
        if precision == "fp16":
            yield _peer(setting, "compiled", precision, 75.0, only_tried)


def _speed(setting: Setting, backend: str, precision: str, within_s: float, only_tried: str) -> Check:
    tried = (backend, precision) == ("tensorrt-rtx", "fp16")
    return _check(
        "speed", f"{backend} {precision}", "speed:speed",
        within_s + (_BUILDING_S if backend == "tensorrt" else _GRACE_S),
        "Percentiles of each stage, greedy and with 5 and 10 beams, for 1, 4 and 16 pictures.",
        backend=backend, precision=precision, within_s=within_s,
        missing=_lacks(setting, backend), skipped="" if tried else only_tried,
    )  # fmt: skip


def _peer(setting: Setting, variant: str, precision: str, within_s: float, only_tried: str) -> Check:
    return _check(
        "peer", f"{variant} {precision}", "peers:peer", within_s + _GRACE_S,
        "The same of PyTorch's beam search, over the same weights and pictures.",
        variant=variant, precision=precision, within_s=within_s,
        missing="" if only_tried else missing("torch", "torchvision"), skipped=only_tried,
    )  # fmt: skip
