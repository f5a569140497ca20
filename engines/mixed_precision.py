"""A network for OpenVINO in which the wide convolutions alone compute in bfloat16.

Half of a landmark network's time goes into convolutions over pixels alone, between many channels, deep inside it. What
bfloat16 rounds there hardly reaches the landmarks; what it rounds near the picture, in sums, and where positions are
told does: as a whole in bfloat16 the heavy landmark network moves by 1.1 pixels of its crop and 18 mm in the median,
so by 0.1 pixels and 3.6 mm.
"""

from __future__ import annotations

from typing import Any

_LEAST_WEIGHTS = 2**15
_RATIO = 2
"""Of channels on either side: where as many come out as go in, the landmark networks tell positions."""


def narrow_wide_convolutions(network: Any) -> None:
    """Changes an `openvino.Model` whose own types are float32."""
    for node in network.get_ordered_ops():
        if _is_wide(node):
            _narrow(node)
    network.validate_nodes_and_infer_types()


def _is_wide(node: Any) -> bool:
    if node.get_type_name() != "Convolution" or node.input(1).get_partial_shape().is_dynamic:
        return False
    outputs, inputs, *window = node.input(1).get_shape()
    few, many = sorted((outputs, inputs))
    return set(window) == {1} and few * many >= _LEAST_WEIGHTS and many >= _RATIO * few


def _narrow(convolution: Any) -> None:
    from openvino import opset13

    readers = convolution.output(0).get_target_inputs()
    for each in convolution.inputs():
        each.replace_source_output(opset13.convert(each.get_source_output(), "bf16").output(0))
    restored = opset13.convert(convolution.output(0), "f32").output(0)
    for reader in readers:
        reader.replace_source_output(restored)
