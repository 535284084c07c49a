"""Models with a planted fault: the gate refuses them, the doctor finds it, and its cure passes the gate."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import PrecisionError
from cnnrnn.core.manifest import ImageSpec, SearchDefaults
from cnnrnn.core.samples import pictures_in
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export import ExportOptions, LoweringOptions, add_precisions, export_bundle
from cnnrnn.export.precision.findings import Diagnosis
from cnnrnn.export.precision.report import AS_STORED, AS_WRITTEN, PrecisionReport
from cnnrnn.runtime.loading import load

PICTURES = 12
SIZE = 12
Lowered = Callable[..., Any]


class Healthy(nn.Module):
    """Nothing is planted."""

    def forward(self, grid: Tensor) -> Tensor:
        return grid


class Overflow(nn.Module):
    """A layer scaled by 1e5, whose scale a normalisation takes away."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(SIZE, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        with torch.no_grad():
            self.wide.weight.copy_(1e5 * torch.eye(SIZE))
            self.wide.bias.copy_(torch.linspace(-1e4, 1e4, SIZE))

    def forward(self, grid: Tensor) -> Tensor:
        normalised: Tensor = self.norm(self.wide(grid))
        return normalised


class Underflow(nn.Module):
    """Far below fp16's smallest number, and back."""

    def forward(self, grid: Tensor) -> Tensor:
        return torch.relu(grid * 1e-4 * 1e-4) * 1e4 * 1e4


class Cancellation(nn.Module):
    """Well within fp16's range, with all that matters in the digits that it has not."""

    def forward(self, grid: Tensor) -> Tensor:
        return torch.relu(grid + 3000) - 3000


