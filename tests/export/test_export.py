"""From a model to a bundle that runs, and nothing written where anything is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import cnnrnn
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import CheckpointError, ModelError, OptionsError, ParityError, StorageError
from cnnrnn.core.manifest import ImageSpec, SearchDefaults
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export import ExportOptions, export_bundle, export_checkpoint
from cnnrnn.export.torch_backend import TorchBackend
from cnnrnn.export.weights import round_weights


@pytest.fixture(scope="module")
def options(image_spec: ImageSpec, pictures: Path) -> ExportOptions:
    return ExportOptions(
        name="blocks",
        image=image_spec,
        search=SearchDefaults(beams=3, max_beams=3, max_length=6),
        summary="Letters for blocks.",
        license="Apache-2.0",
        pictures=pictures,
        alignment_grid=(4, 4),
        provenance={"data": "made up"},
        least_pictures=12,
    )


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def exported(
    request: pytest.FixtureRequest,
    make_captioner: Any,
    tokenizer: Tokenizer,
    options: ExportOptions,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("bundles") / request.param
    chosen = replace(options, weight_storage=request.param)
    return folder, export_bundle(make_captioner(), tokenizer, folder, options=chosen)


def test_the_bundle_passes_its_gate_and_says_so(exported: tuple[Path, Any]) -> None:
    folder, report = exported
    assert report.passed
    assert report.source == "folder blocks"
    assert [search.beams for search in report.searches] == [1, 3]
    manifest = Bundle.open(folder).manifest
    assert manifest.parity == json.loads(json.dumps(report.to_dict()))
    assert sorted(manifest.select) == ["beam1", "beam2", "beam3"]
    assert manifest.provenance["data"] == "made up"
    assert manifest.provenance["weight_storage"] == folder.name
    assert (report.storage is None) == (folder.name == "fp32")
    if report.storage is not None:
        assert report.storage.pictures == 12


def test_the_bundle_captions_pictures_as_the_model_does(
    exported: tuple[Path, Any], make_captioner: Any, pictures: Path, image_spec: ImageSpec
) -> None:
    folder, _ = exported
    model = make_captioner() if folder.name == "fp32" else round_weights(make_captioner())
    paths = sorted(pictures.iterdir())
    with cnnrnn.load(folder) as captioner:
        results = captioner(paths, beams=1)
    assert len({result.text for result in results}) > 2, "captions that are all the same prove nothing"
    for path, result in zip(paths, results, strict=True):
        words = _greedy(model, path, image_spec)
        assert list(result.tokens[: len(words)]) == words
        assert result.alignment_grid == (4, 4)


@torch.no_grad()
def _greedy(model: Any, path: Path, image_spec: ImageSpec) -> list[int]:
    """Greedy search in ten lines: the words before the end token, six at most."""
    from cnnrnn.runtime.image import fit, read_image

    backend = TorchBackend(model, image_spec, None)  # type: ignore[arg-type]
    encoded = backend.encode(fit(read_image(path), image_spec)[None])
    state, token, chosen = backend.widen(encoded.state, 1), 1, []
    for _ in range(6):
        logits, state, _ = model.step(torch.tensor([[token]]), state, encoded.memory)
        token = int(logits.argmax())
        if token == 2:
            break
        chosen.append(token)
    return chosen


def test_an_export_that_differs_writes_nothing_and_keeps_the_old_bundle(
    make_captioner: Any, captioner_class: Any, tokenizer: Tokenizer, options: ExportOptions, tmp_path: Path
) -> None:
    class DiffersWhenTraced(captioner_class):  # type: ignore[misc]
        def step(self, tokens: Tensor, state: Any, memory: Any) -> Any:
            logits, following, alignment = super().step(tokens, state, memory)
            return logits * (0.5 if torch.compiler.is_compiling() else 1.0), following, alignment

    target = tmp_path / "bundle"
    stages: list[str] = []
    with pytest.raises(ParityError, match="nothing was written") as caught:
        export_bundle(
            make_captioner(DiffersWhenTraced),
            tokenizer,
            target,
            options=options,
            progress=lambda stage, done, total: stages.append(stage),
        )
    assert not target.exists()
    assert list(tmp_path.iterdir()) == []
    report: Any = caught.value.report
    assert not report.tensors["logits"].passed
    assert dict.fromkeys(stages) == dict.fromkeys(["check", "graphs", "parity"])


def test_wrong_options_are_refused_before_any_work(
    tokenizer: Tokenizer, options: ExportOptions, tmp_path: Path
) -> None:
    def refused(words: str, target: Path = tmp_path / "bundle", **changes: Any) -> None:
        with pytest.raises(OptionsError, match=words):
            export_bundle(object(), tokenizer, target, options=replace(options, **changes))

    refused("weight_storage='int4'", weight_storage="int4")
    refused("name is 'a b'", name="a b")
    refused("max_length", search=SearchDefaults(max_length=0))
    refused("needs 13", least_pictures=13)
    refused("most_pictures=3", most_pictures=3)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("keep")
    refused("not a bundle", tmp_path / "letters")
    assert (tmp_path / "letters" / "mine.txt").read_text() == "keep"


def test_a_faulty_model_is_refused_with_every_problem(
    make_captioner: Any, tokenizer: Tokenizer, options: ExportOptions, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"problem 1: left in training mode.*"):
        export_bundle(make_captioner().train(), tokenizer, tmp_path / "bundle", options=options)


def test_a_full_disk_leaves_nothing_half_written(
    make_captioner: Any,
    tokenizer: Tokenizer,
    options: ExportOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="No space left"):
        export_bundle(make_captioner(), tokenizer, tmp_path / "bundle", options=options)
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_are_looked_at_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing\.pt"):
        export_checkpoint(tmp_path / "nothing.pt", tmp_path / "bundle")
    with pytest.raises(OptionsError, match="beems is no export option"):
        export_checkpoint(tmp_path / "nothing.pt", tmp_path / "bundle", beems=3)


def test_a_checkpoint_brings_its_own_options_and_changes_go_first(
    make_captioner: Any,
    tokenizer: Tokenizer,
    options: ExportOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from cnnrnn.training import checkpoint

    loaded = checkpoint.LoadedModel(
        make_captioner(),
        *(tokenizer, options.image, options.search, (4, 4), "trained", "A summary.", "MIT", {"steps": 3}),
    )
    monkeypatch.setattr(checkpoint, "load_model", lambda path: loaded)
    changes = {"name": "renamed", "license": None, "pictures": options.pictures, "least_pictures": 12}
    export_checkpoint(tmp_path / "best.pt", tmp_path / "bundle", **changes)
    manifest = Bundle.open(tmp_path / "bundle").manifest
    assert (manifest.name, manifest.license, manifest.summary) == ("renamed", "MIT", "A summary.")
    assert manifest.alignment_grid == (4, 4)
    assert manifest.provenance["steps"] == 3
