"""Other ways to run one convolution forward: torch.compile, and runtimes that are installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.ops import aten
from atrous.ops.problem import Problem

NAMES = ("onnxruntime", "openvino", "onnx", "numba")


def versions() -> dict[str, str]:
    """Of the runtimes that are installed."""
    found = {}
    for name in NAMES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def of(problem: Problem, x: Tensor, weight: Tensor, bias: Tensor) -> dict[str, Callable[[], Any]]:
    """A function that computes the output, by name of the runtime."""
    found: dict[str, Callable[[], Any]] = {"torch.compile": _compiled(problem, x, weight, bias)}
    if find_spec("onnxruntime") and find_spec("onnx"):
        found["onnxruntime"] = _onnxruntime(problem, x, weight, bias)
    if find_spec("openvino"):
        found["openvino"] = _openvino(problem, x, weight, bias)
    return found


def _compiled(problem: Problem, x: Tensor, weight: Tensor, bias: Tensor) -> Callable[[], Any]:
    torch._dynamo.reset()
    compiled: Any = torch.compile(lambda x: aten.forward(problem, x, weight, bias), dynamic=False)

    def run() -> Tensor:
        with torch.no_grad():
            made: Tensor = compiled(x)
            return made

    return run


def _onnxruntime(problem: Problem, x: Tensor, weight: Tensor, bias: Tensor) -> Callable[[], Any]:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    before, after = zip(*problem.padding, strict=True)
    node = helper.make_node(
        "Conv", ["x", "weight", "bias"], ["y"], strides=problem.stride,
        dilations=problem.dilation, group=problem.groups, pads=[*before, *after],
    )  # fmt: skip
    graph = helper.make_graph(
        [node],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, problem.output_shape)],
        [
            numpy_helper.from_array(weight.numpy(), "weight"),
            numpy_helper.from_array(bias.numpy(), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = {"x": x.contiguous().numpy()}
    return lambda: session.run(None, given)[0]


def _openvino(problem: Problem, x: Tensor, weight: Tensor, bias: Tensor) -> Callable[[], Any]:
    import openvino
    from openvino import opset13 as ops

    before, after = ([side[end] for side in problem.padding] for end in (0, 1))
    given = ops.parameter(list(x.shape), np.float32)
    how = (list(problem.stride), before, after, list(problem.dilation))
    if problem.groups == 1:
        made = ops.convolution(given, ops.constant(weight.numpy()), *how)
    else:
        cut = weight.unflatten(0, (problem.groups, -1)).numpy()
        made = ops.group_convolution(given, ops.constant(cut), *how)
    made = ops.add(made, ops.constant(bias.view(1, -1, *(1,) * problem.axes).numpy()))
    core = openvino.Core()
    compiled = core.compile_model(
        openvino.Model([made], [given]),
        "CPU",
        {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    request, numbers = compiled.create_infer_request(), x.contiguous().numpy()
    # The result is its own memory, as of everybody else.
    return lambda: request.infer([numbers], share_inputs=True)[0].copy()
