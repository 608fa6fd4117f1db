"""What a model costs, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atrous.analysis.cost.cost import Costs


def costs_to_dict(found: Costs) -> dict[str, Any]:
    """Costs as plain data, without nodes."""
    training = found.training
    return {
        "model": found.model,
        "inputs": {name: list(shape) for name, shape in found.input_shapes.items()},
        "parameters": found.parameters,
        "biases": found.biases,
        "weights": found.weights,
        "weight_bytes": found.weight_bytes,
        "macs": found.macs,
        "constant_macs": found.constant_macs,
        "inference_bytes": found.inference,
        "widest": found.widest,
        "eager_bytes": found.eager,
        "training_saved_bytes": None if training is None else training.saved,
        "training_peak_bytes": None if training is None else training.peak,
        "untrainable": found.untrainable,
        "unknown": list(found.unknown),
    }


def nodes_to_list(found: Costs) -> Sequence[dict[str, Any]]:
    """The nodes as plain data."""
    return [
        {**vars(node), "calls": list(node.calls), "shape": list(node.shape)} for node in found.nodes
    ]
