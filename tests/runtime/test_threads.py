"""Counting physical cores."""

from __future__ import annotations

import os

import pytest

from cnnrnn.runtime import threads


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Eight hardware threads on four cores, without a quota."""
    for cpu in range(8):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
    monkeypatch.setattr(threads, "_CPU_FOLDER", tmp_path)
    monkeypatch.setattr(threads, "_CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return tmp_path


def test_two_threads_of_a_core_count_once(machine):
    assert threads.physical_cores() == 4


def test_affinity_counts(machine, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 4, 1}, raising=False)
    assert threads.physical_cores() == 2


@pytest.mark.parametrize(
    ("quota", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 4), ("?", 4)]
)
def test_the_containers_quota_counts(machine, quota, cores):
    (machine / "cpu.max").write_text(quota + "\n")
    assert threads.physical_cores() == cores


def test_without_topology_every_logical_core_counts(machine, monkeypatch, tmp_path):
    monkeypatch.setattr(threads, "_CPU_FOLDER", tmp_path / "none")
    assert threads.physical_cores() == 8
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert threads.physical_cores() == 6
