"""New weights for an engine: by the interface of every version, since it takes a GPU to do it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from cnnrnn.core.errors import CacheError, EngineError, MissingDependencyError, OptionsError
from cnnrnn.runtime import refit
from cnnrnn.runtime.engine.cache import CachedEngine, EngineCache, EngineKey
from cnnrnn.runtime.engine.cache_entry import BUILDER
from cnnrnn.runtime.engine.device import Device
from cnnrnn.runtime.engine.library import TENSORRT, TENSORRT_RTX, Library
from cnnrnn.runtime.refit import refit_engine, structure
from tests.engine import onnx_graphs
from tests.engine.cache_worker import FakeBuilt, FakeReport
from tests.engine.rigs import recorder as rig
from tests.engine.rigs.recorder import Recorder
from tests.engine.rigs.surface import NAMES, RTX, Surface

GPU = Device("a stand-in", "8.6", "580.82.07", "13.0")
ENGINE = b"the old engine"


def product(weight: float = 1.0, limit: float = 6.0, axis: int = 1, name: str = "m") -> bytes:
    nodes = [
        helper.make_node("MatMul", ["x", name], ["p"], name="decoder.out/MatMul"),
        helper.make_node("Min", ["p", "limit"], ["c"], name="decoder.out/Min"),
        helper.make_node("Unsqueeze", ["c", "axis"], ["y"], name="decoder.out/Unsqueeze"),
    ]
    constants: dict[str, Any] = {
        name: np.full((4, 3), weight, np.float32),
        "limit": np.float32(limit),
        "axis": np.array([axis]),
    }
    return onnx_graphs.model(nodes, [onnx_graphs.X], ("y", TensorProto.FLOAT, None), **constants)


OLD, NEW = product(), product(weight=2.0)


def play(name: str, monkeypatch: pytest.MonkeyPatch, **answers: Any) -> tuple[Recorder, Library]:
    """A version whose runtime may be made, and what it answers where that is not True or nothing."""
    recorder = Recorder(Surface.load(name))
    loaded = recorder.make("ICudaEngine")
    replies: dict[tuple[str, str], Any] = {
        ("Runtime", "deserialize_cuda_engine"): answers.get("loaded", loaded),
        ("OnnxParserRefitter", "refit_from_bytes"): answers.get("parsed", True),
        ("Refitter", "get_missing_weights"): answers.get("missing", []),
        ("Refitter", "refit_cuda_engine"): answers.get("refitted", True),
        ("ICudaEngine", "serialize"): recorder.make("IHostMemory", b"the new engine"),
    }
    for key, reply in replies.items():
        monkeypatch.setitem(rig._CALLED, key, lambda self, reply=reply, **given: reply)
    errors = answers.get("errors", [])
    monkeypatch.setitem(rig._READ, ("OnnxParserRefitter", "num_errors"), lambda self: len(errors))
    monkeypatch.setitem(rig._CALLED, ("ParserError", "desc"), lambda self: errors[0])
    monkeypatch.setattr(recorder.classes["Runtime"], "__init__", lambda self, logger: None)
    monkeypatch.setattr(refit, "find_device", lambda: GPU)
    return recorder, Library(TENSORRT_RTX if name == RTX else TENSORRT, recorder.module, "1.2.3")


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache")


def key_of(onnx: bytes, library: Library, **changed: Any) -> EngineKey:
    """What a build with ``refit`` on this machine gives."""
    options = (("builder", BUILDER), ("refit", True))
    digest = hashlib.sha256(onnx).hexdigest()
    key = EngineKey(digest, library.name, library.version, "sm86", GPU.cuda, GPU.driver, options)
    return replace(key, **changed)


def kept(cache: EngineCache, library: Library, **changed: Any) -> EngineKey:
    """The key of an engine that the cache has: of `OLD`."""
    key = key_of(OLD, library, **changed)
    cache.fetch(key, lambda: FakeBuilt(ENGINE, FakeReport("old")))
    return key


def exchanged(cache: EngineCache, library: Library, key: EngineKey) -> CachedEngine:
    return refit_engine(library, cache, key, OLD, NEW)


@pytest.mark.parametrize("name", NAMES)
def test_the_calls_are_those_of_each_version(
    name: str, cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, library = play(name, monkeypatch)
    made = exchanged(cache, library, kept(cache, library))
    assert (made.engine, made.built) == (b"the new engine", True)
    (loaded,) = recorder.called("deserialize_cuda_engine")
    assert loaded.arguments == {"serialized_engine": ENGINE}
    (given,) = recorder.called("refit_from_bytes")
    assert given.arguments["model"] == NEW
    assert len(recorder.called("refit_cuda_engine")) == 1


def test_the_new_engine_is_kept_where_a_build_of_its_graph_would_be(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, library = play(NAMES[0], monkeypatch)
    key = kept(cache, library)
    exchanged(cache, library, key)
    found = cache.fetch(key_of(NEW, library), pytest.fail)
    assert found.engine == b"the new engine"
    assert found.report == {"name": "old", "bytes": 14, "build_seconds": found.report["build_seconds"]}
    assert cache.fetch(key, pytest.fail).engine == ENGINE
    recorder.calls.clear()
    assert not exchanged(cache, library, key).built
    assert not recorder.calls


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"loaded": None}, "refuses the engine: it gave no reason"),
        ({"parsed": False, "errors": ["no weight m"]}, "refuses the new weights: no weight m"),
        ({"missing": ["m"]}, "m lack theirs"),
        ({"refitted": False}, "refuses the new weights"),
    ],
)
def test_what_is_refused(
    name: str, answers: dict[str, Any], words: str, cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, library = play(name, monkeypatch, **answers)
    key = kept(cache, library)
    with pytest.raises(EngineError, match=words):
        exchanged(cache, library, key)
    assert cache.load(key_of(NEW, library)) is None


def test_an_entry_that_the_cache_did_not_write_is_refused_before_a_runtime_is_made(
    cache: EngineCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, library = play(NAMES[0], monkeypatch)
    other = EngineCache(tmp_path / "other")
    key = kept(other, library)
    foreign = other.folder / f"{key.digest}.engine"
    with pytest.raises(CacheError, match="has no engine of this key"):
        exchanged(cache, library, key)
    kept(cache, library)
    mine = cache.folder / foreign.name
    whole = mine.read_bytes()
    for spoilt in (foreign.read_bytes(), ENGINE, whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        mine.write_bytes(spoilt)
        with pytest.raises(CacheError, match="that it wrote itself"):
            exchanged(cache, library, key)
    assert not recorder.calls
    mine.write_bytes(whole)
    assert exchanged(cache, library, key).built


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"graph": "0" * 64}, "another graph than the one given as built_from"),
        ({"options": (("builder", BUILDER),)}, "built without refit"),
        ({"options": (("builder", BUILDER + 1), ("refit", True))}, "another version of cnnrnn"),
        ({"library_version": "1.2.4"}, "built by TensorRT 1.2.4; 1.2.3 is installed"),
        ({"architecture": "sm87"}, "built for sm87; the GPU here is sm86"),
        ({"driver": "540.4.0"}, "under driver 540.4.0"),
    ],
)
def test_a_key_that_does_not_fit_is_refused_before_a_runtime_is_made(
    changed: dict[str, Any], words: str, cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, library = play(NAMES[0], monkeypatch)
    key = kept(cache, library, **changed)
    with pytest.raises(OptionsError, match=words):
        exchanged(cache, library, key)
    assert not recorder.calls


@pytest.mark.parametrize(
    "other", [product(limit=5.0), product(axis=0), product(name="n"), onnx_graphs.product()]
)
def test_more_than_weights_is_refused_before_anything_is_loaded(
    other: bytes, cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, library = play(NAMES[0], monkeypatch)
    key = kept(cache, library)
    with pytest.raises(OptionsError, match="differ in more than their weights"):
        refit_engine(library, cache, key, OLD, other)
    assert not recorder.calls


def test_without_a_gpu_no_runtime_is_made(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, library = play(NAMES[0], monkeypatch)
    key = kept(cache, library)
    monkeypatch.setattr(refit, "find_device", lambda: None)
    with pytest.raises(MissingDependencyError, match="no NVIDIA GPU") as raised:
        exchanged(cache, library, key)
    assert raised.value.exit_code == 3
    assert not recorder.calls


def test_structure() -> None:
    assert structure(OLD) == structure(NEW)
    assert structure(OLD) != structure(product(limit=5.0))
    with pytest.raises(OptionsError, match="no ONNX graph"):
        structure(b"\xff" * 9)
