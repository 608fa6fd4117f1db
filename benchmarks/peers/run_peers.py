"""Ask every peer that is installed about one model; one JSON line per peer. Runs without atrous.

python run_peers.py "resnet50 body"
"""

from __future__ import annotations

import collections
import collections.abc
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
from models import MODELS
from torch import nn

Answer = dict[str, Any]


def gradient_script(model: nn.Module, shape: tuple[int, ...]) -> Answer:
    """What people copy: gradient of the centre output, bounding box of what is not 0."""
    x = torch.randn(shape, requires_grad=True)
    y = model(x)
    y[(0, slice(None), *(n // 2 for n in y.shape[2:]))].sum().backward()
    assert x.grad is not None
    at = x.grad[0].abs().sum(0).nonzero()
    if not len(at):
        return {"answer": "no gradient", "stride": ""}
    sizes = (at.max(0).values - at.min(0).values + 1).tolist()
    return {"answer": " x ".join(map(str, dict.fromkeys(sizes))), "stride": "not told"}


def torchscan(model: nn.Module, shape: tuple[int, ...]) -> Answer:
    """Version 0.2 tells spans of single module calls, so the last one is its nearest answer."""
    from torchscan import crawl_module

    found = crawl_module(model, shape[1:])
    rows = [r["metrics"] for r in found["layers"] if "receptive_field" in r["metrics"]]
    last = rows[-1]
    return {
        "answer": f"{last['receptive_field']['value']} (last call only)",
        "stride": str(last["effective_stride"]["value"]),
    }


def rfa_toolbox(model: nn.Module, shape: tuple[int, ...]) -> Answer:
    """Needs a name that Python 3.10 removed."""
    collections.Sequence = collections.abc.Sequence  # type: ignore[attr-defined]
    from rfa_toolbox import create_graph_from_pytorch_model

    graph = create_graph_from_pytorch_model(model, input_res=shape)
    last = [node for node in graph.all_layers if not node.succecessors][-1]
    return {
        "answer": _per_axis(last.receptive_field_max),
        "stride": _per_axis(last.get_maximum_scale_factor()),
    }


def _per_axis(values: Any) -> str:
    return " x ".join(dict.fromkeys(f"{float(v):g}" for v in values))


def receptivefield(model: nn.Module, shape: tuple[int, ...]) -> Answer:
    """Feeds zeros, so it asks for a twin without ReLU and with average pools; 2-D only."""
    from receptivefield.pytorch import PytorchReceptiveField

    _linear_twin(model)

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model
            self.feature_maps: list[torch.Tensor] = []

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.inner(x)
            self.feature_maps = [y]
            return y

    if len(shape) != 4:
        return {"answer": "2-D only", "stride": ""}
    field = PytorchReceptiveField(Wrapped)
    params = field.compute(input_shape=(shape[2], shape[3], shape[1]))[0]
    return {"answer": _per_axis(params.rf.size), "stride": _per_axis(params.rf.stride)}


def _linear_twin(model: nn.Module) -> None:
    """What receptivefield's README asks of a network: no ReLU, average pools for max pools."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Identity())
            elif isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))


def torchstream(model: nn.Module, shape: tuple[int, ...]) -> Answer:
    """Fits a sliding window to NaN probes along the last axis; the field follows from it."""
    if len(shape) != 3:
        return {"answer": "1-D only", "stride": ""}
    from torchstream import SeqSpec, find_sliding_window_params

    with torch.no_grad():
        channels = model(torch.zeros(shape)).shape[1]
        window = find_sliding_window_params(
            model, SeqSpec(1, shape[1], -1), SeqSpec(1, channels, -1), max_in_out_seq_size=20_000
        )[0]
    size = window.kernel_size_in + (-(-window.kernel_size_out // window.stride_out) - 1) * (
        window.stride_in
    )
    return {"answer": str(size), "stride": f"{window.stride_in}/{window.stride_out}"}


PEERS: dict[str, Callable[[nn.Module, tuple[int, ...]], Answer]] = {
    "gradient script": gradient_script,
    "torchscan": torchscan,
    "rfa_toolbox": rfa_toolbox,
    "receptivefield": receptivefield,
    "torchstream": torchstream,
}


def main() -> None:
    """Answers, errors and seconds of every peer for one model."""
    warnings.simplefilter("ignore")
    name = sys.argv[1]
    case = MODELS[name]
    for peer, ask in PEERS.items():
        torch.manual_seed(0)
        model = case.make().eval()
        began = time.perf_counter()
        try:
            row = ask(model, case.shape)
        except Exception as error:
            text = str(error).strip().splitlines()
            row = {
                "answer": f"{type(error).__name__}: {text[0] if text else ''}"[:60],
                "stride": "",
            }
        row |= {"peer": peer, "seconds": time.perf_counter() - began}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
