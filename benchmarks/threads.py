"""How many threads, and whether they spin: the runtime's defaults beside their alternatives, in one run.

    python -m benchmarks.threads [BUNDLE] [--repetitions 30] [--beams 5]

The variants take turns picture by picture (A B C A B C), so that a machine whose speed drifts is fair to all.
Prints the median milliseconds an answer and the median of the ratios to the default in the same turn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.samples import sample_pictures
from cnnrnn.runtime.graphs import Graphs
from cnnrnn.runtime.image import read_image
from cnnrnn.runtime.model import Model
from cnnrnn.runtime.ort_cpu import OrtCpuBackend
from cnnrnn.runtime.threads import physical_cores


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", nargs="?", default="emoji", help="a folder or a shipped bundle's name")
    parser.add_argument("--repetitions", type=int, default=30, help="answers of each variant")
    parser.add_argument("--beams", type=int, default=5)
    options = parser.parse_args()
    bundle = Bundle.open(Path(options.bundle))
    cores = physical_cores()
    variants = {
        f"{threads} thread{'s' * (threads > 1)}, {'spinning' if spinning else 'sleeping'}": (
            threads,
            spinning,
        )
        for threads in sorted({cores, 1, 2 * cores}, key=lambda count: count != cores)
        for spinning in (False, True)
    }
    graphs = Graphs.of(bundle, next(iter(bundle.manifest.precisions)))
    models = {
        name: Model(OrtCpuBackend(graphs, threads, spinning=spinning), bundle.manifest, bundle.tokenizer())
        for name, (threads, spinning) in variants.items()
    }
    pictures = [read_image(path) for path in sample_pictures()[: options.repetitions]]
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(options.repetitions + 3):
        picture = np.ascontiguousarray(pictures[turn % len(pictures)])
        for name, model in models.items():
            started = time.perf_counter()
            model(picture, beams=options.beams, color="rgb")
            if turn >= 3:
                seconds[name].append(time.perf_counter() - started)
    default = next(iter(models))
    print(
        f"{bundle.manifest.name}, beam {options.beams}, {cores} physical cores, "
        f"{options.repetitions} answers each"
    )
    for name, taken in seconds.items():
        ratios = [one / other for one, other in zip(taken, seconds[default], strict=True)]
        mark = " (default)" if name == default else ""
        print(
            f"{name + mark:34} {1e3 * statistics.median(taken):7.2f} ms   x {statistics.median(ratios):.2f}"
        )
    for model in models.values():
        model.close()


if __name__ == "__main__":
    main()
