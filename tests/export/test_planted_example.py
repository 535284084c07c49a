"""The example `examples/precision_doctor` plants an overflow, and what its second command does cures it."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.samples import sample_pictures
from cnnrnn.export import LoweringOptions, add_precisions
from cnnrnn.runtime.loading import load

PICTURES = 40
EXAMPLE = Path(__file__).resolve().parents[2] / "examples/precision_doctor/plant_overflow.py"


@pytest.mark.slow
def test_the_shipped_bundle_is_spoilt_and_cured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planted, cured, page = tmp_path / "planted", tmp_path / "cured", tmp_path / "doctor.html"
    spec = importlib.util.spec_from_file_location("plant_overflow", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    monkeypatch.setattr("sys.argv", [str(EXAMPLE), "emoji", str(planted)])
    example.main()
    convolution = capsys.readouterr().out.split()[1]

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for path in sample_pictures()[:PICTURES]:
        shutil.copy(path, pictures)
    options = LoweringOptions(("fp16",), doctor_report=page, least_pictures=PICTURES)
    add_precisions(planted, cured, options, pictures=pictures)
    report = Bundle.open(cured).manifest.parity["precisions"]["fp16"]
    normalisation = convolution.replace("_expand_conv/Conv", "_bn0/BatchNormalization")
    assert report["pinned"] == {"encoder": [normalisation, convolution]}
    assert convolution in page.read_text()
    some = sample_pictures()[:8]
    with load("emoji") as full, load(cured, precision="fp16") as half:
        wanted = [result.text for result in full(some)]
        assert [result.text for result in half(some)] == wanted
    graph = onnx.load_from_string(Bundle.open(cured).graph("fp16/encoder.onnx")).graph
    assert np.isfinite([onnx.numpy_helper.to_array(tensor).sum() for tensor in graph.initializer]).all()
