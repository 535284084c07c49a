"""The check `questions`: a bundle that answers questions says on the device what it says on the CPU."""

from __future__ import annotations

import cnnrnn
from benchmarks.gpu_check.loops import engines_here
from benchmarks.gpu_check.notes import FailedError, Notes, Setting
from benchmarks.gpu_check.place import driver_reports, model, pictures

BUNDLE = "vqa"
PICTURES = 3


def questions(setting: Setting, notes: Notes) -> None:
    """Several questions about one picture, which the encoder sees once; and one about each of several."""
    backend = engines_here(setting, "launch")
    images = pictures(PICTURES)
    with cnnrnn.load(BUNDLE, precision="fp32") as answerer:
        spec = answerer.manifest.question
        assert spec is not None, "the bundle answers questions"
        asked = list(spec.examples[:: len(spec.examples) // PICTURES][:PICTURES])
        wanted = {
            "of one picture": answerer.ask(images[0], asked),
            "of each": answerer(images, question=asked),
        }
    with model(setting, backend, bundle=BUNDLE) as answerer:
        found = {
            "of one picture": answerer.ask(images[0], asked),
            "of each": answerer(images, question=asked),
        }
    same = {
        what: [one.tokens for one in found[what]] == [other.tokens for other in wanted[what]]
        for what in wanted
    }
    texts = [result.text for result in found["of one picture"]]
    notes.note(backend=backend, same=same, answers=texts)
    notes.note(summary=f"{backend}: {', '.join(map(repr, texts))} to questions about one picture")
    problems = [f"another answer to questions {what}" for what, alike in same.items() if not alike]
    if setting.stand_in:
        problems += driver_reports()
    if problems:
        raise FailedError("; ".join(problems))
