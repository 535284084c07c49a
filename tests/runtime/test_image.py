"""Every kind of picture file and every way it can be bad. Pillow writes them, OpenCV reads them."""

from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from cnnrnn.core.errors import ImageError, OptionsError
from cnnrnn.runtime import image as image_module
from cnnrnn.runtime.image import read_image
from cnnrnn.runtime.image_header import read_header

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def gradient(width: int = 40, height: int = 24) -> Image.Image:
    """No symmetry and no detail finer than a JPEG keeps: red grows rightwards, green downwards."""
    columns, rows = np.meshgrid(np.linspace(20, 235, width), np.linspace(20, 235, height))
    return Image.fromarray(np.dstack([columns, rows, np.full_like(rows, 60)]).astype(np.uint8))


def noise(side: int = 64) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def assert_close(picture: np.ndarray, wanted: Image.Image | np.ndarray, tolerance: int = 0) -> None:
    expected = np.asarray(wanted)
    assert picture.dtype == np.uint8
    assert picture.shape == expected.shape
    assert np.abs(picture.astype(int) - expected.astype(int)).max() <= tolerance


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_is_read_as_rgb(kind, tmp_path):
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}.get(kind, {})
    picture = gradient()
    data = encoded(picture, kind, **lossless)
    tolerance = {"JPEG": 8, "GIF": 25}.get(kind, 0)
    header = read_header(data)
    assert header is not None
    assert (header.format.upper(), header.width, header.height, header.complete) == (kind, 40, 24, True)
    path = tmp_path / "picture.bin"
    path.write_bytes(data)
    for source in (data, bytearray(data), memoryview(data), path, str(path)):
        assert_close(read_image(source), picture, tolerance)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_as_a_viewer_does(kind, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif.tobytes()}
    options |= {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    if kind == "TIFF":
        options = {"tiffinfo": {0x0112: orientation}}
    data = encoded(gradient(), kind, **options)
    assert_close(
        read_image(data), ImageOps.exif_transpose(Image.open(io.BytesIO(data))), 8 if kind == "JPEG" else 0
    )


@pytest.mark.parametrize("block", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"])
def test_a_damaged_exif_block_is_no_reason_to_refuse(block):
    data = encoded(gradient(), "JPEG", exif=b"Exif\0\0" + block)
    assert read_image(data).shape == (24, 40, 3)


def test_alpha_lies_on_white():
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[:] = (200, 30, 60, 0)
    pixels[0, 0, 3] = 255
    pixels[0, 1, 3] = 128
    for kind in ("PNG", "WEBP"):
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        picture = read_image(encoded(Image.fromarray(pixels), kind, **options))
        assert picture[0, 0].tolist() == [200, 30, 60]
        assert picture[0, 1].tolist() == [227, 142, 157]
        assert picture[1, 2].tolist() == [255, 255, 255]
    bgra = np.ascontiguousarray(pixels[:, :, [2, 1, 0, 3]])
    assert_close(read_image(bgra), picture)
    assert_close(read_image(pixels, color="rgb"), picture)


def test_a_transparent_palette_lies_on_white():
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.putpixel((1, 1), 1)
    for kind in ("PNG", "GIF"):
        picture = read_image(encoded(palette, kind, transparency=0))
        assert picture[1, 1].tolist() == [255, 0, 0]
        assert picture[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_is_repeated(mode):
    grey = gradient().convert(mode)
    assert_close(read_image(encoded(grey, "PNG")), grey.convert("RGB"))


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (5, 4, 4)])
def test_sixteen_bits_are_scaled(shape):
    deep = np.linspace(0, 65535, int(np.prod(shape))).reshape(shape).round().astype(np.uint16)
    if shape[-1] == 4 and len(shape) == 3:
        deep[:, :, 3] = 65535
    for ending in (".png", ".tiff"):
        done, data = cv2.imencode(ending, deep)
        assert done
        wanted = (deep / 257).round().astype(np.uint8)
        wanted = np.dstack([wanted] * 3) if len(shape) == 2 else wanted[:, :, 2::-1]
        assert_close(read_image(data.tobytes()), wanted)


def test_floating_point_samples_are_refused():
    done, data = cv2.imencode(".tiff", np.ones((4, 4, 3), np.float32))
    assert done
    with pytest.raises(ImageError, match="float32; 8 and 16 bits"):
        read_image(data.tobytes())


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind):
    picture = gradient()
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    assert_close(read_image(encoded(picture.convert("CMYK"), kind, **options)), picture, 8)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(kind):
    frames = [Image.new("RGB", (16, 8), color) for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert_close(read_image(data), frames[0])


@pytest.mark.parametrize("kind", [*FORMATS, "progressive JPEG"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.97])
def test_truncated_files_are_refused(kind, kept):
    options = (
        {"progressive": True} if kind.startswith("prog") else {"lossless": True} if kind == "WEBP" else {}
    )
    whole = encoded(noise(), kind.split()[-1], **options)
    assert read_image(whole).shape == (64, 64, 3)
    with pytest.raises(ImageError):
        read_image(whole[: int(len(whole) * kept)])


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"BM", b"GIF89a"]
)
def test_what_is_no_picture_is_refused(data, tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"x\.png is (empty|not a JPEG)"):
        read_image(path)


