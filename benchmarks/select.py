"""What the search itself costs, beside Transformers' search over the same logits, in one run.

    python -m benchmarks.select [--beams 1 5] [--vocabulary 10000] [--repetitions 10] [--quick] [--json FILE]

One answer is 20 steps for one image. Ours is the loop of the runtime with its select graph on ONNX Runtime's
CPU, on one thread; the peer is ``generate`` of Transformers over PyTorch, on one thread or on all, whichever
takes it less time at that setting. The decoder of both is free: every step gives the same random logits. All
take turns answer by answer, so that a machine whose speed drifts is fair to both. Medians, in milliseconds a
step:

- ``search``: our select, and the peer's logits processing and beam step; ``x``, the median of their ratios;
  ``on``, the peer's threads.
- ``answer``: all of an answer but the decoder, set-up included, ours and the peer's.
- ``in use``: our select between the steps of a real decoder, which leave little in the caches; ``decoder``,
  such a step; and the share of it that select takes. It is that of a ResNet-50 captioner with random weights:
  LSTM 512, attention over 49 positions.

Then how the time of our search grows with beams x vocabulary: the exponent of a line fitted to the logarithms
(least squares) where that product is 50,000 or more, since below it the fixed cost of the graph's nodes
outweighs what they work on; 1 is linear. And the share of a decoder's step at a vocabulary of 10,000, beam 5.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import transformers

from benchmarks.searching import ALL_THREADS, STEPS, VARIANTS, contestants, give_peer_its_best_threads
from cnnrnn.runtime.threads import physical_cores

WARM_UP = 3
LARGE = 50_000
# The size that the search is judged at, what it may take there, and the goal.
JUDGED = (5, 10_000, "plain")
MOST_SHARE, GOAL_MS = 0.15, 0.35


@dataclass(frozen=True)
class Row:
    """Medians of one setting, milliseconds a step, and of the ratios within a turn."""

    beams: int
    vocabulary: int
    variant: str
    search_ms: float
    peer_search_ms: float
    peer_over_ours: float
    peer_threads: int
    answer_ms: float
    peer_answer_ms: float
    select_in_use_ms: float
    decoder_ms: float
    share: float


@dataclass(frozen=True)
class Growth:
    """How the search's time grows with beams x vocabulary, fitted to the settings of ``at_least`` or more."""

    variant: str
    exponent: float
    settings: int
    at_least: int


def measure(beams: int, vocabulary: int, name: str, repetitions: int) -> Row:
    """Times one setting; the three take turns."""
    rivals = contestants(beams, vocabulary, VARIANTS[name])
    threads = give_peer_its_best_threads(rivals)
    turns = [(rivals.ours(), rivals.peers(), rivals.real()) for _ in range(repetitions + WARM_UP)][WARM_UP:]

    def median(values: Sequence[float]) -> float:
        return round(statistics.median(values), 5)

    return Row(
        beams,
        vocabulary,
        name,
        search_ms=median([ours.search_ms for ours, _, _ in turns]),
        peer_search_ms=median([peers.search_ms for _, peers, _ in turns]),
        peer_over_ours=median([peers.search_ms / ours.search_ms for ours, peers, _ in turns]),
        peer_threads=threads,
        answer_ms=median([ours.whole_ms for ours, _, _ in turns]),
        peer_answer_ms=median([peers.whole_ms for _, peers, _ in turns]),
        select_in_use_ms=median([select for _, _, (select, _) in turns]),
        decoder_ms=median([step for _, _, (_, step) in turns]),
        share=median([select / step for _, _, (select, step) in turns]),
    )


def growth(rows: Sequence[Row]) -> list[Growth]:
    """The exponent of each variant that has three different products at least."""
    found = []
    for variant in dict.fromkeys(row.variant for row in rows):
        large = [row for row in rows if row.variant == variant and row.beams * row.vocabulary >= LARGE]
        if len({row.beams * row.vocabulary for row in large}) >= 3:
            sizes = np.log([row.beams * row.vocabulary for row in large])
            slope = float(np.polyfit(sizes, np.log([row.search_ms for row in large]), 1)[0])
            found.append(Growth(variant, round(slope, 3), len(large), LARGE))
    return found


def judged(rows: Sequence[Row]) -> dict[str, Any] | None:
    """The share of a decoder's step at the size that the search is judged at, where it was measured."""
    for row in rows:
        if (row.beams, row.vocabulary, row.variant) == JUDGED:
            kept = ("beams", "vocabulary", "variant", "select_in_use_ms", "decoder_ms", "share")
            return {name: getattr(row, name) for name in kept} | {
                "most_share": MOST_SHARE,
                "goal_ms": GOAL_MS,
            }
    return None


def setting() -> dict[str, Any]:
    """What ran, and on how many threads."""
    return {
        "onnxruntime": onnxruntime.__version__,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
        "cores": physical_cores(),
        "threads": {"select": 1, "decoder": physical_cores(), "torch": [1, ALL_THREADS]},
        "steps": STEPS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 2, 5, 8, 16])
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[1000, 10000, 50000])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--repetitions", type=int, default=10, help="answers of each, after the warm-up")
    parser.add_argument("--quick", action="store_true", help="three widths, two variants, three answers")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.beams, arguments.repetitions = [1, 5, 16], 3
        arguments.variants = ["plain", "no 3-gram twice"]
    transformers.logging.set_verbosity_error()
    what = setting()
    print(
        f"milliseconds a step, one image; onnxruntime {what['onnxruntime']} (1 thread, the decoder "
        f"{what['cores']}), transformers {what['transformers']}, torch {what['torch']} (1 or {ALL_THREADS})"
    )
    print(f"{'':34}{'-- search --':>15}{'':10}{'-- answer --':>15}  {'-- in use --':>21}")
    print(
        f"{'beams':>5} {'V':>6} {'options':21} {'ours':>7} {'peer':>7} {'x':>5} {'on':>2} "
        f"{'ours':>7} {'peer':>7} {'ours':>7} {'decoder':>7} {'share':>6}"
    )
    rows = []
    for vocabulary in arguments.vocabulary:
        for beams in arguments.beams:
            for name in arguments.variants:
                row = measure(beams, vocabulary, name, arguments.repetitions)
                rows.append(row)
                print(
                    f"{beams:5} {vocabulary:6} {name:21} {row.search_ms:7.3f} {row.peer_search_ms:7.3f} "
                    f"{row.peer_over_ours:5.1f} {row.peer_threads:2} {row.answer_ms:7.3f} "
                    f"{row.peer_answer_ms:7.3f} {row.select_in_use_ms:7.3f} {row.decoder_ms:7.3f} "
                    f"{row.share:6.1%}",
                    flush=True,
                )
    grown, share = growth(rows), judged(rows)
    for fit in grown:
        print(
            f"growth, {fit.variant}: beams x V to the power of {fit.exponent:.2f} "
            f"({fit.settings} settings of {fit.at_least:,} or more)"
        )
    if share is not None:
        print(
            f"beam {share['beams']}, V {share['vocabulary']:,}: select {share['select_in_use_ms']:.3f} ms "
            f"(goal {GOAL_MS}), {share['share']:.1%} of a decoder's step of {share['decoder_ms']:.3f} ms "
            f"(at most {MOST_SHARE:.0%})"
        )
    if arguments.json:
        written = {
            "setting": what,
            "rows": [dataclasses.asdict(row) for row in rows],
            "growth": [dataclasses.asdict(fit) for fit in grown],
            "judged": share,
        }
        arguments.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
