"""Arrays of other libraries on the host, and what their capsules say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cnnrnn.core.errors import ImageError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.runtime.dlpack import Strided, export, read_capsule
from cnnrnn.runtime.frame import read_frame
from cnnrnn.runtime.image import read_image
from cnnrnn.runtime.picture import take
from tests.device.device_frames import Dlpack
from tests.driver.inside import Span

torch = pytest.importorskip("torch")

SPEC = ImageSpec(8, 8, (0, 0, 0), (1, 1, 1))


def picture() -> NDArray[np.uint8]:
    return np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


def pinned(tensor: Any) -> Dlpack:
    """As if its memory were pinned: it is the host's, and says that it is CUDA's."""
    array = tensor.numpy()
    there = SimpleNamespace(span=Span(tensor.data_ptr(), array.nbytes), array=array, strides=array.strides)
    return Dlpack(there, kind=3)


class Old:
    """A library that knows no version 1.0."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def __dlpack_device__(self) -> Any:
        return self._tensor.__dlpack_device__()

    def __dlpack__(self, *, stream: Any = None) -> Any:
        return self._tensor.__dlpack__(stream=stream)


@pytest.mark.parametrize("made", [lambda tensor: tensor, Old])
def test_a_capsule_says_how_an_array_lies(made: Any) -> None:
    """Of torch's own, of the version that has a number and of the one that has none."""
    tensor = torch.zeros((6, 8, 3), dtype=torch.uint8)[2:, 1:6]
    array, type_name = read_capsule(export(made(tensor), -1))
    assert type_name == "uint8"
    assert array == Strided(tensor.data_ptr(), (4, 5, 3), (24, 3, 1))
    _, type_name = read_capsule(export(made(tensor.to(torch.bfloat16)), -1))
    assert type_name == "bfloat16"


def test_what_is_no_capsule() -> None:
    with pytest.raises(ValueError, match="PyCapsule"):
        read_capsule(7)


@pytest.mark.parametrize("made", [torch.Tensor.contiguous, pinned, Old])
def test_an_array_on_the_host_is_a_picture(made: Any) -> None:
    source = made(torch.from_numpy(picture()))
    assert read_frame(source, "bgr", SPEC) is None
    assert np.array_equal(read_image(source), picture()[:, :, ::-1])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (torch.zeros((4, 5), dtype=torch.uint8, device="meta"), "cannot say by DLPack where it lies"),
        (torch.Tensor, "cannot say by DLPack where it lies"),
        (torch.zeros((4, 5), dtype=torch.uint8).to_sparse(), "cannot be read by DLPack"),
        (torch.zeros((4, 5), requires_grad=True), "gradient"),
        (torch.zeros((4, 5), dtype=torch.bfloat16), "cannot be read by DLPack"),
    ],
)
def test_what_a_library_refuses(source: Any, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        take(source, "bgr", SPEC, lambda frame: None)
