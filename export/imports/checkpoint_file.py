"""The tensors of somebody else's checkpoint, by name. Nothing in the file is ever run.

torch's files are read with ``weights_only``, safetensors by its package. What wraps a model while it is
trained (`torch.nn.DataParallel`, `torch.compile`) leaves its name in those of the tensors, and is taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnnrnn.core.errors import CheckpointError, MissingDependencyError, OptionsError

WRAPPERS = frozenset({"module", "_orig_mod"})
SAVE_A_STATE_DICT = (
    "torch.save(checkpoint.state_dict() if hasattr(checkpoint, 'state_dict') else checkpoint['state_dict'], "
    "'state.pt')"
)

_NAMED = 6
_GLOBAL = re.compile(r"GLOBAL (\S+)")
_PARTS = "."


def read_tensors(path: Path, save: str = SAVE_A_STATE_DICT) -> dict[str, Tensor]:
    """Every tensor of a checkpoint, nested dicts joined with dots, on the CPU.

    Floating-point tensors of any width are made float32. Values that are no tensors are left out.

    Args:
        path: a file of ``torch.save``, in its present or its old format, or of safetensors.
        save: a line of Python that saves the tensors of the object ``checkpoint`` into ``state.pt``, for the
            message about a file that holds more than tensors.

    Raises:
        OptionsError: there is no such file.
        CheckpointError: it is cut short or damaged, holds pickled objects, or no tensors.
        MissingDependencyError: it is of safetensors, and the package is not installed.
    """
    if not path.is_file():
        raise OptionsError(f"there is no file {path}; give the checkpoint that training wrote")
    content = _safetensors(path) if _is_safetensors(path) else _torch_file(path, save)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}; give a state dict: tensors by name")
    found = _without_wrappers(dict(_tensors(content, ())))
    if not found:
        raise CheckpointError(f"{path} holds no tensors; give a state dict: tensors by name")
    return {_PARTS.join(parts): _widened(_PARTS.join(parts), value, path) for parts, value in found.items()}


def _torch_file(path: Path, save: str) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers follow a damaged file wherever it leads
        if names := _unsafe_globals(path, error):
            raise CheckpointError(_pickled(path, names, save)) from None
        if "TorchScript" in str(error):
            raise CheckpointError(
                f"{path} is a TorchScript program; save its weights, "
                "torch.save(torch.jit.load(FILE).state_dict(), 'state.pt'), and import that file"
            ) from error
        raise CheckpointError(
            f"{path} is cut short, damaged, or no file of torch.save ({_first_line(error)}); copy it again"
        ) from error


def _unsafe_globals(path: Path, error: Exception) -> list[str]:
    """What a pickle names beyond tensors: found by taking it apart, not by running it.

    Of a file in the format before torch 1.6 only the first is known, from the refusal.
    """
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # damaged, or of the old format: what is left is the refusal itself
        names = _GLOBAL.findall(str(error))[:1]
    return sorted(set(names), key=lambda name: (name.startswith(("torch.", "collections.")), name))


def _pickled(path: Path, names: list[str], save: str) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (
        f"{path} holds pickled objects, which would run code when they are read: "
        f"{', '.join(names[:_NAMED])}{more}. Where it was trained, and if you trust it, save its tensors "
        f"alone, and import state.pt:\n"
        f"    import torch\n"
        f"    checkpoint = torch.load({path.name!r}, map_location='cpu', weights_only=False)\n"
        f"    {save}"
    )


def _is_safetensors(path: Path) -> bool:
    """By content: the length of a JSON header in eight bytes, then the header."""
    try:
        with path.open("rb") as file:
            return file.read(10)[8:] in (b'{"', b"{}")
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error


def _safetensors(path: Path) -> Any:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingDependencyError(
            f"{path} is a file of safetensors, which is not installed. Install it with: "
            "pip install safetensors",
            name="safetensors",
        ) from error
    try:
        return load_file(path, device="cpu")
    except SafetensorError as error:
        raise CheckpointError(f"{path} is cut short or damaged ({error}); copy it again") from error


def _tensors(content: Mapping[Any, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    for key, value in content.items():
        here = (*above, *str(key).split(_PARTS))
        if isinstance(value, Tensor):
            yield here, value
        elif isinstance(value, Mapping):
            yield from _tensors(value, here)


def _without_wrappers(found: dict[tuple[str, ...], Tensor]) -> dict[tuple[str, ...], Tensor]:
    """Leave out a part of the names that all at one level share, if it is a wrapper's."""
    while found and len(heads := {parts[0] for parts in found}) == 1 and heads <= WRAPPERS:
        if any(len(parts) == 1 for parts in found):
            break
        found = {parts[1:]: value for parts, value in found.items()}
    below: dict[str, dict[tuple[str, ...], Tensor]] = {}
    kept: dict[tuple[str, ...], Tensor] = {}
    for parts, value in found.items():
        if len(parts) > 1:
            below.setdefault(parts[0], {})[parts[1:]] = value
        else:
            kept[parts] = value
    for head, inner in below.items():
        kept |= {(head, *parts): value for parts, value in _without_wrappers(inner).items()}
    return kept


def _widened(name: str, value: Tensor, path: Path) -> Tensor:
    value = value.detach()
    if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
        raise CheckpointError(
            f"{path}: {name} is a {value.dtype} tensor of layout {value.layout} on {value.device}; a plain "
            "tensor of floating-point or whole numbers is needed"
        )
    return value.float().contiguous() if value.is_floating_point() else value


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]
