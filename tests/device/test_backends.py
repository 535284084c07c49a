"""Models on a device, from `load` to the result: TensorRT, TensorRT-RTX and ONNX Runtime's CUDA provider."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from typing import Any

import pytest

import cnnrnn
from cnnrnn.core.samples import package_data, pictures_in
from cnnrnn.runtime.device.options import DeviceOptions
from cnnrnn.runtime.result import Result
from tests.device import ort_double, tensorrt_double
from tests.device.loop_kernels import emulate_all
from tests.driver import inside
from tests.driver.rig import Rig
from tests.engine.rigs import bindings
from tests.engine.rigs.surface import RTX, Surface

ALL_NOTHING = {"host_to_device_bytes": 0, "device_to_host_bytes": 0, "synchronizes": 0}
BACKENDS = {
    "tensorrt": bindings.VERSIONS[0],
    "tensorrt 11": bindings.VERSIONS[-1],
    "tensorrt-rtx": RTX,
    "ort-cuda": "",
}


def pictures(count: int) -> list[str]:
    return [str(path) for path in pictures_in(package_data("samples") / "demo")[:count]]


def opened(name: str, loop: str = "auto", precision: str = "fp32") -> cnnrnn.Model:
    """The shipped bundle on a device."""
    os.environ["CNNRNN_CACHE"] = tempfile.mkdtemp()
    emulate_all()
    if name == "ort-cuda":
        ort_double.install()
    else:
        tensorrt_double.install(BACKENDS[name])
    return loaded(name.partition(" ")[0], loop, precision)


def loaded(backend: str, loop: str = "auto", precision: str = "fp32") -> cnnrnn.Model:
    """As `opened`, where the double is installed already."""
    return cnnrnn.load("emoji", backend=backend, precision=precision, device=DeviceOptions(loop=loop))


def plain(result: Any) -> dict[str, Any]:
    """What has to be the same wherever it ran."""
    assert isinstance(result, Result)
    found = result.to_dict()
    return {name: found[name] for name in ("text", "score", "tokens", "hypotheses", "stopped", "reason")}


def on_the_cpu(images: Any, **options: Any) -> Any:
    with cnnrnn.load("emoji", threads=1, precision="fp32") as model:
        found = model(images, **options)
    return [plain(result) for result in found] if isinstance(found, list) else plain(found)


def captioned(name: str, loop: str) -> dict[str, Any]:
    images = pictures(3)
    wanted, alone = on_the_cpu(images), on_the_cpu(images[0])
    with opened(name, loop) as model:
        results = model(images)
        again = model(images[0])
        made = list(tensorrt_double.built)
        model(images)
    assert tensorrt_double.built == made, "an engine was built twice"
    return {
        "same": [plain(result) for result in results] == wanted,
        "again": plain(again) == alone,
        "loops": sorted({str(result.loop) for result in (*results, again)}),
        "counters": [result.counters for result in results],
        "stages": sorted(again.timings_ms),
        "backend": again.backend,
        "built": made,
    }


@pytest.mark.parametrize(
    ("name", "loop", "used"),
    [
        ("tensorrt", "auto", "while"),
        ("tensorrt 11", "replay", "replay"),
        ("tensorrt-rtx", "auto", "while"),
        ("tensorrt-rtx", "launch", "launch"),
        ("ort-cuda", "auto", "launch"),
    ],
)
def test_the_captions_are_those_of_the_cpu(name: str, loop: str, used: str, rig: Rig) -> None:
    found = rig.run(captioned, name, loop).value
    assert found["same"]
    assert found["again"]
    assert found["loops"] == [used]
    assert found["counters"] == [ALL_NOTHING] * 3
    assert found["stages"] == ["backtrace", "decode", "encoder", "preprocess", "search", "total"]
    assert found["backend"] == name.partition(" ")[0]
    if name != "ort-cuda":  # of four pictures, and of one
        assert len(found["built"]) == 6


SIGNATURES = {
    "IExecutionContext": {
        "set_device_memory": "(memory: int, size: int) -> None",
        "set_tensor_address": "(name: str, memory: int) -> bool",
        "execute_async_v3": "(stream_handle: int) -> bool",
    },
    "ICudaEngine": {
        "create_execution_context": "(strategy: ExecutionContextAllocationStrategy = ...) "
        "-> IExecutionContext"
    },
}


@pytest.mark.parametrize("name", [*bindings.VERSIONS, RTX])
def test_every_tensorrt_takes_what_it_is_given(name: str) -> None:
    surface = Surface.load(name)
    for owner, methods in SIGNATURES.items():
        for method, signature in methods.items():
            assert signature in surface.classes[owner]["methods"][method]


def streamed() -> dict[str, Any]:
    (image,) = pictures(1)
    with cnnrnn.load("emoji", threads=1, precision="fp32") as model:
        stream = model.stream(image, beams=1)
        wanted, result = [(piece.text, piece.tokens) for piece in stream], stream.result
    found = {}
    opened("tensorrt").close()
    for loop in ("while", "replay", "launch"):
        with loaded("tensorrt", loop) as model:
            model(image, beams=1)
            inside.reset()
            stream = model.stream(image, beams=1)
            pieces = [(piece.text, piece.tokens) for piece in stream]
            found[loop] = [pieces == wanted, plain(stream.result) == plain(result)]
            found[loop] += [stream.result.counters, inside.counts()["synchronizes"], len(pieces)]
            next(model.stream(image, beams=1))  # let go of half-way
            found[loop].append(plain(model(image, beams=1)) == plain(result))
    return found


def test_settled_tokens_are_streamed(rig: Rig) -> None:
    """The same pieces as on the CPU, without a copy and with the one wait of every answer."""
    for loop, (pieces, answer, counters, waits, count, after) in rig.run(streamed).value.items():
        assert pieces, loop
        assert answer, loop
        assert counters == ALL_NOTHING, loop
        assert waits == 1, loop
        assert count > 1, loop
        assert after, loop


def in_threads(name: str, number: int) -> dict[str, Any]:
    images = pictures(number)
    wanted = [on_the_cpu(image) for image in images]
    found: dict[int, Any] = {}
    with opened(name) as model:
        model(images[0])
        barrier = threading.Barrier(number)

        def caption(index: int) -> None:
            barrier.wait()
            for _ in range(3):
                found[index] = plain(model(images[index]))

        threads = [threading.Thread(target=caption, args=(index,)) for index in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sessions = len(model._backend._sessions._idle)  # type: ignore[union-attr]
        streams = inside.alive()["streams"]
    return {
        "same": [found[index] for index in range(number)] == wanted,
        "sessions": sessions,
        "streams": streams,
        "built": len(tensorrt_double.built),
    }


def test_threads_have_sessions_of_their_own_and_share_the_engines(rig: Rig) -> None:
    found = rig.run(in_threads, "tensorrt", 4).value
    assert found["same"]
    assert 1 <= found["sessions"] <= 4
    assert found["streams"] == found["sessions"]
    assert found["built"] == 3


def test_threads_take_turns_where_there_is_one_stream(rig: Rig) -> None:
    found = rig.run(in_threads, "ort-cuda", 3).value
    assert found["same"]
    assert (found["sessions"], found["streams"]) == (1, 1)


def a_long_list() -> list[Any]:
    """More pictures than go through the graphs at once, and where the encoders were queued."""
    images = pictures(8) * 3
    wanted = on_the_cpu(images)
    with opened("tensorrt") as model:
        model(images)
        inside.reset()
        found = [plain(result) for result in model(images)]
        calls = inside.lines(inside.Lines.CALLS)
    waits = [index for index, call in enumerate(calls) if call == "cuStreamSynchronize"]
    launches = [index for index, call in enumerate(calls) if call == "cuGraphLaunch"]
    return [found == wanted, len(launches), sum(launch < waits[0] for launch in launches), len(waits)]


def test_the_next_batch_is_begun_before_the_last_is_waited_for(rig: Rig) -> None:
    same, launches, before, waits = rig.run(a_long_list).value
    assert same
    assert (launches, before, waits) == (4, 4, 2)


def as_they_come() -> list[Any]:
    """One picture at a time: whether the answers are right, and how many graphs were launched before the
    host waited for the first; what is left after the iterator was dropped half-way."""
    images = pictures(4)
    wanted = [on_the_cpu(image) for image in images]
    with opened("tensorrt") as model:
        list(model.map(images))
        inside.reset()
        found = [plain(result) for result in model.map(iter(images))]
        calls = inside.lines(inside.Lines.CALLS)
        next(model.map(images))
        again = plain(model(images[0]))
    waits = [index for index, call in enumerate(calls) if call == "cuStreamSynchronize"]
    launches = [index for index, call in enumerate(calls) if call == "cuGraphLaunch"]
    return [found == wanted, again == wanted[0], sum(at < waits[0] for at in launches), len(waits)]


def test_the_encoder_of_the_next_frame_runs_beside_this_ones_search(rig: Rig) -> None:
    """Two graphs each, the encoder and the loop, on two streams."""
    assert rig.run(as_they_come).value == [True, True, 4, 4]


def told_of() -> dict[str, Any]:
    """What is stated before it is taken, and what is taken."""
    said: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(f"{inside.alive()['device_memory']}: {record.getMessage()}")

    logger = logging.getLogger("cnnrnn.runtime.device")
    logger.addHandler(Keeping())
    logger.setLevel(logging.INFO)
    with opened("tensorrt") as model:
        backend: Any = model._backend
        need = backend.memory(1, 5)
        before = inside.taken_bytes()
        model(pictures(1)[0])
        taken = {place: inside.taken_bytes()[place] - before[place] for place in before}
    return {"said": said, "need": [need.device_bytes, need.pinned_bytes], "taken": taken}


def test_memory_is_stated_before_it_is_taken(rig: Rig) -> None:
    found = rig.run(told_of).value
    (stated,) = [text for text in found["said"] if "of device memory" in text]
    assert stated.startswith("0: 1 image, 5 beams: ")
    assert found["need"] == [found["taken"]["device_memory"], found["taken"]["pinned_memory"]]