@pytest.fixture(scope="module")
def planted(
    make_captioner: Any,
    captioner_class: Any,
    image_spec: ImageSpec,
    tokenizer: Tokenizer,
    pictures: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """A function that exports a captioner with a fault, in fp32, and gives the bundle's folder."""

    @functools.cache
    def export(fault: type[nn.Module], growing: bool = False, sharp: float = 1.0) -> Path:
        target = tmp_path_factory.mktemp("planted") / "bundle"

        class Planted(captioner_class):  # type: ignore[misc]
            def encode(self, image: Tensor) -> dict[str, Tensor]:
                grid = self.fault(self.trunk(image).flatten(2).transpose(1, 2))
                return {"keys": self.key(grid) * sharp, "values": grid, "mean": grid.mean(1)}

        class Growing(captioner_class):  # type: ignore[misc]
            """A state that is 40 times larger at each step: step 0 alone shows nothing."""

            def initial_state(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
                return {**super().initial_state(memory), "age": memory["mean"][:, :1] * 0 + 1}

            def step(self, tokens: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]) -> Any:
                logits, following, alignment = super().step(tokens, {"h": state["h"]}, memory)
                older = state["age"] * 40
                return logits * (older / state["age"] - 39), {**following, "age": older}, alignment

        model = make_captioner(Growing if growing else Planted)
        model.fault = fault().eval()
        options = ExportOptions(
            name="planted",
            image=image_spec,
            search=SearchDefaults(beams=3, max_beams=3, max_length=6),
            pictures=pictures,
            least_pictures=PICTURES,
        )
        export_bundle(model, tokenizer, target, options=options)
        return target

    return export


@pytest.fixture
def lowered(pictures: Path, tmp_path: Path) -> Lowered:
    """A function that adds a precision to a bundle and gives the report and the new bundle's folder."""

    def lower(bundle: Path, precision: str = "fp16", **options: Any) -> Any:
        lowering = LoweringOptions((precision,), least_pictures=PICTURES, **options)
        target = tmp_path / "lowered"
        return add_precisions(bundle, target, lowering, pictures=str(pictures))[precision], target

    return lower


def kinds(diagnosis: Diagnosis | None) -> dict[str, str]:
    """By node or tensor what was found wrong with it."""
    assert diagnosis is not None
    return {finding.node or finding.tensor: finding.kind for finding in diagnosis.findings}


@pytest.mark.parametrize(
    ("fault", "kind", "node", "pinned"),
    [
        (Overflow, "overflow", "fault.wide/MatMul", {"encoder": ("fault.wide/Add", "fault.wide/MatMul")}),
        (
            Underflow,
            "underflow",
            "fault/Mul_1",
            {"encoder": ("fault/Mul_1", "fault/Mul_2", "fault/Relu")},
        ),
        (Cancellation, "cancellation", "fault/Sub", {"encoder": ("fault/Add", "fault/Relu", "fault/Sub")}),
    ],
)
def test_a_planted_fault(
    fault: type[nn.Module],
    kind: str,
    node: str,
    pinned: dict[str, tuple[str, ...]],
    planted: Any,
    lowered: Lowered,
    pictures: Path,
    tmp_path: Path,
) -> None:
    bundle = planted(fault)
    with pytest.raises(PrecisionError, match="FAILED") as refused:
        lowered(bundle, doctor=False)
    assert isinstance(refused.value.report, PrecisionReport)
    assert refused.value.report.diagnosis is None
    assert not (tmp_path / "lowered").exists()

    page = tmp_path / "doctor.html"
    report, target = lowered(bundle, doctor_report=page)
    assert report.passed
    assert set(report.runs) == {AS_WRITTEN, AS_STORED}
    assert kinds(report.diagnosis)[node] == kind
    assert node in report.pinned["encoder"]
    assert report.diagnosis.pinned == report.pinned
    assert report.pinned == pinned, "neither more nor less"
    assert 0 < report.diagnosis.cost.pinned_nodes < report.diagnosis.cost.nodes / 2

    written = page.read_text()
    assert node in written
    assert kind in written
    assert "in float32 it does" in written

    files = pictures_in(pictures)
    with load(target, precision="fp16") as model, load(target) as full:
        found, wanted = model(files), full(files)
    assert {result.precision for result in found} == {"fp16"}
    assert [result.text for result in found] == [result.text for result in wanted]


def test_a_state_that_grows(planted: Any, lowered: Lowered, tmp_path: Path) -> None:
    """Only a decode that runs freely for some steps shows it."""
    bundle = planted(Healthy, growing=True)
    with pytest.raises(PrecisionError, match="NaN or infinite"):
        lowered(bundle, doctor=False)
    report, target = lowered(bundle)
    overflowing = [found for found in report.diagnosis.findings if found.tensor == "next_state_age"]
    assert [found.kind for found in overflowing] == ["overflow"]
    assert overflowing[0].step == 5
    assert "state_age" in report.pinned["step"]
    assert "next_state_age" in report.pinned["step"]
    assert "state_age" in report.pinned["encoder"]
    specs = Bundle.open(target).manifest.precisions["fp16"]
    types = {tensor.name: tensor.dtype for tensor in (*specs["step"].inputs, *specs["step"].outputs)}
    assert (types["state_age"], types["next_state_age"]) == ("float32", "float32")
    assert types["state_h"] == "float16"


def test_attention_that_is_too_sharp_for_fp16(planted: Any, lowered: Lowered, tmp_path: Path) -> None:
    """Scores of some thousands are apart by whole numbers in fp16, and softmax takes their exponential."""
    bundle = planted(Healthy, sharp=300.0)
    with pytest.raises(PrecisionError):
        lowered(bundle, doctor=False)
    report, _ = lowered(bundle)
    assert kinds(report.diagnosis)["MatMul"] == "coarse"
    assert "key/MatMul" in report.pinned["encoder"]


def test_rounding_alone(
    planted: Any, lowered: Lowered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a suspect the nodes are tried in the order of what they lose."""
    bundle = planted(Cancellation)
    monkeypatch.setattr("cnnrnn.export.precision.doctor.find", lambda *_: [])
    report, _ = lowered(bundle)
    assert report.passed
    assert "fault/Sub" in report.pinned["encoder"]
    assert len(report.pinned["encoder"]) <= 3
    assert "every tensor is within range" in str(report)


def test_trials_end(planted: Any, lowered: Lowered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pinned then passes; that it is the fewest is not said."""
    monkeypatch.setattr("cnnrnn.export.precision.doctor.MOST_TRIALS", 2)
    page = tmp_path / "doctor.html"
    report, _ = lowered(planted(Overflow), doctor_report=page)
    assert report.passed
    assert {"fault.wide/Add", "fault.wide/MatMul"} <= set(report.pinned["encoder"])
    assert not report.diagnosis.fewest
    assert "the trials ended before it was known" in str(report)
    assert "whether fewer would do is not known" in page.read_text()


def test_without_a_fault_nothing_is_pinned(planted: Any, lowered: Lowered, tmp_path: Path) -> None:
    bundle = planted(Healthy)
    page = tmp_path / "doctor.html"
    report, _ = lowered(bundle, doctor_report=page)
    assert report.passed
    assert report.pinned == {}
    assert report.diagnosis.cost is None
    assert "nothing had to be pinned" in page.read_text()
    assert lowered(bundle)[0].diagnosis is None, "nobody asked"


def test_bf16(planted: Any, lowered: Lowered, tmp_path: Path) -> None:
    """It has fp32's range, so the layer that overflows fp16 passes; what it runs on is said."""
    report, target = lowered(planted(Overflow), "bf16")
    assert report.passed
    assert set(report.runs) == {AS_STORED}
    assert "not judged by onnxruntime" in report.notes[0]
    assert "bf16" in Bundle.open(target).manifest.precisions
