"""What this machine could do at best, measured in the same run: the rate of products, and that of reading.

A stage takes no less than its multiplications at the rate of the best matrix product, and no less than its
weights take to be read. The rate of reading is that of as many bytes as the graph has weights, again and
again: what fits into the processor's caches is read from there in every step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from cnnrnn.bench.counting import Cost
from cnnrnn.core.extras import require

# A product of two square matrices of this side, float32: large enough for every core, 4 MiB each.
_SIDE = 1024
_SECONDS = 0.25
_LEAST_BYTES = 1 << 20


@dataclass(frozen=True)
class Rates:
    """Of a machine, with so many threads.

    Attributes:
        products: multiply-adds a second, of float32.
        reading: bytes a second, by how many bytes are read again and again.
    """

    threads: int
    products: float
    reading: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """As the report's JSON has it."""
        return {
            "threads": self.threads,
            "gigaflops": round(2 * self.products / 1e9, 2),
            "reading": [
                {"bytes": size, "gigabytes_per_s": round(rate / 1e9, 2)}
                for size, rate in self.reading.items()
            ],
        }

    def floor_ms(self, cost: Cost, images: int = 1) -> float:
        """The least that one run of a graph can take for so many images, milliseconds; ``cost`` is of one."""
        computing = cost.multiplications * images / self.products
        reading = cost.weight_bytes / self.reading[cost.weight_bytes] if cost.weight_bytes else 0.0
        return 1000 * max(computing, reading)


def measure_rates(threads: int, sizes: list[int]) -> Rates:
    """The rates on so many threads, of reading for each of these numbers of bytes. A second or two."""
    return Rates(
        threads, _products(threads), {size: _reading(size, threads) for size in dict.fromkeys(sizes)}
    )


def _products(threads: int) -> float:
    """By ONNX Runtime, whose kernels the graphs run too."""
    runtime = require("onnxruntime", "cpu")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    graph = (files("cnnrnn.bench") / "matmul.onnx").read_bytes()
    session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    given = {name: rng.random((_SIDE, _SIDE), dtype=np.float32) for name in ("a", "b")}
    return _SIDE**3 / _least_s(lambda: session.run(None, given))


def _reading(size: int, threads: int) -> float:
    """By adding up float32, each thread its own part; NumPy lets go of Python's lock meanwhile."""
    size = max(size, _LEAST_BYTES)
    parts = np.array_split(np.ones(size // 4, np.float32), threads)
    again = max(1, (8 << 20) // size)  # so that starting the threads counts for little

    def read(part: np.ndarray[Any, Any]) -> None:
        for _ in range(again):
            np.add.reduce(part)

    with ThreadPoolExecutor(threads) as pool:
        return size * again / _least_s(lambda: list(pool.map(read, parts)))


def _least_s(work: Callable[[], object]) -> float:
    """The least of as many times as fit into a quarter of a second, three at least."""
    work()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - began < _SECONDS:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
