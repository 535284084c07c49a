"""What is said of repeated times, and when a run is not to be believed."""

from __future__ import annotations

import numpy as np
import pytest

from cnnrnn.bench.summary import LEAST_FOR_P99, doubts, percentile, summarise


def test_percentiles_are_numpys() -> None:
    times = np.random.default_rng(0).gamma(2.0, 3.0, 101).tolist()
    found = summarise(times)
    assert found.count == 101
    assert found.minimum == min(times)
    assert found.p50 == pytest.approx(np.percentile(times, 50))
    assert found.p90 == pytest.approx(np.percentile(times, 90))
    assert found.p99 == pytest.approx(np.percentile(times, 99))
    quartiles = np.percentile(times, [25, 75])
    assert found.spread == pytest.approx((quartiles[1] - quartiles[0]) / np.median(times))
    assert percentile([3.0], 0.99) == 3.0


def test_few_repetitions_have_no_p99() -> None:
    assert summarise([1.0] * (LEAST_FOR_P99 - 1)).p99 is None
    assert summarise([1.0] * LEAST_FOR_P99).p99 == 1.0
    assert summarise([1.0, 2.0]).to_dict()["p99_ms"] is None


def test_a_machine_that_slows_down_is_noticed() -> None:
    quiet = summarise([10.0, 10.1] * 20)
    assert quiet.drift < 0.01
    assert doubts(quiet, 0.01, 0.0) == []
    drifting = doubts(summarise([10.0] * 20 + [11.0] * 20), None, None)
    assert drifting == ["the second half differs from the first by 10%, over 5%"]


def test_every_reason_for_doubt_is_told() -> None:
    noisy = summarise([10.0, 20.0, 10.0, 20.0, 10.0, 20.0, 10.0, 20.0])
    found = doubts(noisy, 0.25, 0.03)
    assert len(found) == 3
    assert found[0].startswith("half of the times lie in 67% of the median")
    assert found[1] == "other processes had 25% of the processors, over 10%"
    assert found[2] == "the hypervisor took 3% of them, over 2%"
