"""A ResNet's grid of features, from its state dict alone: which ResNet it is, its tensors' names say.

He et al. 2016. Depth, kind of block, groups and width are read from names and shapes, so torchvision's
``resnet18`` to ``resnet152``, its ResNeXts and its wide ResNets are all known without being named.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnnrnn.core.errors import CheckpointError, OptionsError
from cnnrnn.core.extras import require
from cnnrnn.export.imports.fitting import Shape

COUNTERS = "num_batches_tracked"

_BLOCK = re.compile(r"layer([1-4])\.(\d+)\..*")
_KEPT = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


@dataclass(frozen=True)
class TrunkPlan:
    """A ResNet without its classifier, its tensors still to come.

    Attributes:
        network: on torch's meta device.
        channels: D, of a feature.
    """

    network: nn.Sequential
    channels: int

    @property
    def needed(self) -> dict[str, Shape]:
        """torchvision's names, and shapes."""
        return {name: tuple(tensor.shape) for name, tensor in self.network.state_dict().items()}

    @property
    def optional(self) -> frozenset[str]:
        """What files of before torch 0.4.1 lack, and only training reads."""
        return frozenset(name for name in self.needed if name.endswith(COUNTERS))

    def load(self, tensors: Mapping[str, Tensor]) -> nn.Sequential:
        """The network with these tensors, by torchvision's names; in ``eval`` mode."""
        counters = {name: torch.zeros((), dtype=torch.int64) for name in self.optional}
        self.network.load_state_dict({**counters, **tensors}, assign=True)
        return self.network.eval()


def plan_resnet(given: Mapping[str, Tensor], where: str, *, caffe: bool = False) -> TrunkPlan:
    """Find out which ResNet a state dict is of.

    Args:
        given: tensors by torchvision's names; others are not looked at.
        where: the file, for a message.
        caffe: strides and pooling as in the original ResNet in Caffe, whose converted weights
            ImageCaptioning.pytorch uses: a stage halves its grid in the first convolution of its first block,
            not in the second, and pooling pads at the lower right alone.

    Raises:
        CheckpointError: no ResNet's names are there.
        MissingDependencyError: torchvision is not installed.
    """
    blocks = [0, 0, 0, 0]
    for name in given:
        if matched := _BLOCK.fullmatch(name):
            stage, number = (int(part) for part in matched.groups())
            blocks[stage - 1] = max(blocks[stage - 1], number + 1)
    middle = given.get("layer1.0.conv2.weight")
    if middle is None or middle.dim() != 4 or 0 in blocks:
        raise CheckpointError(
            f"{where} holds no ResNet: conv1.weight, layer1.0.conv2.weight and so on to layer4, by "
            "torchvision's names, are needed"
        )
    resnet = require("torchvision.models.resnet", "train")
    deep = "layer1.0.conv3.weight" in given
    options: dict[str, Any] = {}
    if deep:
        options = {"groups": middle.shape[0] // middle.shape[1], "width_per_group": middle.shape[1]}
    with torch.device("meta"):
        network = resnet.ResNet(resnet.Bottleneck if deep else resnet.BasicBlock, blocks, **options)
    if caffe:
        _like_caffe(network)
    kept = nn.Sequential(OrderedDict((name, getattr(network, name)) for name in _KEPT))
    return TrunkPlan(kept, 512 * (4 if deep else 1))


def _like_caffe(network: Any) -> None:
    network.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=0, ceil_mode=True)
    for stage in (network.layer2, network.layer3, network.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)


@torch.no_grad()
def grid_of(trunk: nn.Module, height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of the features of a picture of that size.

    Raises:
        OptionsError: it is too small.
    """
    try:
        grid = trunk(torch.zeros(1, 3, height, width))
    except RuntimeError as error:
        raise OptionsError(
            f"the ResNet cannot take pictures of {height} × {width} pixels ({error}); give "
            "a size from 32 × 32 on"
        ) from error
    return int(grid.shape[2]), int(grid.shape[3])


class GridPool(nn.Module):
    """`torch.nn.AdaptiveAvgPool2d` as two matrix products, which every runtime has.

    A cell of the new grid is the mean of the old cells that it touches: (B, D, h, w) becomes (B, D, rows,
    columns), which may be more than there were.

    Args:
        old: (h, w).
        new: (rows, columns).
    """

    def __init__(self, old: tuple[int, int], new: tuple[int, int]) -> None:
        super().__init__()
        self.same = old == new
        self.rows: Tensor
        self.columns: Tensor
        self.register_buffer("rows", _means(old[0], new[0]))
        self.register_buffer("columns", _means(old[1], new[1]).T.contiguous())

    def forward(self, grid: Tensor) -> Tensor:
        return grid if self.same else self.rows @ grid @ self.columns


def _means(old: int, new: int) -> Tensor:
    """(new, old): row i is the mean over floor(i * old / new) up to ceil((i + 1) * old / new)."""
    matrix = torch.zeros(new, old)
    for index in range(new):
        first, last = index * old // new, -(-(index + 1) * old // new)
        matrix[index, first:last] = 1 / (last - first)
    return matrix
