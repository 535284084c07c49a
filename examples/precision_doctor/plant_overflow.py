"""Spoil a bundle for fp16 without changing what it says in fp32, for the precision doctor to find.

    python examples/precision_doctor/plant_overflow.py emoji build/planted
    cnnrnn export build/planted build/cured --precision fp16 --doctor-report build/doctor.html

One convolution's weights are scaled by 1e5, and the batch normalisation behind it takes the scale away again:
in float32 all stays as it was; in fp16 what lies between the two is infinite. Networks get there by
themselves where nothing holds a layer's size down. The second command refuses fp16 with --no-doctor.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from cnnrnn.core.bundle import Bundle, write_bundle

Change = Callable[[NDArray[np.float64]], NDArray[np.float64]]

SCALE = 1e5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", help="a bundle's folder, or the name of a shipped one")
    parser.add_argument("target", type=Path, help="the bundle to write, with fp32 alone")
    parser.add_argument("--normalisation", type=int, default=9, help="which of the encoder's, from 0")
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    pair = bundle.manifest.precisions["fp32"]
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    lower = tuple(f"{name}/" for name in bundle.manifest.precisions if name != "fp32")
    files = {name: data for name, data in files.items() if not name.startswith(lower or ("\0",))}
    model = onnx.load_from_string(bundle.graph(pair["encoder"].file))
    print(f"scaled {plant(model, options.normalisation)} by {SCALE:g}")
    files[pair["encoder"].file] = model.SerializeToString()
    manifest = dataclasses.replace(bundle.manifest, precisions={"fp32": pair})
    write_bundle(options.target, manifest, files)


def plant(model: onnx.ModelProto, place: int) -> str:
    """Scale the convolution before the encoder's ``place``-th batch normalisation; its name is given back."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    behind = [
        node
        for node in graph.node
        if node.op_type == "BatchNormalization" and makers[node.input[0]].op_type == "Conv"
    ][place]
    convolution = makers[behind.input[0]]
    epsilon = next((entry.f for entry in behind.attribute if entry.name == "epsilon"), 1e-5)
    replace(model, convolution.input[1], lambda weight: weight * SCALE)
    replace(model, behind.input[3], lambda mean: mean * SCALE)
    replace(model, behind.input[4], lambda variance: (variance + epsilon) * SCALE**2 - epsilon)
    return convolution.name


def replace(model: onnx.ModelProto, name: str, change: Change) -> None:
    """Exchange a float32 weight, also where it is stored as fp16 behind a Cast."""
    graph = model.graph
    cast = next((node for node in graph.node if node.op_type == "Cast" and node.output[0] == name), None)
    stored = next(tensor for tensor in graph.initializer if tensor.name == (cast.input[0] if cast else name))
    made = change(numpy_helper.to_array(stored).astype(np.float64)).astype(np.float32)
    stored.CopyFrom(numpy_helper.from_array(made, name))
    if cast is not None:
        graph.node.remove(cast)


if __name__ == "__main__":
    main()
