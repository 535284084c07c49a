"""What a captioner must have to be exported: three methods, no base class.

A model is any object with ``encode``, ``initial_state`` and ``step``; usually a `torch.nn.Module` in
``eval`` mode. It is called under ``torch.no_grad`` on the CPU in float32. The letters are B images, K beams,
V words of the vocabulary, P positions of the picture that attention looks at.

The rules, which `cnnrnn.export.check_model` tests one by one:

- ``encode`` and ``initial_state`` run once for an image, ``step`` once for a word: what does not change from
  word to word belongs into ``encode`` (attention keys, the picture's share of an input projection).
- ``step`` depends on its three arguments and on the weights only. Nothing is kept in ``self`` between calls,
  and one beam never looks at another, nor one image at another.
- The next state has the names, shapes and dtypes of the state it came from: it never grows.
- State and memory are float32 (or int32) tensors whose first dimension is B; in ``step`` a state has K after
  it. Memory has no K: broadcast over beams instead of copying.

A model that answers questions about pictures follows `AnswerModel` instead, whose pictures and questions
are encoded apart, so that many questions of one picture look at it once.

Whoever implements this exports with `cnnrnn.export.export_bundle`. For the plain recurrent captioner around
an ``nn.LSTM``, ``nn.GRU``, ``nn.LSTMCell`` or ``nn.GRUCell``, `cnnrnn.export.wrap_rnn` implements it in one
call.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor

Tensors: TypeAlias = dict[str, Tensor]
StepResult: TypeAlias = "tuple[Tensor, Tensors] | tuple[Tensor, Tensors, Tensor]"


@runtime_checkable
class CaptionModel(Protocol):
    """The three methods. Names of memory and state are the model's own: lower-case identifiers."""

    def encode(self, image: Tensor) -> Tensors:
        """Turn pictures into what every step may look at.

        Args:
            image: (B, 3, H, W) float32, RGB, scaled to 0..1 and normalised by the mean and standard deviation
                of the export's `ImageSpec`.

        Returns:
            Memory: name to (B, ...) tensor. What ``step`` never uses is left out of the exported graphs.
        """
        ...

    def initial_state(self, memory: Tensors) -> Tensors:
        """Make the recurrent state before the first word.

        Args:
            memory: what ``encode`` returned.

        Returns:
            State: name to (B, ...) tensor. The search repeats it for its K beams.
        """
        ...

    def step(self, tokens: Tensor, state: Tensors, memory: Tensors) -> StepResult:
        """Score the next word of every beam of every image.

        Args:
            tokens: (B, K) int64, the word each beam chose last; the start token at first.
            state: name to (B, K, ...) tensor.
            memory: name to (B, ...) tensor, shared by the K beams of an image.

        Returns:
            ``(logits, next_state)`` or ``(logits, next_state, alignment)``: logits (B, K, V) float32 before
            any softmax; the next state, like ``state``; and where the model looked, (B, K, P) float32, which
            the runtime returns with each word.
        """
        ...


@runtime_checkable
class AnswerModel(Protocol):
    """The four methods of a model that answers questions; ``initial_state`` and ``step`` as above."""

    def encode_image(self, image: Tensor) -> Tensors:
        """Turn pictures into what any question may look at.

        Args:
            image: (B, 3, H, W) float32, as `CaptionModel.encode` has it.

        Returns:
            Name to (B, ...) tensor.
        """
        ...

    def encode(self, seen: Tensors, question: Tensor, question_length: Tensor) -> Tensors:
        """Turn pictures and questions into what every step may look at.

        Args:
            seen: what ``encode_image`` returned, a picture for each question.
            question: (B, Q) int64 token ids, each filled up to Q; what is beyond its length must not count.
            question_length: (B) int64, 1 to Q.

        Returns:
            Memory: name to (B, ...) tensor.
        """
        ...

    def initial_state(self, memory: Tensors) -> Tensors:
        """See `CaptionModel.initial_state`."""
        ...

    def step(self, tokens: Tensor, state: Tensors, memory: Tensors) -> StepResult:
        """See `CaptionModel.step`."""
        ...
