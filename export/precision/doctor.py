"""The precision doctor: finds the nodes that spoil a precision, and keeps the fewest that cure it in float32.

It measures what every tensor reaches while fp32's graphs caption freely, and takes the tensors that the
precision cannot hold as suspects, the worst first. Pins are what makes and reads such a tensor. As many
suspects as are needed are pinned, doubling, each time judged by captioning again; then every pin is taken out
that is not missed, so that of those left none can go. Where rounding alone is to blame and there is no
suspect, every tensor is one, in the order of what its node loses.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export.draft import Draft
from cnnrnn.export.precision.findings import Cost, Diagnosis, Finding, find, named
from cnnrnn.export.precision.graphs import Keep, Lowered, Protos, full_graphs, lowered_graphs
from cnnrnn.export.precision.judging import GatePictures, judge_lowered
from cnnrnn.export.precision.options import Precision
from cnnrnn.export.precision.pins import Flow, Pin, Pins
from cnnrnn.export.precision.ranges import Range, measure_ranges
from cnnrnn.export.precision.report import LEAST_SHARE, Judgement

_log = logging.getLogger(__name__)

# A trial captions this many pictures at most: those whose captions were lost, then others.
TRIAL_PICTURES = 64

# After so many trials what is pinned is left as it is: where rounding alone is to blame, all nodes are
# suspects.
MOST_TRIALS = 100

Progress = Callable[[str, int, int], None]


@dataclass
class Doctor:
    """Examines one precision of a bundle.

    Args:
        draft: has the precision ``"fp32"``.
        given: all that the precision gate decodes.
        progress: called with a stage's name and how much of how much is done.
    """

    draft: Draft
    precision: Precision
    tokenizer: Tokenizer
    given: GatePictures
    progress: Progress | None = None
    trials: int = 0
    _protos: Protos = field(init=False)
    _ranges: list[Range] = field(init=False)

    def __post_init__(self) -> None:
        self._protos = full_graphs(self.draft)
        tell = self._tell("ranges")
        self._ranges = measure_ranges(
            self.draft, self.precision, self._protos, self.given.pictures, self.tokenizer, tell
        )
        self.findings = find(self._ranges, self._protos, self.precision)
        for finding in self.findings:
            _log.info("%s: %s", self.precision, finding)

    @property
    def ranges(self) -> Sequence[Range]:
        """What was measured, of every tensor."""
        return self._ranges

    def cure(self, judgements: Iterable[Judgement], held: Pins = frozenset()) -> Pins:
        """The pins that make the precision pass, of which none can be spared unless the trials end.

        Args:
            judgements: of the precision with the pins ``held``, which did not pass.
        """
        trial = _Trial.of(judgements, self.given)
        flow = Flow(self._protos)
        lowerable = self._lowerable()
        groups = [self._pins_of(flow, finding) & lowerable for finding in self.findings]
        groups += self._by_loss(flow, lowerable)
        enough = self._enough([held, *(group for group in groups if group)], trial)
        return frozenset(self._spare(enough, trial))

    def diagnosis(self, pins: Pins) -> Diagnosis:
        """What was found, what is pinned, and what that costs."""
        cost = self._cost(pins) if pins else None
        fewest = self.trials < MOST_TRIALS
        return Diagnosis(tuple(self.findings), named(pins), cost, self.trials, fewest)

    def _pins_of(self, flow: Flow, finding: Finding) -> Pins:
        if finding.kind in ("cancellation", "coarse"):
            return flow.of_node(finding.graph, finding.node)
        return flow.around(finding.graph, finding.tensor)

    def _by_loss(self, flow: Flow, lowerable: Pins) -> list[Pins]:
        """For every node of the precision its pins, those that lose most first."""
        worst = sorted(
            (entry for entry in self._ranges if entry.lowered),
            key=lambda entry: -max(entry.rounding, entry.passing),
        )
        return [flow.of_node(entry.graph, entry.node) & lowerable for entry in worst]

    def _lowerable(self) -> Pins:
        """The pins that change anything: nodes, memories and states that are in the precision otherwise."""
        lowered = self._lowered(frozenset())
        nodes = {frozenset({(role, name)}) for role in self._protos for name in lowered.lowered_nodes(role)}
        return frozenset(nodes) | Flow(self._protos).shared()

    def _enough(self, groups: Sequence[Pins], trial: _Trial) -> list[Pin]:
        """The first 2, 4, 8, ... groups that pass together, the worst first; all of them if need be."""
        count = 2
        while True:
            pins = list(dict.fromkeys(pin for group in groups[:count] for pin in sorted(group, key=sorted)))
            if count >= len(groups) or self._passes(frozenset(pins), trial):
                return pins
            count *= 2

    def _spare(self, pins: list[Pin], trial: _Trial) -> list[Pin]:
        """Leave out what is not missed, the least suspect first: in halves, quarters, and one by one."""
        size = math.ceil(len(pins) / 2)
        while size:
            before, end = len(pins), len(pins)
            while end > 0:
                if self.trials >= MOST_TRIALS:
                    return pins
                left = [*pins[: max(end - size, 0)], *pins[end:]]
                if self._passes(frozenset(left), trial):
                    pins = left
                end -= size
            if size > 1:
                size = math.ceil(size / 2)
            elif len(pins) == before:
                size = 0
        return pins

    def _passes(self, pins: Pins, trial: _Trial) -> bool:
        self.trials += 1
        if self.progress is not None:
            self.progress(f"{self.precision} doctor", self.trials, 0)
        report = judge_lowered(self.draft, self._lowered(pins), trial.given, self.tokenizer, as_written=False)
        return all(trial.is_enough(judgement) for judgement in report.runs.values())

    def _lowered(self, pins: Pins) -> Lowered:
        return lowered_graphs(self.draft, self._protos, self.precision, keep_of(pins))

    def _cost(self, pins: Pins) -> Cost:
        before, after = self._lowered(frozenset()), self._lowered(pins)
        pinned = sum(len(before.lowered_nodes(role) & names) for role, names in keep_of(pins).items())
        return Cost(
            nodes=sum(len(proto.graph.node) for proto in self._protos.values()),
            pinned_nodes=pinned,
            casts_before=before.casts,
            casts=after.casts,
            bytes_before=before.bytes,
            bytes=after.bytes,
        )

    def _tell(self, stage: str) -> Callable[[int, int], None] | None:
        progress = self.progress
        if progress is None:
            return None
        return lambda done, total: progress(f"{self.precision} {stage}", done, total)


def keep_of(pins: Pins) -> Keep:
    """Pins as `cnnrnn.export.precision.lower.lower` takes them: by graph."""
    return {graph: frozenset(names) for graph, names in named(pins).items()}


@dataclass(frozen=True)
class _Trial:
    """The pictures that a set of pins is tried with, and how many captions it may lose."""

    given: GatePictures
    losses: int

    @staticmethod
    def of(judgements: Iterable[Judgement], given: GatePictures) -> _Trial:
        """Those pictures first whose captions were lost, or numbers not finite."""
        seen = tuple(judgements)
        lost = {entry.picture for judgement in seen for entry in judgement.not_finite}
        lost |= {
            departure.picture
            for judgement in seen
            for search in judgement.searches
            for departure in search.mismatches
        }
        names = given.pictures.names
        order = sorted(range(len(names)), key=lambda place: names[place] not in lost)
        chosen = order[:TRIAL_PICTURES]
        losses = int((1 - LEAST_SHARE) * len(names)) if len(lost) <= len(chosen) else 0
        return _Trial(GatePictures(given.pictures.chosen(chosen), given.source, given.skipped), losses)

    def is_enough(self, judgement: Judgement) -> bool:
        """Whether every number is finite, and no more captions are lost in a search than may be."""
        return not judgement.not_finite and all(
            len(search.mismatches) <= self.losses for search in judgement.searches
        )
