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
    y = torch.arange(high)[:, None] * stride_h - pad_h
    z = torch.arange(wide)[None, :] * stride_w - pad_w
    # Taps of a part are sampled in one call, as rows of one tall picture.
    taps = torch.arange(rows * columns)[:, None, None]
    y, z = y + taps // columns * dilation_h, z + taps % columns * dilation_w
    moves = offset.view(batch, offset_groups, rows * columns, 2, high, wide)
    own, parts = channels // offset_groups, []
    for part in range(offset_groups):
        values = x[:, part * own : (part + 1) * own]
        rough = y + moves[:, part, :, 0], z + moves[:, part, :, 1]
        grid = torch.stack(
            [(2 * rough[1] + 1) / width - 1, (2 * rough[0] + 1) / height - 1], dim=-1
        )
        found = F.grid_sample(values, grid.flatten(1, 2), align_corners=False)
        parts.append(found.view(batch, own, rows * columns, high, wide))
        if use_mask:
            parts[-1] = parts[-1] * mask.view(batch, offset_groups, 1, -1, high, wide)[:, part]
    tall = torch.cat(parts, dim=1).view(batch, channels, rows, columns, high, wide)
    sampled = tall.permute(0, 1, 4, 2, 5, 3).reshape(batch, channels, high * rows, wide * columns)
    return F.conv2d(sampled, weight, bias, (rows, columns), groups=groups)


if not hasattr(torch.ops.atrous_test, "deform_conv2d"):
    # The tests may import this module under two names.
    _library = torch.library.Library("atrous_test", "DEF")
    _library.define(SCHEMA)
    _library.impl("deform_conv2d", deform_conv2d, "CompositeExplicitAutograd")
