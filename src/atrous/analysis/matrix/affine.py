"""The affine map of one operator call, found by evaluating it and checked by evaluating it more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atrous.analysis.matrix.support import Support, support
from atrous.graph.capture import quiet
from atrous.graph.program import Node, Program, constant_value
from atrous.graph.region import Region
from atrous.graph.rule import Operand, call_overload

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = npt.NDArray[np.float64]

_PROBE = 2.0**100
"""How large probes are: so large that what is added to `weight * probe` is rounded away, and a
power of two, so that what is left is the weight to the last bit."""

_SCALES = (1.0, 2.0**-30, 2.0**30)
"""Sizes of the random values an affine map is checked at: a threshold lies between two of them, or
between one and the probe."""

_ROUNDING = 1e-10


class NotAffineError(Exception):
    """A call is not an affine function of its operands; says why."""


@dataclass(frozen=True, eq=False)
class Step:
    """One call as an affine map: the sum of `blocks[name] @ operand + offset`.

    Attributes:
        blocks: a sparse matrix for each operand it varies with.
        offset: its values where those are all zero, flat.
        probes: how often it was evaluated.
    """

    blocks: Mapping[str, csr_array]
    offset: Floats
    probes: int


@dataclass
class Evaluator:
    """Evaluates calls in double precision, on the CPU: not every device has it.

    Constants are what the model makes them in its own precision, then converted.
    """

    program: Program
    _constants: dict[str, Tensor] = field(default_factory=dict)

    def __call__(self, node: Node, values: Mapping[str, Tensor]) -> Tensor:
        """The value of a node; operands without a value lend no more than their shape."""

        def argument(value: Any) -> Any:
            if isinstance(value, list | tuple):
                return [argument(v) for v in value]
            if isinstance(value, torch.dtype):
                return _precise(value)
            if isinstance(value, torch.device):
                return torch.device("cpu")
            if not isinstance(value, Operand):
                return value
            if value.name in values:
                return Region.whole(values[value.name])
            if value.is_constant:
                return Region.whole(self.constant(value.name))
            return Region.whole(torch.zeros(value.shape, dtype=_precise(value.dtype)))

        call = node.call
        assert call is not None
        result = call_overload(call.target, {key: argument(v) for key, v in call.args.items()})
        out: Tensor = result if isinstance(result, Tensor) else result[call.output]
        return out

    def constant(self, name: str) -> Tensor:
        """A constant in double precision.

        Raises:
            NotImplementedError: if it is drawn at random.
        """
        if name not in self._constants:
            value = constant_value(self.program.constants, name, repeatable=True)
            self._constants[name] = value.to("cpu", _precise(value.dtype))
        return self._constants[name]


def _precise(dtype: torch.dtype) -> torch.dtype:
    if dtype.is_complex:
        return torch.complex128
    return torch.float64 if dtype.is_floating_point else dtype


@contextmanager
def evaluating() -> Iterator[None]:
    """No gradients, no warnings, and the state of the random numbers as before."""
    with quiet(), torch.no_grad(), torch.random.fork_rng(devices=[]):
        yield


def affine_step(
    node: Node,
    variable: tuple[str, ...],
    known: Mapping[str, Tensor],
    evaluator: Evaluator,
    limit: int,
) -> Step:
    """The affine map of one node.

    Args:
        node: the node.
        variable: the operands it varies with.
        known: the values of the others that are no constants.
        evaluator: evaluates its call.
        limit: the most coefficients to look for.

    Raises:
        NotAffineError: if it is not affine.
        TooLargeError: if there are more coefficients than `limit`.
    """
    assert node.description is not None
    if node.dtype.is_complex or not node.dtype.is_floating_point:
        raise NotAffineError(f"its values are of type {str(node.dtype).removeprefix('torch.')}")
    reads = {name: [r for r in node.description.reads if r.operand.name == name]
             for name in variable}  # fmt: skip
    zeros = {name: torch.zeros(own[0].operand.shape, dtype=torch.float64)
             for name, own in reads.items()}  # fmt: skip

    def value(changed: Mapping[str, Tensor]) -> Floats:
        try:
            found = evaluator(node, {**known, **zeros, **changed})
        except NotImplementedError as error:
            raise NotAffineError(str(error)) from error
        flat: Floats = found.to(torch.float64).reshape(-1).numpy().copy()
        if not np.isfinite(flat).all():
            raise NotAffineError("its values are not all finite")
        return flat

    def alone(name: str, x: Tensor) -> Floats:
        return value({name: x})

    offset = value({})
    blocks, probes = {}, 1
    for name in variable:
        pairs = support(reads[name], node.shape, limit)
        shape = zeros[name].shape
        blocks[name] = _block(pairs, shape, offset, partial(alone, name))
        probes += pairs.count
    _check(blocks, offset, value, zeros)
    return Step(blocks, offset, probes)


def _block(
    pairs: Support, shape: torch.Size, offset: Floats, value: Callable[[Tensor], Floats]
) -> csr_array:
    """The coefficients of the pairs: one evaluation for each colour."""
    from scipy.sparse import csr_array

    order = np.argsort(pairs.colours, kind="stable")
    ends = np.cumsum(np.bincount(pairs.colours, minlength=pairs.count))
    coefficients = np.zeros(len(pairs.rows))
    probe = torch.zeros(shape, dtype=torch.float64)
    for mine in np.split(order, ends[:-1]):
        if len(mine) == 0:
            continue
        columns = torch.from_numpy(pairs.columns[mine])
        probe.view(-1)[columns] = _PROBE
        coefficients[mine] = (value(probe) - offset)[pairs.rows[mine]] / _PROBE
        probe.view(-1)[columns] = 0.0
    size = len(offset), probe.numel()
    block = csr_array((coefficients, (pairs.rows, pairs.columns)), shape=size)
    block.eliminate_zeros()
    return block


def _check(
    blocks: Mapping[str, csr_array],
    offset: Floats,
    value: Callable[[Mapping[str, Tensor]], Floats],
    zeros: Mapping[str, Tensor],
) -> None:
    """Compare with the node's values at random inputs of several sizes."""
    generator = torch.Generator().manual_seed(0)
    for scale in _SCALES:
        drawn = {
            name: torch.randn(zero.shape, generator=generator, dtype=torch.float64) * scale
            for name, zero in zeros.items()
        }
        expected, size = offset.copy(), np.abs(offset)
        for name, block in blocks.items():
            flat = drawn[name].reshape(-1).numpy()
            expected += block @ flat
            size += abs(block) @ np.abs(flat)
        found = value(drawn)
        # Sums over whole axes at once, as in a Fourier transform, round by the largest term.
        allowed = _ROUNDING * size + 1e-3 * _ROUNDING * size.max(initial=0.0)
        off = np.abs(found - expected)
        if (off > allowed).any():
            worst = int(np.argmax(off - allowed))
            raise NotAffineError(
                f"at a random input it is {found[worst]:.4g} where A x + b is {expected[worst]:.4g}"
            )
