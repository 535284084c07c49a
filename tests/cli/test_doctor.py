"""``cnnrnn doctor``: what is found, and the command for what is not."""

from __future__ import annotations

import ctypes
import json
import subprocess
from pathlib import Path

import pytest

from cnnrnn.cli import doctor, machine, main


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without a package and without a GPU, for a test to add to."""
    monkeypatch.setattr(machine, "distribution_version", lambda *names: {})
    monkeypatch.setattr(machine, "module_found", lambda name: False)
    monkeypatch.setattr(
        machine, "module_error", lambda name: f"ModuleNotFoundError: No module named {name!r}"
    )
    monkeypatch.setattr(machine, "onnxruntime_providers", list)
    monkeypatch.setattr(machine, "gpus", list)
    monkeypatch.setattr(machine, "jetson", lambda: None)
    return monkeypatch


def by_part(environment: dict[str, str] | None = None) -> dict[str, doctor.Finding]:
    return {finding.part: finding for finding in doctor.examine(environment or {})}


def test_this_machine_can_run_bundles(capsys: pytest.CaptureFixture[str]) -> None:
    for module in ("cv2", "onnxruntime", "tokenizers"):
        pytest.importorskip(module)
    assert main(["doctor", "--json"]) == 0
    output = capsys.readouterr()
    answer = json.loads(output.out)
    assert output.err == ""
    assert answer["ready"] is True
    found = {finding["part"]: finding for finding in answer["findings"]}
    assert found["ONNX Runtime"]["ok"] is True
    assert found["OpenCV"]["found"].startswith("opencv-python")


def test_a_bare_machine_is_exit_code_3_with_a_command_for_each(
    nothing_installed: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing_installed.delenv("DISPLAY", raising=False)
    nothing_installed.delenv("WAYLAND_DISPLAY", raising=False)
    assert main(["doctor"]) == 3
    text = capsys.readouterr().out
    assert "pip install opencv-python-headless" in text
    assert "pip install 'cnnrnn[cpu]'" in text
    assert "pip install 'cnnrnn[export]'" in text
    assert "cannot run bundles yet" in text


def test_without_a_gpu_nothing_is_advised_for_one(nothing_installed: pytest.MonkeyPatch) -> None:
    found = by_part()
    for part in ("CUDA provider", "TensorRT", "TensorRT-RTX", "PyCUDA"):
        assert found[part].fix == ""
        assert "no GPU" in found[part].found


def test_with_a_gpu_each_engine_has_its_command(nothing_installed: pytest.MonkeyPatch) -> None:
    nothing_installed.setattr(machine, "gpus", lambda: [machine.Gpu("NVIDIA H100", "580.65", 81559, "9.0")])
    found = by_part()
    assert found["GPU"].found == "NVIDIA H100, 81559 MiB, sm_90, driver 580.65"
    assert found["CUDA provider"].fix == "pip uninstall -y onnxruntime && pip install 'cnnrnn[gpu]'"
    assert found["TensorRT"].fix == "pip install 'cnnrnn[tensorrt]'"
    assert found["TensorRT-RTX"].fix == "pip install 'cnnrnn[tensorrt-rtx]'"
    assert found["PyCUDA"].fix == "pip install 'cnnrnn[pycuda]'"


def test_tensorrt_rtx_builds_engines_where_there_is_no_gpu(nothing_installed: pytest.MonkeyPatch) -> None:
    nothing_installed.setattr(machine, "module_found", lambda name: name == "tensorrt_rtx_bindings")
    nothing_installed.setattr(
        machine,
        "distribution_version",
        lambda *names: {name: "1.7.1.116" for name in names if name == "tensorrt-rtx-cu13-bindings"},
    )
    found = by_part()["TensorRT-RTX"]
    assert (found.ok, found.fix) == (False, "")
    assert found.found == "1.7.1.116 (builds engines; no GPU to run them with)"
    nothing_installed.setattr(machine, "gpus", lambda: [machine.Gpu("NVIDIA GeForce RTX 3090")])
    found = by_part()["TensorRT-RTX"]
    assert (found.ok, found.found) == (True, "1.7.1.116")


def test_on_a_jetson_tensorrt_comes_from_jetpack(nothing_installed: pytest.MonkeyPatch) -> None:
    nothing_installed.setattr(machine, "jetson", lambda: "L4T 36.4.0 (JetPack 6)")
    assert by_part()["TensorRT"].fix == "sudo apt-get install nvidia-jetpack"


@pytest.mark.parametrize("variables", [{"DISPLAY": ":0"}, {"WAYLAND_DISPLAY": "wayland-0"}])
def test_where_there_is_a_display_the_opencv_with_windows_is_advised(
    variables: dict[str, str], nothing_installed: pytest.MonkeyPatch
) -> None:
    assert by_part(variables)["OpenCV"].fix == "pip install opencv-python"


def test_two_opencv_packages_are_one_too_many(nothing_installed: pytest.MonkeyPatch) -> None:
    nothing_installed.setattr(
        machine, "distribution_version", lambda *names: dict.fromkeys(names, "4.11.0.86")
    )
    found = by_part()["OpenCV"]
    assert not found.ok
    assert found.fix == (
        "pip uninstall -y opencv-python opencv-python-headless && pip install opencv-python-headless"
    )


def test_an_opencv_that_does_not_load_is_replaced(nothing_installed: pytest.MonkeyPatch) -> None:
    nothing_installed.setattr(machine, "distribution_version", lambda *names: {"opencv-python": "4.11.0.86"})
    nothing_installed.setattr(machine, "module_error", lambda name: "ImportError: libGL.so.1")
    found = by_part()["OpenCV"]
    assert (found.ok, found.found) == (False, "ImportError: libGL.so.1")
    assert found.fix == "pip uninstall -y opencv-python && pip install opencv-python-headless"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# R36 (release), REVISION: 4.0, GCID: 37537400, BOARD: generic", "L4T 36.4.0 (JetPack 6)"),
        ("# R35 (release), REVISION: 6.1, GCID: 1, BOARD: t186ref", "L4T 35.6.1 (JetPack 5)"),
        ("# R99 (release), REVISION: 1.0", "L4T 99.1.0"),
        ("something else", "L4T of an unknown release"),
    ],
)
def test_jetsons_are_told_by_their_release_file(text: str, said: str, tmp_path: Path) -> None:
    release = tmp_path / "nv_tegra_release"
    release.write_text(text)
    assert machine.jetson(release) == said
    assert machine.jetson(tmp_path / "absent") is None


def test_gpus_are_read_from_nvidia_smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        "echo 'NVIDIA H100 80GB HBM3, 580.65.06, 81559, 9.0'\n"
        "echo 'Orin (nvgpu), 540.4.0, [N/A], 8.7'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert machine.gpus() == [
        machine.Gpu("NVIDIA H100 80GB HBM3", "580.65.06", 81559, "9.0"),
        machine.Gpu("Orin (nvgpu)", "540.4.0", None, "8.7"),
    ]


def test_a_broken_nvidia_smi_and_no_driver_are_no_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def no_library(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    assert machine.gpus() == []


def test_gpus_are_read_from_nvml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Against a library of the same five functions, compiled here."""
    source = tmp_path / "nvml.c"
    source.write_text(
        """
        #include <string.h>
        int nvmlInit_v2(void) { return 0; }
        int nvmlShutdown(void) { return 0; }
        int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
        int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
          *device = (void *)(long)(index + 1);
          return 0;
        }
        int nvmlDeviceGetName(void *device, char *name, unsigned length) {
          if (length < 8) return 7;
          strcpy(name, device == (void *)1 ? "GPU one" : "GPU two");
          return 0;
        }
        """
    )
    library = tmp_path / "libnvidia-ml.so.1"
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no C compiler here")
    load = ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", lambda name: load(str(library) if name == library.name else name))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [gpu.name for gpu in machine.gpus()] == ["GPU one", "GPU two"]
