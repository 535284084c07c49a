"""What cannot be done on a device: one error of ours each time, with what to do, and the model as it was."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import pytest

import cnnrnn
from cnnrnn.core.errors import CnnrnnError
from cnnrnn.runtime.device.options import DeviceOptions
from tests.device import ort_double, tensorrt_double
from tests.device.test_backends import opened, pictures
from tests.driver import inside
from tests.driver.rig import Rig


def told(function: Any, *arguments: Any, **options: Any) -> str:
    """``"Type: message"`` of what it raises, or what it gave as a text."""
    try:
        return str(function(*arguments, **options))
    except CnnrnnError as error:
        return f"{type(error).__name__}: {error}"


class Warnings(logging.Handler):
    """Keeps what the runtime warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        logging.getLogger("cnnrnn.runtime").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def no_gpu(backend: str) -> str:
    return told(opened, backend)


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx", "ort-cuda"])
def test_without_a_gpu(backend: str, rig: Rig) -> None:
    said = rig.try_out(no_gpu, backend, STANDIN_DEVICES="0").value
    assert said.startswith("NoDeviceError: GPU 0 cannot be used: CUDA_ERROR_NO_DEVICE. nvidia-smi lists")
    assert said.endswith("without one, use the backend ort-cpu")


def another_gpu() -> str:
    opened("tensorrt").close()
    return told(cnnrnn.load, "emoji", backend="tensorrt", device=1)


def test_a_gpu_that_is_not_there(rig: Rig) -> None:
    assert rig.try_out(another_gpu).value.startswith("NoDeviceError: GPU 1 cannot be used: ")


def bad_options() -> list[str]:
    return [
        told(DeviceOptions, loop="for"),
        told(DeviceOptions, True),
        told(DeviceOptions, ort_provider="rocm"),
        told(DeviceOptions, provider="hip"),
        told(cnnrnn.load, "emoji", backend="tensorrt", device=-1),
        told(cnnrnn.load, "emoji", backend="tensorrt", threads=2),
        told(cnnrnn.load, "emoji", backend="tensorrt", precision="int8"),
        told(cnnrnn.load, "emoji", backend="cuda"),
    ]


def test_options_that_are_none(rig: Rig) -> None:
    said = rig.run(bad_options).value
    assert all(text.startswith("OptionsError: ") for text in said), said
    for text, words in zip(
        said,
        (
            "loop='for' is unknown",
            "device=True",
            "'rocm'",
            "'hip'",
            "device=-1",
            "threads=2",
            "int8",
            "ort-cuda",
        ),
        strict=True,
    ):
        assert words in text


def an_old_driver() -> list[Any]:
    warnings = Warnings()
    with opened("tensorrt") as model:
        return [model(pictures(1)[0]).loop, warnings.said]


@pytest.mark.parametrize(("driver", "loop"), [("12030", "replay"), ("12020", "launch"), ("13000", "while")])
def test_a_driver_that_is_too_old_for_loops_in_graphs(driver: str, loop: str, rig: Rig) -> None:
    used, said = rig.run(an_old_driver, STANDIN_DRIVER_VERSION=driver).value
    assert used == loop
    told_of = [text for text in said if "cannot run a loop in a graph" in text]
    assert len(told_of) == (loop != "while")
    if told_of:
        assert f"its driver is of CUDA {driver[:2]}.{driver[3]}" in told_of[0]
        assert f"loop='{loop}'" in told_of[0]


def needs() -> list[int]:
    with opened("tensorrt") as model:
        backend: Any = model._backend
        return [backend.memory(1, beams).device_bytes for beams in (2, 5)]


def with_little_memory() -> list[str]:
    with opened("tensorrt") as model:
        return [told(model, pictures(1)[0], beams=beams)[:400] for beams in (2, 5, 2)]


def test_a_bucket_that_does_not_fit(rig: Rig) -> None:
    """It says what is wanted and what is free, takes nothing, and the smaller one goes on."""
    small, large = rig.run(needs).value
    assert small < large
    first, second, third = rig.run(with_little_memory, STANDIN_MEMORY_BYTES=str(large - 1)).value
    assert first.startswith("Result(")
    assert second.startswith(
        f"DeviceMemoryError: out of memory: {large} bytes of device memory (1 image, 5 beams)"
    )
    assert f"are wanted, {large - 1} of {large - 1} are free" in second
    assert third == first


def a_bad_engine() -> list[Any]:
    with opened("tensorrt") as model:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(tensorrt_double.Runtime, "deserialize_cuda_engine", lambda self, data: None)
            said = told(model, pictures(1)[0])
        return [said, told(model, pictures(1)[0])]


