"""Opening, reading and writing bundles, and every way in which one can be bad."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace

import pytest

from cnnrnn.core import bundle as bundle_module
from cnnrnn.core.bundle import Bundle, check_target, shipped_bundles, write_bundle
from cnnrnn.core.errors import BundleError, OptionsError, StorageError, UnknownBundleError


def edit_manifest(folder, change):
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_what_was_written_is_read(bundle_folder, manifest, files):
    bundle = Bundle.open(bundle_folder)
    assert replace(bundle.manifest, files={}) == manifest
    assert {name: bundle.read(name) for name in files} == files
    assert bundle.tokenizer().decode([4, 5, 6]) == "a red cat"
    assert sorted(os.listdir(bundle_folder)) == ["fp32", "manifest.json", "select", "tokenizer.json"]


def test_a_missing_file(bundle_folder):
    (bundle_folder / "fp32" / "step.onnx").unlink()
    with pytest.raises(BundleError, match=r"step\.onnx is missing"):
        Bundle.open(bundle_folder)


def test_an_altered_file_of_the_same_size(bundle_folder):
    path = bundle_folder / "fp32" / "step.onnx"
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(BundleError, match=r"step\.onnx was altered: its SHA-256 is"):
        Bundle.open(bundle_folder).read("fp32/step.onnx")
    assert Bundle.open(bundle_folder, verify=False).read("fp32/step.onnx").startswith(b"x")


@pytest.mark.parametrize("data", [b"", b"step" * 101])
def test_a_file_of_another_size(bundle_folder, data):
    bundle = Bundle.open(bundle_folder)
    (bundle_folder / "fp32" / "step.onnx").write_bytes(data)
    with pytest.raises(BundleError, match=f"has {len(data)} bytes, the manifest says 400"):
        Bundle.open(bundle_folder)
    with pytest.raises(BundleError, match="400"):
        bundle.read("fp32/step.onnx")


def test_an_oversized_manifest_is_not_parsed(bundle_folder, monkeypatch):
    monkeypatch.setattr(bundle_module, "MAX_MANIFEST_BYTES", 100)
    with pytest.raises(BundleError, match="larger than the 100 bytes allowed"):
        Bundle.open(bundle_folder)


def test_a_record_beyond_the_limit_is_refused(bundle_folder):
    edit_manifest(bundle_folder, lambda values: values["files"]["tokenizer.json"].update(bytes=10**12))
    with pytest.raises(BundleError, match=r"tokenizer\.json\.bytes is 1000000000000"):
        Bundle.open(bundle_folder)


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "a/../../secret", "..\\secret", "C:secret", "", "."]
)
def test_paths_do_not_escape(bundle_folder, path):
    (bundle_folder.parent / "secret").write_bytes(b"secret")
    record = {"sha256": hashlib.sha256(b"secret").hexdigest(), "bytes": 6}
    edit_manifest(bundle_folder, lambda values: values["files"].update({path: record}))
    with pytest.raises(BundleError, match="lies outside the bundle"):
        Bundle.open(bundle_folder)


def test_symbolic_links_do_not_escape(bundle_folder):
    outside = bundle_folder.parent / "secret"
    outside.write_bytes(b"select")
    (bundle_folder / "select" / "beam3.onnx").unlink()
    (bundle_folder / "select" / "beam3.onnx").symlink_to(outside)
    with pytest.raises(BundleError, match="lies outside the bundle"):
        Bundle.open(bundle_folder)


def test_a_graph_that_the_files_do_not_list(bundle_folder):
    edit_manifest(bundle_folder, lambda values: values["files"].pop("select/beam3.onnx"))
    with pytest.raises(BundleError, match=r"uses 'select/beam3\.onnx', which its files do not list"):
        Bundle.open(bundle_folder)


def test_a_file_that_is_not_listed_is_not_read(bundle_folder):
    (bundle_folder / "other").write_bytes(b"x")
    with pytest.raises(BundleError, match="lists no file 'other'"):
        Bundle.open(bundle_folder).read("other")


def test_a_tokenizer_that_is_not_the_manifests(bundle_folder):
    edit_manifest(bundle_folder, lambda values: values["vocabulary"].update(size=6, end=[2]))
    with pytest.raises(BundleError, match=r"size is 7, the manifest's vocabulary\.size 6"):
        Bundle.open(bundle_folder).tokenizer()


def test_names_and_folders(bundle_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_module, "package_data", lambda folder: tmp_path)
    assert shipped_bundles() == ["tiny"]
    assert Bundle.open("tiny").folder == bundle_folder
    with pytest.raises(UnknownBundleError, match="shipped by name are: tiny"):
        Bundle.open("tinny")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match=r"holds no manifest\.json"):
        Bundle.open(tmp_path / "empty")


def test_only_bundles_are_replaced(bundle_folder, manifest, files, tmp_path):
    write_bundle(bundle_folder, replace(manifest, summary="second"), files)
    assert Bundle.open(bundle_folder).manifest.summary == "second"
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years")
    with pytest.raises(OptionsError, match="is not a bundle, so it is not replaced"):
        write_bundle(precious, manifest, files)
    with pytest.raises(OptionsError):
        check_target(precious / "thesis.txt")
    assert (precious / "thesis.txt").read_text() == "years"


def test_a_bundle_that_would_not_open_is_not_written(manifest, files, tmp_path):
    del files["fp32/step.onnx"]
    with pytest.raises(BundleError, match=r"fp32/step\.onnx"):
        write_bundle(tmp_path / "new", manifest, files)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_bundle(bundle_folder, manifest, files, monkeypatch):
    before = {path: path.read_bytes() for path in bundle_folder.rglob("*") if path.is_file()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write_bundle(bundle_folder, replace(manifest, summary="second"), files)
    assert {path: path.read_bytes() for path in bundle_folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in bundle_folder.parent.iterdir()] == ["tiny"]
