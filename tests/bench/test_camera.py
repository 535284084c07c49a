"""A camera over a clock that the test winds."""

from __future__ import annotations

import pytest

from cnnrnn.bench.camera import Camera, run_camera


class Hours:
    """A clock that goes on when something sleeps or works."""

    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + 1e-6


def film(work_s: list[float], *, seconds: float = 1.0) -> tuple[Camera, list[bytes]]:
    hours, seen = Hours(), []

    def answer(picture: bytes) -> None:
        seen.append(picture)
        hours.now += work_s[(len(seen) - 1) % len(work_s)]

    pictures = [bytes([number]) for number in range(10)]
    camera = run_camera(
        answer,
        pictures,
        frames_per_s=10,
        seconds=seconds,
        deadline_ms=120,
        clock=hours.read,
        sleep=hours.sleep,
    )
    return camera, seen


def test_a_quick_model_answers_every_frame() -> None:
    camera, seen = film([0.02])
    assert seen == [bytes([number]) for number in range(10)]
    assert (camera.answered, camera.dropped, camera.in_time) == (10, 0, 1.0)
    assert camera.age_ms.p50 == pytest.approx(20, abs=0.1)


def test_a_slow_model_takes_the_newest_frame_and_drops_the_others() -> None:
    camera, seen = film([0.25])
    assert seen == [bytes([number]) for number in (0, 2, 5, 7)]
    assert (camera.answered, camera.dropped) == (4, 4)
    # Frame 2 was 50 ms old when the answer before it was there.
    assert camera.age_ms.minimum == pytest.approx(250, abs=0.1)
    assert camera.age_ms.p90 > 290
    assert camera.in_time == 0.0


def test_a_late_answer_counts_as_late() -> None:
    camera, _ = film([0.05, 0.15])
    assert 0 < camera.in_time < 1
    assert camera.to_dict()["deadline_ms"] == 120