def test_a_missing_file_a_folder_and_a_huge_file_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ImageError, match="No such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="is a folder; give its pictures"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match=r"null|NUL"):
        read_image("a\0b.png")
    big = tmp_path / "big.png"
    big.write_bytes(encoded(gradient(), "PNG"))
    monkeypatch.setattr(image_module, "MAX_FILE_BYTES", 10)
    with pytest.raises(ImageError, match="at most 10 are read"):
        read_image(big)


def test_one_pixel_is_a_picture():
    assert read_image(encoded(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")).tolist() == [[[1, 2, 3]]]


def test_twenty_thousand_pixels_are_refused_before_they_are_decoded(monkeypatch):
    data = encoded(Image.new("L", (20_000, 3)), "PNG")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(ImageError, match="20000 x 3 pixels; at most 16384 a side"):
        read_image(data)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_bomb_is_refused_by_its_header(kind, monkeypatch):
    """A small file whose header claims a picture of gigabytes."""
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    data = bytearray(encoded(gradient(), kind, **({"lossless": True} if kind == "WEBP" else {})))
    side = 16_000
    if kind == "PNG":
        data[16:24] = struct.pack(">II", side, side)
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", side, side)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", side, -side)
    elif kind == "WEBP":
        data[21:25] = struct.pack("<I", (side - 1) | (side - 1) << 14)
    elif kind == "JPEG":
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    else:
        for tag in (0x0100, 0x0101):
            at = data.index(struct.pack("<HHI", tag, 3, 1)) if struct.pack("<HHI", tag, 3, 1) in data else -1
            long_at = data.find(struct.pack("<HHI", tag, 4, 1))
            entry = at if at >= 0 else long_at
            data[entry + 8 : entry + 12] = struct.pack("<I", side)
    with pytest.raises(ImageError, match="16000 x 16000 pixels"):
        read_image(bytes(data))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((4, 4, 3), np.uint16), "uint16"),
        (np.zeros((2, 4, 4, 3), np.uint8), "as a list"),
        (np.zeros((4, 4, 2), np.uint8), r"\(4, 4, 2\)"),
        (np.zeros((4,), np.uint8), r"\(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        (np.zeros((1, 20_000, 3), np.uint8), "20000 x 1"),
    ],
)
def test_arrays_that_are_no_pictures(array, words):
    with pytest.raises(ImageError, match=words):
        read_image(array)


def test_arrays_are_read_in_the_named_order_and_left_alone():
    bgr = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    kept = bgr.copy()
    assert_close(read_image(bgr), bgr[:, :, ::-1])
    assert_close(read_image(bgr, color="rgb"), bgr)
    assert_close(read_image(bgr[::2, ::-1]), bgr[::2, ::-1, ::-1])
    assert_close(read_image(bgr[:, :, 0]), np.dstack([bgr[:, :, 0]] * 3))
    assert_close(read_image(bgr[:, :, :1]), np.dstack([bgr[:, :, 0]] * 3))
    assert (bgr == kept).all()
    with pytest.raises(OptionsError, match="color='hsv'"):
        read_image(bgr, color="hsv")  # type: ignore[arg-type]
    with pytest.raises(ImageError, match=r"NoneType cannot .* imread gives None"):
        read_image(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        (np.zeros((3, 8, 6), np.uint8), r"x\.transpose\(1, 2, 0\)"),
        (np.zeros((4, 4), np.uint16), r"x >> 8"),
        (np.zeros((4, 4), np.float32), r"x \* 255"),
        (np.zeros((4, 4), np.bool_), r"x\.astype\('uint8'\)"),
        ([np.zeros((4, 4), np.uint8)], "its `map`"),
        (3, "give a path, encoded bytes or a uint8 array"),
    ],
)
def test_what_is_refused_says_what_to_do(source, advice):
    with pytest.raises(ImageError, match=advice):
        read_image(source)
