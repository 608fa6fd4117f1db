"""Recurrent networks traced as one operator each, however long their sequences are.

To learn the shapes of a result the tracer runs the operator step by step on tensors without data,
which takes minutes for long sequences. While a model is traced, operators of the same schema stand
in, which take one step only: it checks all the arguments, and a sequence has as many as the input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_OPERATORS = {
    getattr(torch, name): getattr(torch.ops.aten, name).input
    for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")
}
_SCHEMA = len(torch.ops.aten.lstm.input._schema.arguments)
_LIBRARY = torch.library.Library("atrous", "DEF")  # type: ignore[no-untyped-call]


def _stand_in(real: Any) -> Callable[..., Any]:
    """An operator of the same schema; runs as the real one where there is data."""
    name, _, schema = str(real._schema).removeprefix("aten::").partition("(")
    name = name.partition(".")[0]
    _LIBRARY.define(f"{name}({schema}")  # type: ignore[no-untyped-call]

    def one_step(x: Tensor, *others: Any) -> tuple[Tensor, ...]:
        batch_first = others[-1]
        steps = x.shape[int(batch_first)]
        out, *states = real(x.narrow(int(batch_first), 0, 1), *others)
        # As the real one lays its result out: time first.
        rows = out.shape[1 - int(batch_first)]
        whole = out.new_empty(steps, rows, out.shape[2])
        own = [state.clone() for state in states]
        return (whole.transpose(0, 1) if batch_first else whole, *own)

    _LIBRARY.impl(name, real, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"atrous::{name}", one_step, lib=_LIBRARY)
    return getattr(torch.ops.atrous, name).default  # type: ignore[no-any-return]


_STAND_INS = {function: _stand_in(real) for function, real in _OPERATORS.items()}
_REAL = {_STAND_INS[function]: real for function, real in _OPERATORS.items()}


class WholeRecurrences(TorchFunctionMode):
    """While it is active, recurrent networks over sequences are the operators that stand in."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        axis = sequence_axis(func, args, kwargs or {})
        # Autocast knows the real operators only.
        if axis is None or torch.is_autocast_enabled(args[0].device.type):
            return func(*args, **(kwargs or {}))
        return _STAND_INS[func](*args)


def sequence_axis(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int | None:
    """The time axis of a call of a recurrent network on whole sequences; None for other calls."""
    # Packed sequences have their batch sizes before the states.
    if func not in _OPERATORS or kwargs or len(args) != _SCHEMA or not isinstance(args[3], bool):
        return None
    return int(args[-1])


def real_operator(target: Any) -> Any:
    """The operator that one stands in for; any other as it is."""
    return _REAL.get(target, target)
