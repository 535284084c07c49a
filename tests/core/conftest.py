"""A bundle whose graphs are any bytes: core looks at files, not into graphs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnrnn.core.bundle import write_bundle
from cnnrnn.core.manifest import (
    GraphSpec,
    ImageSpec,
    Manifest,
    SearchDefaults,
    TensorSpec,
    VocabularySpec,
)
from cnnrnn.core.tokenizer import Tokenizer

WORDS = ["<pad>", "<start>", "<end>", "<unk>", "a", "red", "cat"]


@pytest.fixture
def tokenizer() -> Tokenizer:
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers

    backend = Backend(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens(WORDS[:4])
    return Tokenizer(backend)


@pytest.fixture
def manifest() -> Manifest:
    def graph(name: str) -> GraphSpec:
        return GraphSpec(name, (TensorSpec("x", "float32", ("B", 2)),), (TensorSpec("y", "int32", ("B",)),))

    return Manifest(
        name="tiny",
        image=ImageSpec(8, 9, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        vocabulary=VocabularySpec(len(WORDS), 0, 1, (2,), 3),
        search=SearchDefaults(beams=3, max_beams=5, max_length=8),
        precisions={"fp32": {"encoder": graph("fp32/encoder.onnx"), "step": graph("fp32/step.onnx")}},
        select={"beam3": graph("select/beam3.onnx")},
        alignment_grid=(2, 3),
        provenance={"data": ["somewhere", 3]},
    )


@pytest.fixture
def files(tokenizer) -> dict[str, bytes]:
    return {
        "tokenizer.json": tokenizer.to_json().encode(),
        "fp32/encoder.onnx": b"encoder" * 100,
        "fp32/step.onnx": b"step" * 100,
        "select/beam3.onnx": b"select",
    }


@pytest.fixture
def bundle_folder(tmp_path, manifest, files) -> Path:
    folder = tmp_path / "tiny"
    write_bundle(folder, manifest, files)
    return folder
