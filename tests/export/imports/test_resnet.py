"""Which ResNet a state dict is of, in torchvision's form and in Caffe's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from cnnrnn.core.errors import CheckpointError, OptionsError
from cnnrnn.export.imports.resnet import GridPool, grid_of, plan_resnet
from tests.export.imports.trunks import SIDE, trained_resnet


@pytest.mark.parametrize("name", ["resnet18", "resnet101", "resnext50_32x4d", "wide_resnet50_2"])
def test_depth_block_groups_and_width_are_found(name: str) -> None:
    with torch.device("meta"):
        given = models.get_model(name).state_dict()
    needed = plan_resnet(given, name).needed
    wanted = {key: tuple(value.shape) for key, value in given.items() if not key.startswith("fc.")}
    assert needed == wanted


@torch.no_grad()
def test_it_is_torchvisions_grid() -> None:
    network: Any = trained_resnet()
    given = {name: value for name, value in network.state_dict().items() if not name.startswith("fc.")}
    given = {name: value for name, value in given.items() if "num_batches" not in name}  # an old file
    trunk = plan_resnet(given, "").load(given)
    images = torch.randn(2, 3, SIDE, SIDE)
    wanted = nn.Sequential(*list(network.children())[:-2])(images)
    torch.testing.assert_close(trunk(images), wanted, atol=0, rtol=0)
    assert grid_of(trunk, SIDE, 96) == (2, 3)
    small = plan_resnet(given, "", caffe=True).load(given)
    with pytest.raises(OptionsError, match="cannot take pictures of 2 × 2 pixels"):
        grid_of(small, 2, 2)


@torch.no_grad()
def test_caffes_strides_and_pooling() -> None:
    """The original ResNet halves the grid in a bottleneck's first layer, and pools without a border above."""
    torch.manual_seed(0)
    given = models.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1]).eval().state_dict()
    given = {name: value for name, value in given.items() if not name.startswith("fc.")}
    trunk: Any = plan_resnet(given, "", caffe=True).load(given)
    images = torch.randn(1, 3, SIDE, SIDE)
    stem = torch.relu(trunk.bn1(trunk.conv1(images)))
    grid = nn.functional.max_pool2d(nn.functional.pad(stem, (0, 1, 0, 1), value=-1.0), 3, 2)
    for stage in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
        block = stage[0]
        seen = grid if stage is trunk.layer1 else grid[:, :, ::2, ::2]  # a stride of 2 in a 1 × 1 convolution
        first = torch.relu(block.bn1(nn.functional.conv2d(seen, block.conv1.weight)))
        second = torch.relu(block.bn2(nn.functional.conv2d(first, block.conv2.weight, padding=1)))
        third = block.bn3(nn.functional.conv2d(second, block.conv3.weight))
        short = block.downsample[1](nn.functional.conv2d(seen, block.downsample[0].weight))
        grid = torch.relu(third + short)
    torch.testing.assert_close(trunk(images), grid, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("old", "new"), [((8, 8), (14, 14)), ((15, 20), (14, 14)), ((2, 3), (3, 2)), ((7, 7), (7, 7))]
)
def test_pooling_is_torchs_adaptive_pooling(old: tuple[int, int], new: tuple[int, int]) -> None:
    grid = torch.randn(2, 3, *old)
    wanted = nn.functional.adaptive_avg_pool2d(grid, new)
    torch.testing.assert_close(GridPool(old, new)(grid), wanted, atol=1e-6, rtol=1e-5)


def test_what_is_no_resnet() -> None:
    with pytest.raises(CheckpointError, match=r"vgg\.pth holds no ResNet: conv1\.weight"):
        plan_resnet({"features.0.weight": torch.zeros(64, 3, 3, 3)}, "vgg.pth")
