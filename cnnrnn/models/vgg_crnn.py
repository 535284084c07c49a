"""CRNN's convolutions: a picture of a text line to one row of columns, four pixels apart."""

from __future__ import annotations

from torch import Tensor, nn

# By the name in a configuration, the channels of the last layer: those of the paper, and a lighter network.
WIDTHS = {"vgg_crnn": 512, "vgg_crnn_small": 256, "vgg_crnn_tiny": 64}


class VggCrnn(nn.Module):
    """The network of Shi et al. 2016 (arXiv 1507.05717, table 1), without padding in its last layers.

    Its later pools halve the rows alone, since letters are narrow: a picture of 32 rows leaves one, one of
    64 rows three, and W columns leave W / 4 - 1.

    Args:
        channels: of the last layer; the earlier ones have an eighth, a quarter and a half of them.
        colours: channels of the picture.
    """

    def __init__(self, channels: int, colours: int = 3) -> None:
        super().__init__()
        first, second, third = channels // 8, channels // 4, channels // 2
        self.layers = nn.Sequential(
            *_layer(colours, first),
            nn.MaxPool2d(2),
            *_layer(first, second),
            nn.MaxPool2d(2),
            *_layer(second, third),
            *_layer(third, third),
            nn.MaxPool2d((2, 1)),
            *_layer(third, channels, norm=True),
            *_layer(channels, channels, norm=True),
            nn.MaxPool2d((2, 1)),
            nn.Conv2d(channels, channels, 2),
            nn.ReLU(),
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) float32 to (B, D, H / 16 - 1, W / 4 - 1)."""
        grid: Tensor = self.layers(image)
        return grid


def _layer(inputs: int, outputs: int, *, norm: bool = False) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not norm)
    return [convolution, *([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU()]
