"""How far an exported graph's tensors may be from the model's, and why: the one table of such numbers.

A tensor passes where ``|found - expected| <= absolute + relative * max|expected|``, the maximum taken over
one picture's tensor. Integer tensors must be equal. float32 has 24 bits: a rounding is 6e-8 of a value.
"""

from __future__ import annotations

from dataclasses import dataclass

# Two candidates whose log-probabilities are closer than this may change places: a numerical tie.
TIE = 1e-4

# The same for a lower precision: the distance of 1 to the next number it has (11 bits, 8 bits). Scores are
# about 1, so no search in that precision could know them better, and fp32 prefers neither by more than 0.1 %
# (fp16) or 0.8 % (bf16) of its probability. What the operators' roundings add up to is not forgiven.
PRECISION_TIES = {"fp16": 2.0**-10, "bf16": 2.0**-7}


@dataclass(frozen=True)
class Tolerance:
    """A limit and the reason for it."""

    absolute: float
    relative: float
    reason: str


FP32: dict[str, Tolerance] = {
    "memory": Tolerance(
        1e-5,
        1e-4,
        "dozens of convolutions whose sums are taken in another order, with batch normalisation multiplied "
        "in before them; measured for ResNet-18 1e-6, for EfficientNet-Lite0 7e-6 of the maximum",
    ),
    "state": Tolerance(1e-5, 1e-4, "as memory, and a projection more"),
    "next_state": Tolerance(
        1e-5,
        5e-4,
        "a recurrence feeds its rounding back, and each step may amplify it; measured over eight steps of an "
        "LSTM with large random weights behind EfficientNet-Lite0: 1.8e-4 of the maximum",
    ),
    "logits": Tolerance(
        1e-4, 1e-4, "a sum over the hidden state's few hundred values, with the state's own error in each"
    ),
    "alignment": Tolerance(
        1e-5,
        5e-4,
        "a softmax, which turns an error of a score into a quarter of it; Luong's scores are some tens, "
        "sums of products of a state and a key; measured behind EfficientNet-Lite0: 1.3e-4",
    ),
}


def tolerance_of(tensor: str) -> Tolerance:
    """The limit of a graph's output by its name, such as ``next_state_h0``."""
    kind = next(
        kind for kind in ("memory", "next_state", "state", "logits", "alignment") if tensor.startswith(kind)
    )
    return FP32[kind]