def test_an_engine_that_tensorrt_does_not_load(rig: Rig) -> None:
    said, after = rig.run(a_bad_engine).value
    assert said.startswith("EngineError: TensorRT 10.3.0 does not load the engine of fp32/encoder.onnx (1)")
    assert "cnnrnn inspect --cache" in said
    assert after.startswith("Result(")


def altered_and_of_another_gpu() -> list[Any]:
    """Engines in the cache that somebody altered, and those of another driver."""
    with opened("tensorrt") as model:
        first = told(model, pictures(1)[0])
    built = len(tensorrt_double.built)
    folder = os.environ["CNNRNN_CACHE"]
    for name in os.listdir(folder):
        if name.endswith(".engine"):
            with open(os.path.join(folder, name), "r+b") as file:
                file.seek(-5, os.SEEK_END)
                file.write(b"?")
    with cnnrnn.load("emoji", backend="tensorrt", precision="fp32") as model:
        second = told(model, pictures(1)[0])
    return [first == second, built, len(tensorrt_double.built)]


def test_an_altered_engine_is_built_again(rig: Rig) -> None:
    assert rig.run(altered_and_of_another_gpu).value == [True, 3, 6]


def without_the_provider() -> str:
    opened("ort-cuda").close()
    ort_double.install(["CPUExecutionProvider"])
    return told(cnnrnn.load, "emoji", backend="ort-cuda")


def test_onnx_runtime_for_processors_alone(rig: Rig) -> None:
    said = rig.run(without_the_provider).value
    assert said.startswith("MissingDependencyError: ONNX Runtime ")
    assert "pip uninstall onnxruntime; pip install 'cnnrnn[gpu]'" in said


def with_nodes_on_the_processor() -> list[Any]:
    opened("ort-cuda").close()
    ort_double.install(cpu_nodes=True)
    warnings = Warnings()
    with cnnrnn.load("emoji", backend="ort-cuda", precision="fp32") as model:
        return [told(model, pictures(1)[0]), warnings.said]


def test_onnx_runtime_says_where_it_leaves_the_gpu(rig: Rig) -> None:
    answer, said = rig.run(with_nodes_on_the_processor).value
    assert answer.startswith("Result(")
    assert len([text for text in said if "runs a part of it on the CPU" in text]) == 3


def in_a_fork() -> list[str]:
    with opened("tensorrt") as model:
        (image,) = pictures(1)
        said = [told(model, image)]
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, told(model, image).encode())
            os._exit(0)
        os.wait()
        said.append(os.read(reader, 1000).decode())
        said.append(told(model, image))
        return said


def test_a_forked_process_is_told_what_to_do(rig: Rig) -> None:
    before, forked, after = rig.try_out(in_a_fork).value
    assert forked.startswith("DeviceError: ")
    assert "CUDA cannot be used in a process that was forked after it started" in forked
    assert before == after


def a_lost_context() -> list[str]:
    with opened("tensorrt") as model:
        (image,) = pictures(1)
        said = [told(model, image)]
        backend: Any = model._backend
        with backend._device.current():
            inside.break_context()
        said += [told(model, image), told(model, image)]
    return said


def test_a_lost_context_is_told_of_and_the_model_closes(rig: Rig) -> None:
    outcome = rig.try_out(a_lost_context)
    assert outcome.error is None, outcome.stderr
    before, first, second = outcome.value
    assert before.startswith("Result(")
    for text in (first, second):
        assert text.startswith("DeviceError: ")
        assert "start a new process" in text


def closed_while_it_streams() -> list[Any]:
    model = opened("tensorrt")
    stream = model.stream(pictures(1)[0], beams=1)
    pieces = [next(stream).text]
    model.close()
    model.close()
    said = told(model, pictures(1)[0])
    pieces += [piece.text for piece in stream]
    return ["".join(pieces) == stream.result.text, said]


def test_a_model_that_is_closed_ends_what_is_running(rig: Rig) -> None:
    whole, said = rig.run(closed_while_it_streams).value
    assert whole
    assert said == "ClosedError: the model 'emoji' is closed; load it again"


def without_a_library() -> str:
    sys.modules["tensorrt"] = sys.modules["tensorrt_bindings"] = None  # type: ignore[assignment]
    return told(cnnrnn.load, "emoji", backend="tensorrt")


def test_without_tensorrt(rig: Rig) -> None:
    said = rig.run(without_a_library).value
    assert said.startswith("MissingDependencyError: TensorRT is")
    assert "cnnrnn[tensorrt]" in said
