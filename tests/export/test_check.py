"""`check_model` finds each planted fault, and nothing in a sound model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnnrnn.core.errors import ModelError, OptionsError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.export import check_model


def spoiled(captioner: type[Any], **methods: Callable[..., Any]) -> type[Any]:
    """A subclass in which ``method(original, self, *arguments)`` takes the place of each named method."""

    def replace(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        original = getattr(captioner, name)
        return lambda self, *arguments: function(lambda *a: original(self, *a), self, *arguments)

    return type(
        "Spoiled", (captioner,), {name: replace(name, function) for name, function in methods.items()}
    )


def grows(step: Any, self: Any, tokens: Tensor, state: Any, memory: Any) -> Any:
    logits, following, alignment = step(tokens, state, memory)
    return logits, {"h": torch.cat((following["h"], following["h"][..., :1]), -1)}, alignment


def remembers(step: Any, self: Any, tokens: Tensor, state: Any, memory: Any) -> Any:
    self.calls = getattr(self, "calls", 0) + 1
    logits, *rest = step(tokens, state, memory)
    return logits + self.calls, *rest


def keeps_features(encode: Any, self: Any, image: Tensor) -> Any:
    memory = encode(image)
    self.kept = memory["mean"].mean()
    return memory


def reads_features(step: Any, self: Any, tokens: Tensor, state: Any, memory: Any) -> Any:
    logits, *rest = step(tokens, state, memory)
    return logits + self.kept, *rest


def mixes_beams(step: Any, self: Any, tokens: Tensor, state: Any, memory: Any) -> Any:
    return step(tokens, {"h": state["h"] - state["h"].mean(1, keepdim=True)}, memory)


def mixes_images(step: Any, self: Any, tokens: Tensor, state: Any, memory: Any) -> Any:
    return step(tokens, {"h": state["h"] - state["h"].mean(0, keepdim=True)}, memory)


def mixes_encoded(encode: Any, self: Any, image: Tensor) -> Any:
    return encode(image - image.mean(0, keepdim=True))


def overwrites(step: Any, self: Any, tokens: Tensor, state: Any, memory: Any) -> Any:
    result = step(tokens, state, memory)
    state["h"].mul_(0.5)
    return result


def noisy(step: Any, self: Any, tokens: Tensor, state: Any, memory: Any) -> Any:
    logits, *rest = step(tokens, state, memory)
    return nn.functional.dropout(logits), *rest


FAULTS: list[tuple[dict[str, Callable[..., Any]], str]] = [
    ({"step": grows}, r"'h' of shape \(5, 4, 12\) and returned \(5, 4, 13\): the state grows"),
    ({"step": remembers}, "called twice with the same arguments gives two results"),
    ({"step": noisy}, "another random seed: dropout is left on"),
    ({"encode": keeps_features, "step": reads_features}, "when another image is encoded in between"),
    ({"step": mixes_beams}, "another beam's word or state"),
    ({"step": mixes_images}, "another image of the batch"),
    ({"encode": mixes_encoded}, "another result for 1 image"),
    ({"step": overwrites}, "changed the state 'h' it was given"),
    ({"encode": lambda f, s, x: f(x)["mean"]}, "encode returned a Tensor; return a dict"),
    ({"encode": lambda f, s, x: {"Mean": f(x)["mean"]}}, "names a memory 'Mean'; use lower-case"),
    ({"encode": lambda f, s, x: {**f(x), "size": 3}}, "'size' is a int; it must be a tensor"),
    ({"encode": lambda f, s, x: {**f(x), "grid": f(x)["mean"].double()}}, "torch.float64; convert"),
    ({"encode": lambda f, s, x: {**f(x), "mean": f(x)["mean"] * float("nan")}}, "NaN or infinity"),
    ({"encode": lambda f, s, x: f(x.mul_(2))}, "encode changed the image"),
    ({"encode": lambda f, s, x: None}, "returned None; is a 'return' missing"),
    ({"initial_state": lambda f, s, m: {"h": f(m)["h"][None]}}, r"\(1, 5, 12\) .* \.transpose\(0, 1\)"),
    ({"initial_state": lambda f, s, m: {}}, "returned no tensor"),
    ({"initial_state": lambda f, s, m: m["nothing"]}, "initial_state raised KeyError"),
    ({"step": lambda f, s, t, h, m: f(t, h, m)[0]}, "step returned a Tensor"),
    ({"step": lambda f, s, t, h, m: (*f(t, h, m), 1)}, "step returned 4 values"),
    ({"step": lambda f, s, t, h, m: (f(t, h, m)[0], {"g": h["h"]})}, "lacks h.*"),
    (
        {"step": lambda f, s, t, h, m: (f(t, h, m)[0], {**h, "g": h["h"]})},
        "has g, which initial_state did not",
    ),
    ({"step": lambda f, s, t, h, m: (f(t, h, m)[0], {"h": h["h"].double()})}, "returned torch.float64; keep"),
    ({"step": lambda f, s, t, h, m: (f(t, h, m)[0].flatten(0, 1), h)}, r"logits has shape \(20, 12\)"),
    ({"step": lambda f, s, t, h, m: (f(t, h, m)[0].half(), h)}, "logits is torch.float16"),
    ({"step": lambda f, s, t, h, m: (f(t, h, m)[0].softmax(-1), h)}, "return the logits, before softmax"),
    (
        {"step": lambda f, s, t, h, m: (torch.cat([f(t, h, m)[0]] * 2, -1), h)},
        "24 words and the tokenizer has 12",
    ),
]


@pytest.mark.parametrize(("methods", "words"), FAULTS, ids=[words[:40] for _, words in FAULTS])
def test_each_fault_is_found(
    methods: dict[str, Callable[..., Any]],
    words: str,
    captioner_class: Any,
    make_captioner: Any,
    image_spec: ImageSpec,
) -> None:
    model = make_captioner(spoiled(captioner_class, **methods))
    report = check_model(model, image_spec, vocabulary=12, alignment_grid=(4, 4))
    assert not report.ok
    with pytest.raises(ModelError, match=words):
        report.raise_problems()


def test_a_sound_model_passes_and_leaves_the_random_state(make_captioner: Any, image_spec: ImageSpec) -> None:
    before = torch.get_rng_state()
    report = check_model(make_captioner(), image_spec, vocabulary=12, alignment_grid=(4, 4))
    assert report.ok
    assert str(report) == "the model follows the protocol"
    assert torch.equal(torch.get_rng_state(), before)


def test_training_mode_is_found_and_named(make_captioner: Any) -> None:
    report = check_model(make_captioner().train(), 16)
    assert "left in training mode: trunk.1 (BatchNorm2d), drop (Dropout)" in report.problems[0]


def test_a_word_that_cannot_be_fed_back_is_found(make_captioner: Any) -> None:
    model = make_captioner()
    model.embedding = nn.Embedding(6, 12)
    assert "fails when word 11 is fed back" in str(check_model(model, 16))


def test_a_model_that_ignores_its_words_gets_a_note(make_captioner: Any) -> None:
    model = make_captioner()
    nn.init.zeros_(model.embedding.weight)
    report = check_model(model, 16)
    assert report.ok
    assert "whichever word it is fed" in report.notes[0]


def test_the_wrong_grid_is_found(make_captioner: Any) -> None:
    assert "16 positions and alignment_grid is 3x3 = 9" in str(
        check_model(make_captioner(), 16, alignment_grid=(3, 3))
    )


def test_weights_that_are_not_float32_or_not_finite_are_found(make_captioner: Any) -> None:
    assert "output.weight (torch.float64)" in str(check_model(_with_double_output(make_captioner()), 16))
    model = make_captioner()
    with torch.no_grad():
        model.output.bias[0] = float("inf")
    assert "weights are not finite: output.bias" in str(check_model(model, 16))


def test_missing_methods_are_named() -> None:
    assert "Linear has no method encode, initial_state, step" in str(check_model(nn.Linear(2, 2), 16))


def test_an_object_that_is_no_module_is_looked_into(make_captioner: Any) -> None:
    class Holder:
        def __init__(self, net: Any) -> None:
            self.net = net
            self.encode, self.initial_state, self.step = net.encode, net.initial_state, net.step

    assert check_model(Holder(make_captioner()), 16).ok
    assert "net.trunk.1 (BatchNorm2d)" in str(check_model(Holder(make_captioner().train()), 16))


@pytest.mark.parametrize("image", [0, (3,), (4, -1), "16"])
def test_a_size_that_is_none_is_refused(image: Any, make_captioner: Any) -> None:
    with pytest.raises(OptionsError, match="is no size"):
        check_model(make_captioner(), image)


def _with_double_output(model: Any) -> Any:
    model.output = model.output.double()
    return model
