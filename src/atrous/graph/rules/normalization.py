"""Batch normalisation in inference: a scale and a shift per channel."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from atrous.graph.example import Draw, Example
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Pointwise,
    Read,
    identity_links,
    rule,
)


def _examples(draw: Draw, op: str) -> Example:
    channels = draw.randint(1, 4)
    x = draw.tensor(2, channels, *draw.lengths(draw.randint(0, 3), 1, 4))
    affine: tuple[Any, ...] = draw.some(
        [(None, None), (draw.tensor(channels), draw.tensor(channels))]
    )
    statistics = (draw.tensor(channels), draw.tensor(channels))
    if op.endswith("batch_norm"):
        return Example("default", (x, *affine, *statistics, False, 0.1, 1e-5, False))
    return Example("default", (x, *affine, *statistics, 0.1, 1e-5))


@rule("aten.batch_norm", "aten._native_batch_norm_legit_no_training", examples=_examples)
def batch_norm(call: Call) -> Description:
    """With running statistics every position is scaled by itself."""
    if call.args.get("training") or call.args["running_mean"] is None:
        raise NotImplementedError(
            "batch normalisation with the statistics of the batch; call eval() on it"
        )
    x = call.operand("input")

    def run(args: Arguments, box: Box) -> Tensor:
        channels = box[1]

        def part(name: str) -> Tensor | None:
            region: Region | None = args[name]
            return None if region is None else region.crop((channels,)).tensor

        out: Tensor = F.batch_norm(
            args["input"].tensor,
            part("running_mean"),
            part("running_var"),
            part("weight"),
            part("bias"),
            False,
            0.0,
            call.args["eps"],
        )
        return out

    return Pointwise((Read(x, identity_links(x, call.shape)),), run)
