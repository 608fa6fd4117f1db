"""Models as sparse matrices."""

from __future__ import annotations

from torch import nn
from torch.export import ExportedProgram

from atrous.analysis.matrix import matrix as _matrix
from atrous.analysis.matrix.matrix import LinearMap
from atrous.api.arguments import chosen_node
from atrous.graph.capture import Inputs, capture, given_values


def matrix(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    node: str | None = None,
    input: str | None = None,
    output: str | None = None,
    of: str | None = None,
    limit: int = 50_000_000,
) -> LinearMap:
    """A linear model, or a linear part of any model, as one sparse matrix and an offset.

    Everything on the way must be affine: convolutions of all kinds, averages, resizes, padding,
    normalisation by running statistics, sums, joins, views. Whether it is, is found by evaluating
    each operator, not by its name. Applying the matrix equals the operation, in double precision.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input: a tensor, a tuple of arguments, a dict of keyword arguments, or the shape of a
            single float tensor. Its values matter only to what is held: other inputs, and paths
            that lead around `of`. Give one item: a batch makes the matrix that many times as long
            and wide.
        node: a module path ("layer3.0") or node name; by default an output of the model.
        input: the name of the input that varies; by default the first.
        output: the label of an output ("out", "0"); by default the first.
        of: a module path or node name inside the model whose value varies, in place of an input.
        limit: the most coefficients to look for in one operator, and to keep.

    Raises:
        NonlinearError: if an operator on the way is not affine; names it and the way around it.
        KeyError: if there is no such node, input or output; the message names the nearest.
        ValueError: if the node does not depend on what varies, values that are held are not given,
            there are more coefficients than `limit`, or an input is empty, quantised or complex.
        ImportError: if scipy is not installed.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> from torch import nn
        >>> net = nn.Conv1d(1, 1, 3, dilation=2, padding=2, bias=False)
        >>> _ = net.weight.data.copy_(nn.Parameter(net.weight.new_tensor([[[1, 2, 3]]])))
        >>> found = matrix(net, (1, 1, 6))
        >>> found.structure, [(band.offset, band.value) for band in found.bands()]
        ('toeplitz', [(-2, 1.0), (0, 2.0), (2, 3.0)])
        >>> print(found.picture())
        # · # · · ·
        · # · # · ·
        # · # · # ·
        · # · # · #
        · · # · # ·
        · · · # · #
    """
    try:
        import scipy.sparse  # noqa: F401 - the analysis needs it
    except ImportError as error:
        raise ImportError(
            'scipy must be installed for matrices. Use pip install "atrous[sparse]".'
        ) from error
    if of is not None and input is not None:
        raise ValueError(
            f"of and input must not both be given, got {of!r} and {input!r}. Name one of them."
        )
    program = capture(model, x)
    source = program.input(input) if of is None else program.find(of)
    target = chosen_node(program, node, output)
    return _matrix.linear_map(program, source, target, given_values(program, model, x), limit=limit)
