"""Frames that lie on the device: captioned where they lie, in the order of the caller's stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import cnnrnn
from cnnrnn.core.errors import CnnrnnError
from cnnrnn.runtime.device import open_device
from cnnrnn.runtime.device.options import DeviceOptions
from cnnrnn.runtime.image import read_image
from tests.device.device_frames import Dlpack, Interface, ReadOnly, Tensor, Uploaded, unknown
from tests.device.test_backends import on_the_cpu, opened, pictures, plain
from tests.device.test_refusals import told
from tests.driver import inside
from tests.driver.calls import ok, start
from tests.driver.rig import Rig


def picture(number: int = 0, height: int = 0, width: int = 0) -> NDArray[np.uint8]:
    """(H, W, 3) BGR: one of the shipped samples, or its upper left corner."""
    found = read_image(pictures(number + 1)[number])[:, :, ::-1]
    return np.ascontiguousarray(found[: height or None, : width or None])


def with_alpha(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    ramp = np.broadcast_to(np.arange(image.shape[1]) % 256, image.shape[:2])[..., None]
    return np.concatenate([image, ramp.astype(np.uint8)], axis=2)


LAYOUTS: dict[str, Callable[[], tuple[NDArray[np.uint8], int, dict[str, Any]]]] = {
    "colour": lambda: (picture(), 0, {}),
    "rgb": lambda: (np.ascontiguousarray(picture()[:, :, ::-1]), 0, {"color": "rgb"}),
    "pitched": lambda: (picture(1, 70, 93), 512, {}),
    "grey": lambda: (np.ascontiguousarray(picture(2)[:, :, 1]), 0, {}),
    "grey, one channel": lambda: (np.ascontiguousarray(picture(2)[:, :, 1:2]), 300, {}),
    "alpha": lambda: (with_alpha(picture(1)), 0, {}),
    "enlarged": lambda: (picture(0, 40, 31), 0, {}),
    "a pixel": lambda: (picture(0, 1, 1), 0, {}),
}


def captioned(name: str, loop: str, layout: str) -> dict[str, Any]:
    array, pitch, options = LAYOUTS[layout]()
    wanted = on_the_cpu(array, **options)
    with opened(name, loop) as model:
        model(array, **options)  # all that a search needs is there from now on
        start()
        inside.reset()
        model(array, **options)
        by_host = inside.counts()
        frame = Uploaded(array, pitch)
        producer = frame.dlpack()
        inside.reset()
        first: Any = model(frame.shown(), **options)
        on_device = inside.counts()
        others = [
            model(shown, **options)
            for shown in (
                frame.shown(stream=None, strides=None) if not pitch else frame.shown(),
                producer,
                ReadOnly(frame),
                Tensor(frame),
            )
        ]
        reports = inside.lines(inside.Lines.REPORTS)
        frame.free()
    side = model.manifest.image
    return {
        "same": [plain(result) == wanted for result in (first, *others)],
        "counters": first.counters,
        "stages": sorted(first.timings_ms),
        "saved": by_host["host_to_device_bytes"] - on_device["host_to_device_bytes"],
        "input": side.height * side.width * 3,
        "waits": on_device["synchronizes"] - by_host["synchronizes"],
        "pageable": on_device["pageable"],
        "streams": [stream if stream == -1 else "a handle" for stream in producer.streams],
        "reports": reports,
    }


@pytest.mark.parametrize(
    ("name", "loop", "layout"),
    [
        *(("tensorrt", "while", layout) for layout in LAYOUTS),
        ("tensorrt-rtx", "replay", "pitched"),
        ("tensorrt 11", "launch", "alpha"),
        ("ort-cuda", "auto", "colour"),
    ],
)
def test_a_frame_is_captioned_where_it_lies(name: str, loop: str, layout: str, rig: Rig) -> None:
    """Not a byte of it crosses, and nothing waits for it."""
    found = rig.run(captioned, name, loop, layout).value
    assert found["same"] == [True] * 5
    assert found["saved"] == found["input"]
    assert found["waits"] == found["pageable"] == 0
    assert set(found["counters"].values()) == {0}
    assert found["stages"] == ["backtrace", "decode", "encoder", "search", "total"]
    assert found["streams"] == [-1, "a handle"]
    assert found["reports"] == []


def mixed() -> list[bool]:
    arrays = [picture(number) for number in range(3)]
    wanted, alone = on_the_cpu(arrays), [on_the_cpu(array) for array in arrays]
    same = []
    with opened("tensorrt") as model:
        settled = "".join(piece.text for piece in model.stream(arrays[0]))
        start()
        held = [Uploaded(array, wait=False) for array in arrays[:2]]
        images = [held[0].shown(), arrays[2], held[1].dlpack()]
        found = model(images)
        same.append([plain(result) for result in found] == [wanted[0], wanted[2], wanted[1]])
        same.append([plain(result) for result in model.map(images)] == [alone[0], alone[2], alone[1]])
        same.append("".join(piece.text for piece in model.stream(images[0])) == settled)
        for frame in held:
            frame.free()
    return same


def test_frames_among_pictures_and_in_streams(rig: Rig) -> None:
    assert rig.run(mixed).value == [True] * 3


def refused() -> list[str]:
    array = picture(0, 20, 30)
    said = []
    with opened("tensorrt") as model:
        model(array)
        start()
        frame = Uploaded(array)
        nowhere = unknown()
        bad = [
            frame.shown(typestr="<f4"),
            frame.shown(shape=(20,)),
            frame.shown(shape=(20, 30, 2)),
            frame.shown(strides=(-90, 3, 1)),
            frame.shown(strides=(90, 6, 1)),
            frame.shown(strides=(30, 3, 1)),
            frame.shown(shape=(0, 30, 3)),
            frame.shown(shape=(20_000, 1, 3)),
            frame.shown(data=(0, False)),
            frame.shown(data=(nowhere.address, False)),
            frame.shown(mask=frame),
            frame.shown(stream=0),
            frame.shown(stream=nowhere.address),
            Interface({"shape": (2, 2)}),
            frame.dlpack(code=2),
            frame.dlpack(device=1),
            Refuses(frame),
            frame.shown(shape=(4_000, 30, 3), strides=None),
            frame.shown(strides=(1 << 40, 3, 1)),
            frame.shown(strides=(1 << 62, 3, 1)),
            frame.shown(data=(-5, False)),
            frame.shown(shape=(float("inf"), 30, 3)),
            Interface(7),
            Lost(frame),
        ]
        for image in bad:
            said.append(told(model, image))
            with pytest.raises(CnnrnnError):
                model([array, image])
        said.append(told(model, frame.shown()))
        first: Any
        first, second = model([frame.shown(), bad[0]], errors="return")
        said += [first.text, str(second)]
        frame.free()
    return said


class Refuses(Dlpack):
    """As torch does for a tensor that needs a gradient."""

    def __dlpack__(self, *, stream: Any = None) -> Any:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")


class Lost(Dlpack):
    """As torch does for a tensor without memory."""

    def __dlpack_device__(self) -> tuple[int, int]:
        raise ValueError("Unknown device type meta for Dlpack")


def test_frames_that_cannot_be_read(rig: Rig) -> None:
    """Each is one sentence, and the model goes on."""
    outcome = rig.try_out(refused)
    said = outcome.value
    assert outcome.leaks == {}
    assert all("is no stream" in report for report in outcome.reports), outcome.reports
    for text, words in zip(
        said,
        (
            "a frame of <f4 is not a picture; give uint8",
            "a frame of shape (20,) is not a picture",
            "a frame of shape (20, 30, 2) is not a picture",
            "strides are (-90, 3, 1) bytes",
            "strides are (90, 6, 1) bytes for its shape (20, 30, 3): its pixels have to lie side by side",
            "strides are (30, 3, 1) bytes",
            "30 x 0 pixels: it is empty",
            "the frame is 1 x 20000 pixels; at most 16384",
            "its address is 0",
            "is not one that the driver knows",
            "the frame has a mask",
            "the frame's stream is 0",
            "its stream is gone, or of another context",
            "__cuda_array_interface__ cannot be read: KeyError('data')",
            "a frame of float8 is not a picture",
            "lies on GPU 1, and the model runs on GPU 0; load it with device=1",
            "require gradient",
            "is not one that the driver knows: the memory was freed, is the host's, or ends before that",
            "ends before that",
            "there is no such memory; its address or its strides are wrong",
            "there is no such memory",
            "cannot be read: OverflowError",
            "cannot be read: it is a int, not a dict",
            "an object of type Lost cannot say by DLPack where it lies",
        ),
        strict=False,
    ):
        assert text.startswith("ImageError: "), text
        assert words in text, text
    *_, good, first, second = said
    assert good.startswith("Result(")
    assert first
    assert "picture 2 of 2: a frame of <f4" in second


def every_call_failed() -> list[list[Any]]:
    """Each call of the driver for the caption of a frame fails once; what came of it, and of the next."""
    options: dict[str, Any] = {"beams": 1, "max_length": 2}
    found: list[list[Any]] = []
    array = picture(0, 20, 30)
    wanted = on_the_cpu(array, **options)
    with opened("tensorrt", "launch") as model:
        start()
        frame = Uploaded(array)
        model(frame.shown(), **options)
        inside.reset()
        model(frame.shown(), **options)
        calls = inside.lines(inside.Lines.CALLS)
        for number, call in enumerate(calls, 1):
            inside.reset()
            inside.fail_call(number, inside.OUT_OF_MEMORY)
            try:
                said: Any = plain(model(frame.shown(), **options)) == wanted
            except CnnrnnError as error:
                said = f"{type(error).__name__}: {error}"
            inside.fail_call(0)
            found.append([call, said, plain(model(frame.shown(), **options)) == wanted])
        frame.free()
    return found


def test_whatever_call_fails_the_next_frame_is_captioned(rig: Rig) -> None:
    outcome = rig.try_out(every_call_failed)
    assert outcome.error is None, outcome.stderr
    assert outcome.leaks == {}
    raised = {call for call, said, _ in outcome.value if said is not True}
    assert {"cuPointerGetAttribute", "cuEventRecord", "cuStreamWaitEvent", "cuLaunchKernelEx"} <= raised
    for call, said, again in outcome.value:
        assert again is True, (call, said)
        assert said is True or " failed: " in said or " did not queue " in said, (call, said)


def on_another_gpu() -> str:
    array = picture(0, 20, 30)
    start()
    frame = Uploaded(array)
    model = opened("tensorrt")
    model.close()
    with cnnrnn.load("emoji", backend="tensorrt", precision="fp32", device=1) as model:
        said = told(model, frame.shown())
    frame.free()
    return said


def test_a_frame_on_another_gpu(rig: Rig) -> None:
    said = rig.run(on_another_gpu, STANDIN_DEVICES="2").value
    assert "ImageError: the frame (20 x 30 x 3) lies on GPU 0, and the model runs on GPU 1" in said


def on_the_second_gpu() -> str:
    """The thread's own GPU stays the first, as that of a library that was told nothing else."""
    array = picture(0, 20, 30)
    cu = start()
    first, second = (ok(cu.cuDevicePrimaryCtxRetain(number)) for number in range(2))
    opened("tensorrt").close()
    with cnnrnn.load("emoji", backend="tensorrt", precision="fp32", device=1) as model:
        ok(cu.cuCtxSetCurrent(second))
        frame = Uploaded(array)
        ok(cu.cuCtxSetCurrent(first))
        found = model(Tensor(frame, device=1))
        assert int(ok(cu.cuCtxGetDevice())) == 0
        ok(cu.cuCtxSetCurrent(second))
        frame.free()
        ok(cu.cuCtxSetCurrent(first))
        same = plain(found) == plain(model(array))
    for number in range(2):
        ok(cu.cuDevicePrimaryCtxRelease(number))
    return "the same" if same else found.text


