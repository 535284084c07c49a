"""Our kernels compile for every GPU that is named."""

from __future__ import annotations

import pytest

from cnnrnn.runtime.device import frames, loop_kernels
from tests.driver.calls import ok
from tests.driver.rig import Rig

# Compute capabilities that the documents name.
NAMED = ("7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "10.0", "11.0", "12.0", "12.1")


def compiled() -> tuple[dict[str, str], list[str]]:
    """What NVRTC says to each kernel source for each GPU that it knows; which of the named it does not."""
    from cuda.bindings import nvrtc
    from cuda.core import Program, ProgramOptions

    said = {}
    known = [f"sm_{number}" for number in ok(nvrtc.nvrtcGetSupportedArchs())]
    sources = {
        "loop": loop_kernels.SOURCE,
        "while": loop_kernels.WHILE_SOURCE,
        "frames": frames.SOURCE,
    }
    for arch in known:
        for name, source in sources.items():
            program = Program(source, code_type="c++", options=ProgramOptions(std="c++17", arch=arch))
            try:
                assert program.compile("cubin").code
            except Exception as error:
                said[f"{name} {arch}"] = str(error)
            finally:
                program.close()
    named = [f"sm_{capability.replace('.', '')}" for capability in NAMED]
    return said, [arch for arch in named if arch not in known]


def test_our_kernels_compile_for_every_gpu_that_is_named(rig: Rig) -> None:
    said, unknown_here = rig.run(compiled).value
    assert said == {}
    if unknown_here:
        pytest.skip(f"this NVRTC does not compile for {', '.join(unknown_here)}")
