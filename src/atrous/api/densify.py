"""A model made dense: strides removed, values kept on the grid, and compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, overload

from torch import fx, nn
from torch.export import ExportedProgram

from atrous.api.arguments import one_of_both
from atrous.convert.densify import densified
from atrous.convert.pools import Pools
from atrous.convert.study import Pooling, Wish
from atrous.graph.capture import Inputs

Model = TypeVar("Model", bound=nn.Module)


@overload
def densify(
    model: Model,
    x: Inputs,
    output_stride: int | Sequence[int] = ...,
    *,
    node: str | None = ...,
    output: str | None = ...,
    pooling: Pooling = ...,
    pools: Pools = ...,
    as_graph: bool = ...,
    sizes: Sequence[int] | None = ...,
) -> Model: ...
@overload
def densify(
    model: ExportedProgram,
    x: Inputs,
    output_stride: int | Sequence[int] = ...,
    *,
    node: str | None = ...,
    output: str | None = ...,
    pooling: Pooling = ...,
    pools: Pools = ...,
    as_graph: bool = ...,
    sizes: Sequence[int] | None = ...,
) -> fx.GraphModule: ...
def densify(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    output_stride: int | Sequence[int] = 8,
    *,
    node: str | None = None,
    output: str | None = None,
    pooling: Pooling = "grid",
    pools: Pools = "keep",
    as_graph: bool = False,
    sizes: Sequence[int] | None = None,
) -> nn.Module:
    """A model whose output lies at a smaller stride, with the same weights and equal values.

    What the model computes at its own positions, the dense model computes there too, at every
    `r`-th of its positions (the grid), borders included, and as well in between: what it would give
    of a shifted input (the certificate tells where there is none, as maps that were enlarged become
    coarser again). Any operation may carry the stride: convolutions, pools, blur pools, even
    kernels, `ceil_mode`. What comes later is dilated; paddings follow. Both models are run on
    random input in double precision before the dense one is returned.

    Args:
        model: a module, or a program exported by `torch.export`. It stays as it is.
        x: an input, as in `receptive_field`. Its values do not matter.
        output_stride: the largest stride wanted, one for all axes of positions or one for each.
            What lies closer already stays.
        node: the value that is to have it, by a module's path or a node's name. What is computed of
            it is as it was. By default every output; where one holds no positions, as that of a
            classifier, the last value behind it that does.
        output: the label of the output that is to have it; by default all.
        pooling: whether pooling over all positions, as in squeeze-excite, reads those of the "grid"
            alone, so that values are equal, or "all", as a net that is trained further wants. The
            certificate tells what the choice changes.
        pools: "keep" pools, dilated; or "drop" those that would lose their stride, for a smaller
            field, which the certificate tells. Values are then those of the model with steps in
            place of these pools.
        as_graph: whether the result may be a `torch.fx.GraphModule` with the same parameters, in
            which strides of plain calls in `forward` are removed too.
        sizes: lengths of the axes of positions to compare at; by default small odd ones that the
            model takes, as 97 and 105.

    Returns:
        A new model of the same class, with the same `state_dict` keys, that can be trained and
        exported. Its `certificate` holds what was changed and compared, and prints it.

    Raises:
        DensifyError: if a stride lies in plain calls or divides no other, if the model does not run
            on denser values, or if values differ by more than 1e-9 of the largest. The message says
            where, and what to do.
        KeyError: if there is no such node or output.
        ValueError: if `output_stride` or `sizes` do not fit the input's axes.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> layers = (nn.Conv2d(1, 1, 3, stride=2, padding=1), nn.MaxPool2d(2), nn.Conv2d(1, 1, 3))
        >>> net, x = nn.Sequential(*layers), torch.rand(1, 1, 40, 44)
        >>> dense = densify(net, x, output_stride=1)
        >>> dense(x).shape, bool(torch.allclose(dense(x)[..., ::4, ::4], net(x)))
        (torch.Size([1, 1, 32, 36]), True)
        >>> dense[2], dense.certificate.error < 1e-9
        (Conv2d(1, 1, kernel_size=(3, 3), stride=(1, 1), dense=4x4->4x4), True)
    """
    one_of_both(node, output)
    for name, value, choices in (
        ("pooling", pooling, ("grid", "all")),
        ("pools", pools, ("keep", "drop")),
    ):
        if value not in choices:
            raise ValueError(
                f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}. "
                f"Leave it out for {choices[0]!r}."
            )
    wish = Wish(output_stride, node, output, pooling)
    return densified(model, x, wish, pools=pools, as_graph=as_graph, sizes=sizes).model
