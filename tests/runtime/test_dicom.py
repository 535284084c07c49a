"""DICOM files: windows, inversion, signs, compression, frames, and nothing of the patient."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrnn.core.errors import ImageError
from cnnrnn.runtime.dicom import read_dicom_header
from cnnrnn.runtime.image import check_encoded, read_image

pydicom = pytest.importorskip("pydicom")
NAME = "Mustermann^Erika"
RAMP = np.linspace(0, 4095, 64).round().reshape(8, 8)


def sample(name: str) -> str:
    """A file of pydicom's own, of those inside the package."""
    path = pydicom.data.get_testdata_file(name, download=False)
    assert path, name
    return str(path)


def dicom(pixels: np.ndarray, bits: int = 12, **tags: Any) -> bytes:
    """A file of 16 bits a pixel, ``bits`` of them stored."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    content = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    content.PatientName = NAME
    content.Rows, content.Columns = pixels.shape[-2:]
    content.SamplesPerPixel, content.PhotometricInterpretation = 1, "MONOCHROME2"
    content.BitsAllocated, content.BitsStored, content.HighBit = 16, bits, bits - 1
    content.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in tags.items():
        setattr(content, name, value)
    content.PixelData = pixels.tobytes()
    stream = io.BytesIO()
    content.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def grey(data: bytes) -> np.ndarray:
    picture = read_image(data)
    assert picture.dtype == np.uint8
    assert (picture[..., 0] == picture[..., 2]).all()
    return picture[..., 0].astype(int)


def test_without_a_window_the_range_is_the_pictures_own() -> None:
    shown = grey(dicom((RAMP / 2 + 500).astype(np.uint16)))
    assert (shown.min(), shown.max()) == (0, 255)
    assert np.abs(shown - RAMP / 4095 * 255).max() <= 1


def test_a_window_is_applied_and_clips() -> None:
    shown = grey(dicom(RAMP.astype(np.uint16), WindowCenter=1000, WindowWidth=1000))
    expected = np.clip((RAMP - 999.5) / 999 + 0.5, 0, 1) * 255  # PS3.3 C.11.2.1.2.1
    assert np.abs(shown - expected).max() <= 1


def test_signed_values_are_rescaled_before_the_window() -> None:
    stored = (RAMP - 2048).astype(np.int16)
    shown = grey(dicom(stored, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=0, WindowWidth=2000))
    expected = np.clip((stored * 2.0 - 100 + 0.5) / 1999 + 0.5, 0, 1) * 255
    assert np.abs(shown - expected).max() <= 1


def test_monochrome1_is_turned_around() -> None:
    plain, inverse = (
        grey(dicom(RAMP.astype(np.uint16), PhotometricInterpretation=kind))
        for kind in ("MONOCHROME2", "MONOCHROME1")
    )
    assert np.abs(plain + inverse - 255).max() <= 1


def test_several_frames_are_refused() -> None:
    data = dicom(np.zeros((3, 8, 8), np.uint16), NumberOfFrames=3)
    for read in (read_image, check_encoded):
        with pytest.raises(ImageError, match="a DICOM file of 3 frames, and a picture is one"):
            read(data)


def test_the_patient_is_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    whole = dicom(RAMP.astype(np.uint16))
    assert NAME.encode() in whole
    with caplog.at_level(logging.DEBUG):
        for data in (whole[:-20], whole[:200]):
            with pytest.raises(ImageError) as raised:
                read_image(data)
            assert "Mustermann" not in str(raised.value)
            assert raised.value.__context__ is None or raised.value.__suppress_context__
    assert "Mustermann" not in caplog.text
    assert "PatientName" not in read_dicom_header(whole, "the file")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("CT_small.dcm", (128, 128, 3)),
        ("MR_small.dcm", (64, 64, 3)),
        ("MR_small_RLE.dcm", (64, 64, 3)),
        ("MR_small_bigendian.dcm", (64, 64, 3)),
        ("SC_rgb_rle.dcm", (100, 100, 3)),
        ("SC_rgb_small_odd.dcm", (3, 3, 3)),
    ],
)
def test_pydicoms_own_samples_are_read(name: str, shape: tuple[int, ...]) -> None:
    picture = read_image(sample(name))
    assert picture.shape == shape
    assert picture.min() < picture.max()


def test_compression_changes_nothing() -> None:
    assert (read_image(sample("MR_small.dcm")) == read_image(sample("MR_small_RLE.dcm"))).all()


def test_a_damaged_sample_is_refused() -> None:
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_image(Path(sample("MR_truncated.dcm")).read_bytes())
