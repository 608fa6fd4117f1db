"""Bags of table rows: what consecutive runs of an index list, summed, averaged or maximised."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.fitting import fitted
from atrous.graph.example import Draw, Example
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Local,
    Operand,
    Read,
    identity_links,
    rule,
)


def _examples(draw: Draw, op: str) -> Example:
    rows, count = draw.randint(2, 4), draw.randint(1, 7)
    index, weight = draw.indices(rows, count), draw.tensor(rows, 2)
    last = draw.some([False, True])
    cuts = [0, *sorted(draw.choices(range(count + 1), k=draw.randint(0, 3))), *[count] * last]
    mode = draw.some([0, 1, 2])
    shares = draw.tensor(count) if mode == 0 and draw.random() < 0.5 else None
    args = (weight, index, torch.tensor(cuts), False, mode, False, shares, last)
    return Example("default", args, (1, 6), {"indices": range(rows)})


@rule("aten.embedding_bag", "aten._embedding_bag", examples=_examples)
def embedding_bag(call: Call) -> Description:
    """Bag b holds the entries of the index from offset b up to the next offset."""
    if call.output != 0:
        raise NotImplementedError("what is kept for the gradient")
    weight, index = call.operand("weight"), call.operand("indices")
    if len(index.shape) != 1:
        raise NotImplementedError("an index of several axes")
    offsets = call.operand("offsets").known().long().cpu().numpy()
    ends = offsets if call.args["include_last_offset"] else np.append(offsets, index.shape[0])
    sizes = np.diff(ends)
    bags = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
    entries = np.arange(ends[0], ends[-1], dtype=np.int64)
    link = Link(0, fitted(len(sizes), index.shape[0], bags, entries))
    shares = call.args["per_sample_weights"]
    reads = [Read(index, (link, None))]
    if isinstance(shares, Operand):
        reads.append(Read(shares, (link, None)))
    if not weight.is_constant:
        reads.append(Read(weight, (None, identity_links(weight, weight.shape)[1])))

    def run(args: Arguments, box: Box) -> Tensor:
        part: Region = args["indices"]
        first, stop = box[0]
        local = (ends[first : stop + 1] - part.box[0][0]).clip(0, len(part.tensor))
        table: Region = args["weight"]
        padding: int | None = call.args.get("padding_idx")
        out: Tensor = torch.ops.aten.embedding_bag.padding_idx(
            table.crop((table.box[0], box[1])).tensor.contiguous(),
            part.tensor,
            torch.from_numpy(local).to(part.tensor),
            False,
            call.args["mode"],
            False,
            None if shares is None else args["per_sample_weights"].tensor,
            True,
            None if padding is None or padding < 0 else padding,
        )[0]
        return out

    return (Local if weight.is_constant else Global)(tuple(reads), run)
