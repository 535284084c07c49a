"""How far a build is, and stopping it."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from cnnrnn.runtime.engine.progress import Watch, stopped_by_ctrl_c


def test_phases_inside_phases_add_up() -> None:
    seen: list[tuple[float, str]] = []
    watch = Watch(lambda share, phase: seen.append((share, phase)))
    watch.start("build", None, 2)
    watch.start("search", "build", 4)
    assert watch.step("search", 0)
    assert watch.step("search", 1)
    watch.finish("search")
    assert watch.step("build", 0)
    watch.start("write", "build", 1)
    assert watch.step("write", 0)
    assert seen == [(0.125, "search"), (0.25, "search"), (0.5, "build"), (1.0, "write")]
    watch.reraise()


def test_it_never_goes_back() -> None:
    seen: list[float] = []
    watch = Watch(lambda share, phase: seen.append(share))
    watch.start("one", None, 2)
    watch.step("one", 0)
    watch.start("two", None, 10)
    watch.step("two", 0)
    watch.step("two", 9)
    assert seen == [0.5, 0.5, 1.0]


@pytest.mark.parametrize(("steps", "index"), [(0, 0), (1, 7), (3, 9)])
def test_what_tensorrt_counts_wrongly_stays_within_one(steps: int, index: int) -> None:
    seen: list[float] = []
    watch = Watch(lambda share, phase: seen.append(share))
    watch.step("never begun", 3)
    watch.start("one", "a parent that is not there", steps)
    watch.step("one", index)
    watch.finish("never begun")
    assert seen == [1.0]


def test_what_the_progress_raises_stops_the_build_and_comes_out() -> None:
    def progress(share: float, phase: str) -> None:
        raise ZeroDivisionError("enough")

    watch = Watch(progress)
    watch.start("one", None, 2)
    assert not watch.step("one", 0)
    assert not watch.step("one", 1)
    with pytest.raises(ZeroDivisionError, match="enough"):
        watch.reraise()


def test_ctrl_c_stops_the_build_and_not_the_callback() -> None:
    watch = Watch()
    before = signal.getsignal(signal.SIGINT)
    with stopped_by_ctrl_c(watch):
        watch.start("one", None, 2)
        assert watch.step("one", 0)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert not watch.step("one", 1)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        watch.reraise()


def test_in_another_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def work() -> None:
        with stopped_by_ctrl_c(Watch()):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopped_by_ctrl_c(Watch()):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
