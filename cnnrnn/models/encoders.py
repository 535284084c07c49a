"""CNN encoders: a trunk turned into features of P positions, or of the pooled image."""

from __future__ import annotations

import contextlib
import io
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from cnnrnn.core.errors import ConfigError
from cnnrnn.core.extras import require
from cnnrnn.models.config import ModelConfig
from cnnrnn.models.efficientnet_lite import EfficientNetLite0, imagenet_weights
from cnnrnn.models.line_trunk import LineTrunk
from cnnrnn.models.vgg_crnn import WIDTHS, VggCrnn

PROBE_PIXELS = 224


class Encoder(nn.Module):
    """A trunk and what becomes of its grid.

    Attributes:
        name: of the encoder, as the configuration has it.
        channels: D, the size of a feature.
    """

    def __init__(self, trunk: nn.Module, channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.name = config.encoder
        self.trunk = trunk
        self.channels = channels
        self.features = config.features
        self.norm = nn.BatchNorm2d(channels) if config.feature_norm else nn.Identity()
        frozen_blocks = config.frozen_blocks
        stages = self._stages()
        if frozen_blocks > len(stages):
            raise ConfigError(
                f"frozen_blocks = {frozen_blocks} and this encoder has {len(stages)} blocks to freeze"
            )
        self._frozen = stages[:frozen_blocks]
        for parameter in chain.from_iterable(stage.parameters() for stage in self._frozen):
            parameter.requires_grad_(False)

    def _stages(self) -> list[nn.Module]:
        return list(getattr(self.trunk, "stages", None) or self.trunk.children())

    def train(self, mode: bool = True) -> Encoder:
        """Sets the mode; frozen blocks stay in eval mode, so that their batch statistics keep still."""
        super().train(mode)
        for stage in self._frozen:
            stage.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) float32 to (B, P, D), positions in row order or columns from the left, or (B, D)."""
        grid = self.norm(self.trunk(image))
        if self.features == "columns":
            return grid.mean(dim=2).transpose(1, 2)
        if self.features == "pooled":
            return grid.mean(dim=(2, 3))
        return grid.flatten(2).transpose(1, 2)

    @torch.no_grad()
    def grid(self, height: int, width: int) -> tuple[int, int]:
        """The feature grid (h, w) of an image of that size; (1, w) of columns, (1, 1) when pooled.

        Raises:
            ConfigError: the trunk cannot take that size.
        """
        was_training = self.training
        self.eval()
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # torch.fx prints the line of code that failed
                shape = self.trunk(torch.zeros(1, 3, height, width)).shape
        except RuntimeError as error:
            raise ConfigError(
                f"encoder = {self.name!r} cannot take pictures of {height} × {width} pixels: "
                f"{str(error).partition(chr(10))[0]}; set [image] height and width to {PROBE_PIXELS}, which "
                "it takes, or choose another encoder"
            ) from error
        self.train(was_training)
        rows, columns = int(shape[2]), int(shape[3])
        return {"grid": (rows, columns), "columns": (1, columns), "pooled": (1, 1)}[self.features]


def build_encoder(config: ModelConfig, *, load_pretrained: bool = True) -> Encoder:
    """The encoder that a config names.

    Args:
        config: ``encoder``, ``pretrained``, ``output_stride``, ``features`` and ``frozen_blocks`` are read.
        load_pretrained: False leaves the weights random, for a state dict that follows.

    Raises:
        ConfigError: the name is unknown, the network has no grid of features, or its weights cannot be had.
    """
    pretrained = config.pretrained if load_pretrained else False
    if config.encoder == "efficientnet_lite0":
        weights = (
            imagenet_weights() if pretrained is True else (_existing(pretrained) if pretrained else None)
        )
        trunk: nn.Module = EfficientNetLite0(config.output_stride, config.drop_connect, weights)
        channels = EfficientNetLite0.channels
    elif config.encoder == "crnn_small":
        trunk, channels = _line_trunk(config, pretrained), LineTrunk.channels
    elif config.encoder in WIDTHS:
        channels = WIDTHS[config.encoder]
        trunk = VggCrnn(channels)
        if pretrained or config.drop_connect or config.output_stride:
            raise ConfigError(
                f"encoder = {config.encoder!r} has no pre-trained weights, drop_connect or output_stride; "
                "leave them out"
            )
    else:
        trunk, channels = _torchvision_trunk(config, pretrained)
    return Encoder(trunk, channels, config)


def _existing(path: bool | str) -> str:
    if not Path(str(path)).is_file():
        raise ConfigError(
            f"pretrained = {str(path)!r}: no such file; give a state dict's path, true or false"
        )
    return str(path)


def _line_trunk(config: ModelConfig, pretrained: bool | str) -> LineTrunk:
    if pretrained is True or config.output_stride or config.drop_connect:
        raise ConfigError(
            f"encoder = {config.encoder!r} has no weights but those of a state dict, no output_stride and no "
            "drop_connect; set pretrained to false or a path, and the others to 0"
        )
    trunk = LineTrunk()
    if pretrained:
        trunk.load_state_dict(torch.load(_existing(pretrained), map_location="cpu", weights_only=True))
    return trunk


def _torchvision_trunk(config: ModelConfig, pretrained: bool | str) -> tuple[nn.Module, int]:
    models = require("torchvision.models", extra="train")
    name = config.encoder
    if name not in models.list_models(module=models):
        raise ConfigError(
            f"encoder = {name!r} is neither efficientnet_lite0, crnn_small nor a torchvision classification "
            "model; python -c 'import torchvision; print(torchvision.models.list_models())' lists those"
        )
    if config.drop_connect:
        raise ConfigError(
            f"drop_connect = {config.drop_connect} is efficientnet_lite0's; set it to 0 for {name!r}"
        )
    network = models.get_model(name, weights=None, **_options(config))
    if pretrained:
        network.load_state_dict(_state_dict(models, name, pretrained), strict=True)
    return _before_pooling(network, name)


def _options(config: ModelConfig) -> dict[str, object]:
    name = config.encoder
    options: dict[str, object] = {}
    if name in ("googlenet", "inception_v3"):
        options.update(init_weights=False, aux_logits=False)
    if config.output_stride == 16:
        if not (
            name.startswith(("resnet", "resnext", "wide_resnet")) and name not in ("resnet18", "resnet34")
        ):
            raise ConfigError(
                f"output_stride = 16 is not offered for {name!r}; set it to 0 or use a resnet50 or larger"
            )
        options["replace_stride_with_dilation"] = [False, False, True]
    return options


def _state_dict(models: object, name: str, pretrained: bool | str) -> dict[str, Tensor]:
    if pretrained is not True:
        state: dict[str, Tensor] = torch.load(_existing(pretrained), map_location="cpu", weights_only=True)
        return state
    weights = models.get_model_weights(name).DEFAULT  # type: ignore[attr-defined]
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except OSError as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise ConfigError(
            f"the weights of {name!r} are not in {folder} and could not be fetched ({error}); put "
            f"{Path(weights.url).name} there, or set pretrained to a local file, or to false"
        ) from error


def _before_pooling(network: nn.Module, name: str) -> tuple[nn.Module, int]:
    """Cuts a classifier after the last node that still has rows and columns.

    Traced in eval mode: batch normalisation follows the mode it is put in later, functional dropout and
    stochastic depth stay off.
    """
    extraction = require("torchvision.models.feature_extraction", extra="train")
    fx = require("torch.fx.passes.shape_prop", extra="train")
    graph = torch.fx.GraphModule(network, extraction.NodePathTracer().trace(network.eval()))
    with torch.no_grad():
        fx.ShapeProp(graph).propagate(torch.zeros(1, 3, PROBE_PIXELS, PROBE_PIXELS))
    last = None
    for node in _before_last_pool(graph):
        shape: tuple[int, ...] = tuple(getattr(node.meta.get("tensor_meta"), "shape", ()))
        if len(shape) == 4 and shape[2] > 1 and shape[3] > 1:
            last = node, shape[1]
    if last is None or name.startswith("vit_"):
        raise ConfigError(f"encoder = {name!r} has no grid of features before its classifier; choose a CNN")
    node, channels = last
    with graph.graph.inserting_after(node):
        graph.graph.output(node)
    for later in reversed(list(graph.graph.nodes)):
        if later.op == "output" and later.args[0] is not node:
            graph.graph.erase_node(later)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph, channels


def _before_last_pool(graph: torch.fx.GraphModule) -> list[torch.fx.Node]:
    """The nodes before the classifier and its pooling; pools inside squeeze-and-excitation come earlier."""
    nodes = [node for node in graph.graph.nodes if node.op != "placeholder"]
    pools = [
        index
        for index, node in enumerate(nodes)
        if node.op == "call_module"
        and isinstance(graph.get_submodule(str(node.target)), nn.AdaptiveAvgPool2d)
    ]
    before = nodes[: pools[-1]] if pools else nodes
    return [node for node in before if not str(node.target).startswith("classifier")]
