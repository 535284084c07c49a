"""The machine's rates, and what they make of a graph's costs."""

from __future__ import annotations

from importlib.resources import files

import pytest
from onnx import TensorProto, helper

from cnnrnn.bench.counting import Cost
from cnnrnn.bench.floor import Rates, measure_rates

COST = Cost(multiplications=2_000_000, weight_bytes=1000, nodes=3, operators={})


def test_a_floor_is_what_takes_longer() -> None:
    computing = Rates(1, products=1e9, reading={1000: 1e9})
    assert computing.floor_ms(COST) == pytest.approx(2.0)
    assert computing.floor_ms(COST, images=4) == pytest.approx(8.0)
    reading = Rates(1, products=1e12, reading={1000: 1e5})
    assert reading.floor_ms(COST) == pytest.approx(10.0)
    assert reading.floor_ms(COST, images=4) == pytest.approx(10.0), "weights are read once for all images"
    assert computing.floor_ms(Cost(0, 0, 0, {})) == 0.0


def test_the_rates_of_this_machine() -> None:
    rates = measure_rates(1, [1 << 20, 1 << 20, 3 << 20])
    assert list(rates.reading) == [1 << 20, 3 << 20]
    assert 1e8 < rates.products < 1e13
    assert all(1e8 < rate < 1e13 for rate in rates.reading.values())
    assert rates.to_dict()["gigaflops"] == round(2 * rates.products / 1e9, 2)


def test_the_product_that_is_measured() -> None:
    """The file in the package is what onnx makes of this."""

    def value(name: str, *shape: str) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "matmul",
        [value("a", "M", "K"), value("b", "K", "N")],
        [value("c", "M", "N")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="cnnrnn"
    )
    assert (files("cnnrnn.bench") / "matmul.onnx").read_bytes() == model.SerializeToString()
