"""A light trunk for lines of text, 32 pixels high: a feature for every four pixels of width.

As in CRNN (Shi et al. 2016) rows are halved more often than columns, so that narrow letters keep places of
their own. Plain 3 × 3 convolutions, since at these sizes a processor takes as long for a separable block
(Sandler et al. 2018) as for one of them, which learns more: 1.6 and 1.7 ms a line of 96 channels, forwards
and backwards.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

STAGES = ((64, (2, 2), 1), (96, (2, 1), 1), (160, (2, 1), 1))
"""Of each stage its channels, its stride (rows, columns) and its residual convolutions."""


class LineTrunk(nn.Module):
    """(B, 3, H, W) float32 to (B, C, H / 16, W / 4) float32.

    Attributes:
        channels: C.
        stages: the stem and the stages, from the picture on.
    """

    channels = 256

    def __init__(self) -> None:
        super().__init__()
        entering = 32
        stages: list[nn.Module] = [_convolution(3, entering, 3, 2)]
        for leaving, stride, residuals in STAGES:
            first = _convolution(entering, leaving, 3, stride)
            stages.append(nn.Sequential(first, *(Residual(leaving) for _ in range(residuals))))
            entering = leaving
        stages.append(_convolution(entering, self.channels, 1, 1))
        self.stages = nn.Sequential(*stages)

    def forward(self, image: Tensor) -> Tensor:
        """The grid of features."""
        grid: Tensor = self.stages(image)
        return grid


class Residual(nn.Module):
    """A 3 × 3 convolution that is added to what it is given (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, grid: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        return functional.relu(grid + self.norm(self.convolution(grid)))


def _convolution(entering: int, leaving: int, size: int, stride: int | tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(entering, leaving, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(leaving),
        nn.ReLU(inplace=True),
    )
