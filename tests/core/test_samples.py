"""Which files count as pictures."""

from __future__ import annotations

from cnnrnn.core import samples


def test_pictures_are_found_at_any_depth_and_sorted(tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    for name in ("z.PNG", "b/a.jpeg", "b/notes.txt", "README.md"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert samples.pictures_in(tmp_path) == [tmp_path / "b" / "a.jpeg", tmp_path / "z.PNG"]
    monkeypatch.setattr(samples, "package_data", lambda folder: tmp_path / folder)
    assert samples.sample_pictures() == []


def test_package_data_lies_in_the_package():
    assert (samples.package_data("core") / "samples.py").is_file()
