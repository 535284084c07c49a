"""What the programs' checkpoints are made of here: a small ResNet, and weights that make a difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from cnnrnn.runtime.image import read_image

SIDE = 64
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def write_pictures(folder: Path, count: int) -> list[Path]:
    """PNG files of the encoder's size, of large soft blocks, so that features differ from place to place."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    paths = []
    for number in range(count):
        blocks = random.integers(0, 256, (3, 3, 3), np.uint8)
        paths.append(folder / f"{number:03d}.png")
        cv2.imwrite(str(paths[-1]), cv2.resize(blocks, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
    return paths


def normalised(paths: list[Path]) -> Tensor:
    """The pictures as the programs' transforms give them, (B, 3, H, W)."""
    pixels = [torch.from_numpy(read_image(path).copy()).permute(2, 0, 1).float() / 255 for path in paths]
    return torch.stack([(picture - MEAN) / STD for picture in pixels])


def shallow_resnet() -> nn.Module:
    """A ResNet of one block a stage, which no name is for, and which is exported in less time."""
    return ResNet(BasicBlock, [1, 1, 1, 1])


def trained_resnet(build: Any = shallow_resnet) -> nn.Module:
    """Random weights, and running statistics that keep the features within reason."""
    torch.manual_seed(3)
    network: nn.Module = build()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(8, 3, SIDE, SIDE).cumsum(-1) / 4)
    return network.eval()


def made_talkative(network: nn.Module, factor: float, **bias: Tensor) -> nn.Module:
    """Larger weights, so that pictures get different captions, and a bias of the output layer."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.mul_(factor)
            if name in bias:
                parameter.copy_(bias[name])
    return network.eval()
