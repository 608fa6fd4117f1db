"""Deformable convolution by PyTorch's own operators: torchvision's compiled part may be missing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SCHEMA = (
    "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, "
    "SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, "
    "SymInt dilation_w, SymInt groups, SymInt offset_groups, bool use_mask) -> Tensor"
)
"""That of `torchvision::deform_conv2d`."""


def deform_conv2d(
    x: Tensor, weight: Tensor, offset: Tensor, mask: Tensor, bias: Tensor,
    stride_h: int, stride_w: int, pad_h: int, pad_w: int, dilation_h: int, dilation_w: int,
    groups: int, offset_groups: int, use_mask: bool,
) -> Tensor:  # fmt: skip
    """Every tap of every output sampled by itself, then an ordinary convolution with stride."""
    batch, channels, height, width = x.shape
    rows, columns = weight.shape[2:]
    high, wide = offset.shape[2:]
    sampled = x.new_zeros(batch, channels, high * rows, wide * columns)
    own = channels // offset_groups
    for part in range(offset_groups):
        values = x[:, part * own : (part + 1) * own]
        for a in range(rows):
            for b in range(columns):
                at = (part * rows + a) * columns + b
                y = torch.arange(high)[:, None] * stride_h - pad_h + a * dilation_h
                z = torch.arange(wide)[None, :] * stride_w - pad_w + b * dilation_w
                y, z = y + offset[:, 2 * at], z + offset[:, 2 * at + 1]
                grid = torch.stack([(2 * z + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
                found = F.grid_sample(values, grid, align_corners=False)
                if use_mask:
                    found = found * mask[:, at : at + 1]
                sampled[:, part * own : (part + 1) * own, a::rows, b::columns] = found
    return F.conv2d(sampled, weight, bias, (rows, columns), groups=groups)


if not hasattr(torch.ops.atrous_test, "deform_conv2d"):
    # The tests may import this module under two names.
    _library = torch.library.Library("atrous_test", "DEF")
    _library.define(SCHEMA)
    _library.impl("deform_conv2d", deform_conv2d, "CompositeExplicitAutograd")
