"""``cnnrnn doctor``: what is found, and the command for what is not."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from cnnrnn.cli import doctor, main
from cnnrnn.core import machine
from cnnrnn.runtime.engine import library as libraries

TENSORRT_MODULES = [module for modules in libraries.MODULES.values() for module in modules]


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
    monkeypatch.setattr(libraries, "on_jetson", lambda: False)
    for name in TENSORRT_MODULES:
        monkeypatch.setitem(sys.modules, name, None)  # its import is a ModuleNotFoundError
    return monkeypatch


def with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: [machine.Gpu("NVIDIA GeForce RTX 3090")])


def on_a_jetson(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "jetson", lambda: "L4T 36.4.0 (JetPack 6)")
    monkeypatch.setattr(libraries, "on_jetson", lambda: True)


def with_version(monkeypatch: pytest.MonkeyPatch, name: str, version: str) -> None:
    module = ModuleType(name)
    module.__dict__["__version__"] = version
    monkeypatch.setitem(sys.modules, name, module)


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
    for part in ("CUDA provider", "TensorRT", "cuda.core", "PyCUDA"):
        assert found[part].fix == ""
        assert "no GPU" in found[part].found
    assert found["TensorRT-RTX"].fix == "pip install 'cnnrnn[tensorrt-rtx]'"  # which builds without one


def test_with_a_gpu_each_engine_has_its_command(nothing_installed: pytest.MonkeyPatch) -> None:
    nothing_installed.setattr(machine, "gpus", lambda: [machine.Gpu("NVIDIA H100", "580.65", 81559, "9.0")])
    found = by_part()
    assert found["GPU"].found == "NVIDIA H100, 81559 MiB, sm_90, driver 580.65"
    assert found["CUDA provider"].fix == "pip uninstall -y onnxruntime && pip install 'cnnrnn[gpu]'"
    assert found["TensorRT"].fix == "pip install 'cnnrnn[tensorrt]'"
    assert found["TensorRT-RTX"].fix == "pip install 'cnnrnn[tensorrt-rtx]'"
    assert found["cuda.core"].fix.startswith("pip install 'cnnrnn[cuda13]'")
    assert found["PyCUDA"].fix == "pip install 'cnnrnn[pycuda]'"


def test_tensorrt_rtx_builds_engines_where_there_is_no_gpu(nothing_installed: pytest.MonkeyPatch) -> None:
    with_version(nothing_installed, "tensorrt_rtx_bindings", "1.7.1.116")
    found = by_part()["TensorRT-RTX"]
    assert (found.ok, found.fix) == (True, "")
    assert found.found == "1.7.1.116 (builds engines; no GPU to run them with)"
    with_a_gpu(nothing_installed)
    found = by_part()["TensorRT-RTX"]
    assert (found.ok, found.found) == (True, "1.7.1.116")


def test_a_tensorrt_that_builds_engines_is_good(nothing_installed: pytest.MonkeyPatch) -> None:
    with_version(nothing_installed, "tensorrt", "10.3.0")
    found = by_part()["TensorRT"]
    assert (found.ok, found.found, found.fix) == (False, "10.3.0 (and no GPU to use it with)", "")
    with_a_gpu(nothing_installed)
    found = by_part()["TensorRT"]
    assert (found.ok, found.found, found.fix) == (True, "10.3.0", "")


@pytest.mark.parametrize(
    ("part", "module", "version", "said", "fix"),
    [
        ("TensorRT", "tensorrt", "8.6.1", "TensorRT 10.3 to 11.x", "pip install 'cnnrnn[tensorrt]'"),
        ("TensorRT", "tensorrt", "12.0.0", "TensorRT 10.3 to 11.x", "Install a newer cnnrnn, or TensorRT 11"),
        (
            "TensorRT-RTX",
            "tensorrt_rtx",
            "1.6.0",
            "TensorRT-RTX 1.7 to 1.x",
            "pip install 'cnnrnn[tensorrt-rtx]'",
        ),
    ],
)
def test_a_version_that_builds_no_engines_is_no_good(
    part: str, module: str, version: str, said: str, fix: str, nothing_installed: pytest.MonkeyPatch
) -> None:
    with_a_gpu(nothing_installed)
    with_version(nothing_installed, module, version)
    found = by_part()[part]
    assert (found.ok, found.fix) == (False, fix)
    assert found.found == (f"{part} {version} is not supported; this version of cnnrnn builds with {said}")


@pytest.mark.parametrize(
    ("part", "module", "extra"),
    [("TensorRT", "tensorrt", "tensorrt"), ("TensorRT-RTX", "tensorrt_rtx", "tensorrt-rtx")],
)
def test_a_tensorrt_that_does_not_load_says_why(
    part: str, module: str, extra: str, nothing_installed: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / f"{module}.py").write_text("raise ImportError('libnvinfer.so.10: cannot open')\n")
    nothing_installed.delitem(sys.modules, module)
    nothing_installed.syspath_prepend(tmp_path)
    with_a_gpu(nothing_installed)
    found = by_part()[part]
    assert not found.ok
    assert found.found == (
        f"installed (module {module}) but cannot be imported: libnvinfer.so.10: cannot open"
    )
    assert found.fix == f"pip install --force-reinstall 'cnnrnn[{extra}]'"


def test_on_a_jetson_each_engine_comes_from_nvidia(nothing_installed: pytest.MonkeyPatch) -> None:
    on_a_jetson(nothing_installed)
    found = by_part()
    assert "sudo apt-get install nvidia-jetpack" in found["TensorRT"].fix
    assert "python3 -m venv --system-site-packages" in found["TensorRT"].fix
    assert (found["TensorRT-RTX"].found, found["TensorRT-RTX"].fix) == ("not for a Jetson: TensorRT is", "")
    assert found["CUDA provider"].fix.startswith("pip uninstall -y onnxruntime, then install the ")
    assert "wheel that NVIDIA builds for this JetPack" in found["CUDA provider"].fix
    assert not [finding for finding in found.values() if "[gpu]" in finding.fix or "[tensorrt" in finding.fix]
    with_version(nothing_installed, "tensorrt", "10.3.0")
    assert by_part()["TensorRT"].ok


def test_a_jetsons_tensorrt_gets_newer_with_jetpack_alone(nothing_installed: pytest.MonkeyPatch) -> None:
    on_a_jetson(nothing_installed)
    with_version(nothing_installed, "tensorrt", "8.5.2")
    found = by_part()["TensorRT"]
    assert not found.ok
    assert found.found.startswith("TensorRT 8.5.2 is not supported")
    assert found.fix == "install JetPack 6.1 or newer, which brings TensorRT 10.3 or newer"


@pytest.mark.parametrize("wheels", [("onnxruntime", "onnxruntime-gpu"), ("onnxruntime-gpu",)])
def test_a_jetsons_onnx_runtime_is_not_pypis(
    wheels: tuple[str, ...], nothing_installed: pytest.MonkeyPatch
) -> None:
    on_a_jetson(nothing_installed)
    nothing_installed.setattr(
        machine, "distribution_version", lambda *names: {name: "1.23.0" for name in names if name in wheels}
    )
    nothing_installed.setattr(machine, "module_found", lambda name: True)
    found = by_part()["ONNX Runtime"]
    assert not found.ok
    assert found.fix.startswith(
        f"pip uninstall -y {' '.join(wheels)}, then install the onnxruntime-gpu wheel"
    )


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
