"""The checks `peer`: the same captioner, pictures and search in PyTorch, on the same GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.gpu_check.captioner import (
    BATCHES,
    BEAMS,
    COMPARED,
    END,
    START,
    STEPS,
    fitted,
    read,
    same_tokens,
)
from benchmarks.gpu_check.notes import FailedError, MissingError, Notes, Setting, SkippedError
from benchmarks.gpu_check.speed import MOST_S, summary
from benchmarks.gpu_check.stopwatch import Deadline, repeated, sizes
from cnnrnn.core.bundle import Bundle

# The tutorial's search waits for the device many times a step: fewer of it do.
MOST_TUTORIALS = 100
# Less time than this is no time to compile or capture one more size.
LEAST_S = {"eager": 3.0, "graphs": 5.0, "compiled": 45.0}
# The encoder takes longer to compile.
LEAST_WHOLE_S = 20.0


def peer(
    setting: Setting, notes: Notes, *, variant: str, precision: str, within_s: float, device: str = "cuda"
) -> None:
    """PyTorch's search, ``"eager"``, ``"graphs"`` (captured) or ``"compiled"`` (and captured).

    Compiled is the step; then, of one picture and 5 beams, the encoder too.
    """
    import torch

    from benchmarks.gpu_check.torch_search import Size, TorchSearch

    if "captioner" not in setting.good:
        raise SkippedError("there is no captioner to time: see the check 'captioner'")
    if device == "cuda" and not torch.cuda.is_available():
        raise MissingError(f"PyTorch {torch.__version__} sees no GPU: install the one for this driver's CUDA")
    deadline = Deadline(within_s)
    image = Bundle.open(setting.captioner / "bundle").manifest.image
    model = _model(setting, precision, device)
    pictures = list(fitted(image, COMPARED))
    times: dict[str, object] = {}
    left_out: list[str] = []
    notes.note(variant=variant, precision=precision, steps=STEPS, torch=torch.__version__, times=times)
    for batch, beams in sizes(BATCHES, BEAMS):
        name = f"batch {batch} beam {beams}"
        if deadline.left_s < LEAST_S[variant]:
            left_out.append(name)
            continue
        search = TorchSearch(model, image, Size(batch, beams, STEPS, START, END), variant)  # type: ignore[arg-type]
        times[name] = _measured(search, pictures[:batch], setting.repetitions)
        notes.note(times=times)
        if (batch, beams) == (1, 5):
            notes.note(as_cpu_fp32=_compared(setting, search, pictures, precision))
            if variant == "eager":
                notes.note(tutorial=_tutorial(setting, model, image, pictures[0], beams))
    if not times:
        raise SkippedError(f"in {within_s:.0f} s nothing could be measured")
    if variant == "compiled" and deadline.left_s > LEAST_WHOLE_S:
        whole = TorchSearch(model, image, Size(1, 5, STEPS, START, END), "compiled whole")
        notes.note(with_compiled_encoder=_measured(whole, pictures[:1], setting.repetitions))
    same = notes.facts.get("as_cpu_fp32", "")
    notes.note(not_measured=left_out, summary=_told(times, left_out, same, notes.facts))


def _model(setting: Setting, precision: str, device: str) -> Any:
    """On its device and in its precision; products of float32 are float32's, as in our graphs."""
    import torch

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    dtype = {"fp32": torch.float32, "fp16": torch.float16}[precision]
    model = read(setting.captioner).to(device, dtype)
    model.encoder = model.encoder.to(memory_format=torch.channels_last)
    return model.requires_grad_(False)


def _measured(search: Any, pictures: list[Any], repetitions: int) -> Mapping[str, Any]:
    return repeated(lambda: search.search(pictures)[1], repetitions, MOST_S)


def _compared(setting: Setting, search: Any, pictures: list[Any], precision: str) -> str:
    """How many of its captions are the CPU's.

    Raises:
        FailedError: in fp32 it is another search, or another model.
    """
    found = [search.search([picture])[0][0] for picture in pictures]
    same = same_tokens(setting, 5, found)
    if precision == "fp32" and same and int(same.split()[0]) < 0.9 * len(pictures):
        raise FailedError(f"its captions are not those of the bundle: {same}")
    return same


def _tutorial(setting: Setting, model: Any, image: Any, picture: Any, beams: int) -> Mapping[str, Any]:
    from benchmarks.gpu_check.torch_search import Size, tutorial_search

    size = Size(1, beams, STEPS, START, END)
    return repeated(
        lambda: tutorial_search(model, image, size, picture)[1],
        min(setting.repetitions, MOST_TUTORIALS),
        MOST_S,
    )


def _told(times: dict[str, object], left_out: list[str], same: str, facts: Mapping[str, Any]) -> str:
    tutorial = facts.get("tutorial")
    more = f"; the tutorial's search at beam 5: {tutorial['search']['p50']:.2f}" if tutorial else ""
    return summary(times, left_out, same) + more