def test_a_library_that_minds_which_gpu_is_current(rig: Rig) -> None:
    assert rig.run(on_the_second_gpu, STANDIN_DEVICES="2").value == "the same"


def over_pycuda() -> list[Any]:
    """pycuda's own arrays, captioned through pycuda."""
    array = picture()
    wanted = on_the_cpu(array)
    opened("tensorrt").close()
    options = DeviceOptions(provider="pycuda")
    with cnnrnn.load("emoji", backend="tensorrt", precision="fp32", device=options) as model:
        model(array)
        backend: Any = model._backend
        with backend._device.current():
            import pycuda.gpuarray as gpuarray

            held = gpuarray.to_gpu(array)
        found = model(held)
        said = told(model, Interface({**held.__cuda_array_interface__, "data": (unknown().address, False)}))
        with backend._device.current():
            held.gpudata.free()
    return [plain(found) == wanted, found.counters, said]


@pytest.mark.usefixtures("pycuda")
def test_an_array_of_pycudas(rig: Rig) -> None:
    same, counters, said = rig.run(over_pycuda).value
    assert same
    assert set(counters.values()) == {0}
    assert "is not one that the driver knows" in said


def test_a_cpu_has_no_frames_of_a_gpu() -> None:
    frame = Interface(
        {"version": 3, "shape": (8, 9, 3), "typestr": "|u1", "data": (4096, False), "stream": None}
    )
    with cnnrnn.load("emoji") as model:
        said = told(model, frame)
    assert "ImageError: the frame (8 x 9 x 3) lies on a GPU, and the backend ort-cpu reads pictures" in said
    assert "load the model with backend='tensorrt'" in said


def test_arrays_of_others_on_the_host() -> None:
    torch = pytest.importorskip("torch")
    array = picture()
    with cnnrnn.load("emoji") as model:
        assert plain(model(torch.from_numpy(array))) == plain(model(array))
        assert "an array of float32 is not a picture" in told(model, torch.zeros(4, 4))
        assert "gradient" in told(model, torch.zeros(4, 4, requires_grad=True))


def test_open_device_knows_its_number(rig: Rig) -> None:
    assert rig.run(numbers, STANDIN_DEVICES="2").value == [0, 1]


def numbers() -> list[int]:
    found = []
    for ordinal in range(2):
        with open_device(ordinal) as device:
            found.append(device.info.ordinal)
    return found
