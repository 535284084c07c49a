"""Which of a bundle's precisions a backend runs."""

from __future__ import annotations

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import Manifest

# What a backend takes where nothing is asked for, the first that the bundle has; else the bundle's own first.
_PREFERRED = {"ort-cpu": ("fp32",), "ort-cuda": ("fp16", "fp32")}
_PREFERRED_BY_ENGINES = ("fp16", "fp32")

# What a bundle may carry, and this backend has no kernels for.
_NOT_RUN = {
    "ort-cpu": {"bf16": "ONNX Runtime computes nothing in it on a CPU"},
    "ort-cuda": {"bf16": "NumPy has no such type, by which its buffers are bound"},
}


def precision_for(manifest: Manifest, backend: str, precision: str | None = None) -> str:
    """The precision that is asked for, or by default the one that suits the backend.

    Raises:
        OptionsError: the bundle does not have it, or the backend does not run it.
    """
    carried = manifest.precisions
    preferred = (*_PREFERRED.get(backend, _PREFERRED_BY_ENGINES), *carried)
    chosen = precision or next(name for name in preferred if name in carried)
    if chosen not in carried:
        raise OptionsError(
            f"precision={chosen!r} is not in bundle {manifest.name!r}; give one of {', '.join(carried)}"
        )
    refused = _NOT_RUN.get(backend, {})
    if chosen in refused:
        others = ", ".join(name for name in carried if name not in refused) or "no other"
        raise OptionsError(
            f"precision={chosen!r} is not run by {backend}: {refused[chosen]}; "
            f"beside it the bundle has {others}"
        )
    return chosen
