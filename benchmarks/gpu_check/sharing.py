"""The checks `sharing`: sessions beside each other, on streams of their own, answer as one alone does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import cnnrnn
from benchmarks.gpu_check.loops import differences, engines_here
from benchmarks.gpu_check.notes import FailedError, Notes, Setting
from benchmarks.gpu_check.parity import Answer, answers
from benchmarks.gpu_check.place import driver_reports, model, pictures
from cnnrnn.runtime.result import Result

THREADS = 2
ROUNDS = 25
BATCH = 16


def sessions(setting: Setting, notes: Notes) -> None:
    """Two threads on one model, then on two: one captures graphs while the other searches."""
    backend = engines_here(setting, "launch")
    wanted = answers(setting)[:THREADS]
    images, rounds = pictures(THREADS), min(ROUNDS, setting.repetitions)
    notes.note(backend=backend, threads=THREADS, rounds=rounds)
    with model(setting, backend) as shared:
        problems = _beside(lambda place: _same(shared, images[place], wanted[place], rounds))
        notes.note(one_model=problems or "ok")
        with model(setting, backend, loop="launch") as other:
            both = (shared, other)
            found = _beside(lambda place: _same(both[place], images[place], wanted[place], rounds))
            notes.note(two_models=found or "ok")
    problems += found
    if setting.stand_in:
        problems += driver_reports()
    notes.note(summary=f"{backend}: {THREADS} threads, {rounds} answers each, on one model and on two")
    if problems:
        raise FailedError("; ".join(problems[:4]))


def streams(setting: Setting, notes: Notes) -> None:
    """Two batches whose searches are on two streams at once, beside the same one after the other."""
    backend = engines_here(setting, "launch")
    wanted = answers(setting)
    images = pictures(len(wanted))
    images, wanted = (images * BATCH)[: 2 * BATCH], (wanted * BATCH)[: 2 * BATCH]
    notes.note(backend=backend, pictures=len(images))
    with model(setting, backend) as captioner:
        captioner(images)
        one_by_one, serial_ms = _timed(lambda: [*captioner(images[:BATCH]), *captioner(images[BATCH:])])
        together, overlapped_ms = _timed(lambda: captioner(images))
    notes.note(serial_ms=serial_ms, overlapped_ms=overlapped_ms)
    notes.note(
        summary=f"{backend}: two batches of {BATCH}, {serial_ms:.1f} ms one by one, {overlapped_ms:.1f} ms "
        "overlapped, reading the pictures included"
    )
    problems = differences(one_by_one, wanted) + differences(together, wanted)
    if setting.stand_in:
        problems += driver_reports()
    if problems:
        raise FailedError("; ".join(problems[:4]))


def _same(captioner: cnnrnn.Model, image: str, wanted: Answer, rounds: int) -> list[str]:
    """What was wrong in so many answers."""
    return [line for _ in range(rounds) for line in differences([captioner(image)], [wanted])]


def _beside(work: Callable[[int], list[str]]) -> list[str]:
    """Let threads begin at the same time; what was wrong, an exception included."""
    barrier, found = threading.Barrier(THREADS), list[str]()

    def run(place: int) -> None:
        barrier.wait()
        try:
            found.extend(work(place))
        except Exception as error:
            found.append(f"thread {place}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(place,)) for place in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _timed(work: Callable[[], Any]) -> tuple[list[Result], float]:
    started = time.perf_counter()
    results = work()
    return results, round((time.perf_counter() - started) * 1e3, 3)
