"""Scaled dot-product attention, with the mask's structure."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from atrous.geometry.primitives import masked
from atrous.geometry.relation import Flags, Relation
from atrous.graph.example import Draw, Example
from atrous.graph.region import Box, Region, box_shape
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Operand,
    Read,
    Run,
    Segment,
    broadcast,
    rule,
    whole,
)


def _examples(draw: Draw, op: str) -> Example:
    length, keys = draw.lengths(2, 1, 4)
    heads, width, values = draw.lengths(3, 1, 2)
    lead = draw.some([(heads,), (2, heads)])
    shared = draw.some([1, heads]) if op.endswith("attention") else heads
    q = draw.tensor(*lead, length, width)
    k = draw.tensor(*lead[:-1], shared, keys, width)
    if op.endswith("_cpu"):
        q, values, lead = q.reshape(-1, heads, length, width), width, (2, heads)[-len(lead) :]
        k = k.reshape(-1, heads, keys, width)
        v = torch.rand_like(k) + 0.5
        return Example("default", (q, k, v, 0.0, draw.some([False, True])), (0, 1, 2))
    v = draw.tensor(*lead[:-1], shared, keys, values)
    mask = draw.some([None, "bool", "float", "band", "data", "heads"])
    causal = mask is None and draw.random() < 0.5
    drawn: Tensor | None = None
    if mask in ("bool", "float", "heads"):
        shape = (heads, length, keys) if mask == "heads" else (length, keys)
        drawn = draw.tensor(*shape) > 0.9
        drawn[..., 0] = True
        if mask == "float":
            drawn = torch.zeros(shape, dtype=q.dtype).masked_fill(~drawn, -torch.inf)
    elif mask == "band":
        drawn = (torch.arange(length)[:, None] - torch.arange(keys)).abs() <= 1
        drawn[:, 0] |= ~drawn.any(1)
    elif mask == "data":
        drawn = draw.tensor(draw.some([1, length]), keys)
    data = (0, 1, 2, 3) if mask == "data" else (0, 1, 2)
    grouped = (None, True) if shared != heads else ()
    return Example("default", (q, k, v, drawn, 0.0, causal, *grouped), data)


@rule(
    "aten.scaled_dot_product_attention",
    "aten._scaled_dot_product_flash_attention_for_cpu",
    examples=_examples,
)
def attention(call: Call) -> Description:
    """Every query reads the keys and values that the mask lets it see."""
    if call.output > 0:
        raise NotImplementedError("the statistics of attention as a result")
    query, key, value = (call.operand(name) for name in ("query", "key", "value"))
    mask = call.args.get("attn_mask")
    allowed = _allowed(call, query.shape[-2], key.shape[-2], mask)
    reads = [
        read
        for rows, segment in allowed
        for read in _reads(call, query, key, value, mask, rows, segment)
    ]
    cost = prod(call.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])
    return Global(tuple(reads), _run(call), cost)


def _allowed(
    call: Call, queries: int, keys: int, mask: Operand | None
) -> list[tuple[Flags, Segment | None]]:
    """Which keys each query may see; by head where masks differ between heads."""
    if call.args["is_causal"]:
        return [(np.tri(queries, keys, dtype=bool), None)]
    if not isinstance(mask, Operand) or not mask.is_constant:
        return [(np.ones((queries, keys), dtype=bool), None)]
    known = mask.known()
    seen = (known if known.dtype == torch.bool else known > -torch.inf).numpy()
    seen = np.broadcast_to(seen, (*seen.shape[:-2], queries, keys))
    tables = seen.reshape(-1, queries, keys)
    if (tables == tables[0]).all():
        return [(tables[0], None)]
    if prod(seen.shape[:-3]) != 1:
        raise NotImplementedError("masks that differ between the items of a batch")
    heads = len(call.shape) - 3
    kinds: dict[bytes, list[int]] = {}
    for head, table in enumerate(tables):
        kinds.setdefault(table.tobytes(), []).append(head)
    parts: list[tuple[Flags, Segment | None]] = []
    for members in kinds.values():
        flags = np.isin(np.arange(call.shape[heads]), members)
        parts.append((tables[members[0]], Segment(heads, flags)))
    return parts


def _reads(
    call: Call,
    query: Operand,
    key: Operand,
    value: Operand,
    mask: Operand | None,
    rows: Flags,
    segment: Segment | None,
) -> list[Read]:
    axes = len(call.shape)
    # The weight of a single key is 1, whatever the query and the key.
    choosing = rows & (rows.sum(axis=1, keepdims=True) > 1)
    own = Relation.of(
        call.shape[-2],
        query.shape[-2],
        [[0]],
        exceptions={int(o): [] for o in np.flatnonzero(~choosing.any(axis=1))},
    )
    columns = Link(axes - 1, Relation.identity(value.shape[-1]))
    found = [
        Read(query, (*_leading(call, query), Link(axes - 2, own), None), segment=segment),
        Read(key, (*_leading(call, key), _keys(choosing, axes - 2), None), segment=segment),
        Read(value, (*_leading(call, value), _keys(rows, axes - 2), columns), segment=segment),
    ]
    if isinstance(mask, Operand) and not mask.is_constant:
        missing = axes - len(mask.shape)
        links = [
            Link(axis - missing, broadcast(call.shape[axis], mask.shape[axis - missing]))
            for axis in range(missing, axes - 1)
        ]
        found.append(Read(mask, (*[None] * missing, *links, None)))
    return found


def _leading(call: Call, operand: Operand) -> tuple[Link, ...]:
    """Batch and heads; several heads of queries may share one of keys."""
    if len(operand.shape) != len(call.shape):
        raise NotImplementedError("queries, keys and values of different rank")
    links = []
    for axis, (outputs, inputs) in enumerate(zip(call.shape[:-2], operand.shape, strict=False)):
        if inputs in (1, outputs):
            links.append(Link(axis, broadcast(outputs, inputs)))
        else:
            links.append(Link(axis, Relation.of(outputs, inputs, [[0]] * (outputs // inputs))))
    return tuple(links)


def _keys(rows: Flags, axis: int) -> Link:
    """Which keys are read; local where no query sees as far as from the first to the last."""
    queries, keys = rows.shape
    if rows.all():
        return whole(axis, queries, keys)
    widths = keys - rows.argmax(axis=1) - rows[:, ::-1].argmax(axis=1)
    reaches = bool((widths[rows.any(axis=1)] == keys).any()) and keys > 1
    return Link(axis, masked(rows), "global" if reaches else "exact")


def _run(call: Call) -> Run:
    def run(args: Arguments, box: Box) -> Tensor:
        query: Region = args["query"]
        key: Region = args["key"]
        value: Region = args["value"]
        columns = value.box[-2]
        if columns[0] >= columns[1]:
            return query.tensor.new_zeros(box_shape(box))
        crops = []
        for name, region, rows in (
            ("query", query, box[-2]),
            ("key", key, columns),
            ("value", value, columns),
        ):
            sides = [
                link.relation.inputs_of(*side)
                for link, side in zip(_leading(call, call.operand(name)), box, strict=False)
            ]
            last = box[-1] if name == "value" else (0, region.shape[-1])
            part = region.padded_to((*sides, rows, last), 0.0)
            for axis, (lo, _) in enumerate(sides):
                if region.shape[axis] not in (1, call.shape[axis]):
                    shared = call.shape[axis] // region.shape[axis]
                    part = part.index_select(axis, torch.arange(*box[axis]) // shared - lo)
            crops.append(part)
        mask = _mask_part(call, args.get("attn_mask"), box, columns)
        q, k, v = crops
        scale: float | None = call.args["scale"]
        return F.scaled_dot_product_attention(q, k, v, mask, scale=scale)

    return run


def _mask_part(
    call: Call, mask: Region | None, box: Box, columns: tuple[int, int]
) -> Tensor | None:
    if call.args["is_causal"]:
        return torch.ge(torch.arange(*box[-2])[:, None], torch.arange(*columns))
    if mask is None:
        return None
    missing = len(box) - len(mask.shape)
    wanted = (*box[missing:-1], columns)
    sides = tuple(
        side if length > 1 else (0, 1) for side, length in zip(wanted, mask.shape, strict=True)
    )
    return mask.crop(sides).tensor
