"""What importing costs, and what the runtime keeps away from."""

from __future__ import annotations

import subprocess
import sys

import pytest

import cnnrnn


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_importing_the_package_imports_nothing_heavy():
    assert not modules_after("import cnnrnn") & {"numpy", "cv2", "onnxruntime", "tokenizers", "onnx", "torch"}
    assert not modules_after("from cnnrnn import load") & {
        "cv2",
        "onnxruntime",
        "tokenizers",
        "onnx",
        "torch",
    }


def test_captioning_imports_neither_torch_nor_onnx(written_bundle):
    loaded = modules_after(
        f"import cnnrnn, numpy\nwith cnnrnn.load({str(written_bundle)!r}, threads=1) as model:\n"
        "    model(numpy.zeros((9, 8, 3), 'uint8'))"
    )
    assert {"onnxruntime", "tokenizers", "cv2"} <= loaded
    assert not loaded & {"torch", "onnx", "PIL"}


def test_the_public_names():
    assert set(cnnrnn.__all__) <= set(dir(cnnrnn))
    assert all(getattr(cnnrnn, name) is not None for name in cnnrnn.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cnnrnn.nothing


def test_the_folder_is_not_imported_under_its_own_name():
    done = subprocess.run(
        [sys.executable, "-c", "import runtime"],
        capture_output=True,
        text=True,
        cwd=cnnrnn.__path__[0] + "/..",
        check=False,
        timeout=60,
    )
    assert "import it as cnnrnn.runtime" in done.stderr
