"""Metering a model: what memory a real call of it takes, found out on tensors without data."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from atrous.analysis.cost.recurrences import EvenSteps
from atrous.graph.capture import Inputs, arguments, floating_type, quiet, same_random_state
from atrous.graph.hooks import without_onlookers
from atrous.graph.memory import storage_key
from atrous.graph.shell import CaptureError, shell_copy


@dataclass(frozen=True)
class TrainingMemory:
    """The memory of activations in one step of training.

    Attributes:
        saved: bytes that the forward pass keeps for the backward pass: every storage that autograd
            saves, once, but for parameters and buffers.
        peak: the most bytes of activations and their gradients that are held at one time, from the
            input to the last gradient.
        by_module: of `saved`, what came into being in each module: by the modules around it,
            outermost first, as "path", "path@2" in a second call; none for inputs.
    """

    saved: int
    peak: int
    by_module: Mapping[tuple[str, ...], int]


def training_memory(model: nn.Module, x: Inputs) -> TrainingMemory:
    """The memory of a forward and a backward pass in training mode, at the full size of `x`.

    A copy of the model runs on tensors without data while the life of every storage is logged;
    autograd itself tells what it saves (`torch.autograd.graph.saved_tensors_hooks`). The backward
    pass starts from a gradient of each output. Parameters, buffers and the parameters' gradients
    are not counted, nor is what an operator needs inside itself. Recurrent networks count as they
    are without fused kernels (cuDNN, oneDNN), whose reserves only these know: an LSTM keeps its
    four gates, its cell before and behind tanh, and its output at every step.

    Raises:
        CaptureError: if the model cannot be trained on `x`; says why.

    Example:
        >>> net = nn.Sequential(nn.Conv1d(1, 4, 1), nn.ReLU(), nn.Conv1d(4, 1, 1))
        >>> training_memory(net, (1, 1, 100)).saved  # the input and what the ReLU gives
        2000
    """
    mode, shell, meter, (args, kwargs) = _rehearsal(model, x)
    shell.train()
    saved: set[int] = set()

    def pack(tensor: Tensor) -> Tensor:
        serial = meter.serial(tensor)
        if serial is not None:
            saved.add(serial)
        # A result that is saved must not hold the graph that saves it.
        return tensor.detach()

    # Fused kernels keep memory of which only they know the size.
    plain = torch.backends.mkldnn.flags(enabled=False)
    steps = EvenSteps(meter.apart)
    with quiet(), same_random_state(), mode, meter, _followed(shell, meter), plain, steps:
        try:
            for value in pytree.tree_leaves((args, kwargs)):
                meter.see(value)
            with (
                torch.enable_grad(),
                torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
            ):
                result = shell(*args, **kwargs)
            outputs = [
                v for v in pytree.tree_leaves(result) if isinstance(v, Tensor) and v.requires_grad
            ]
            if not outputs:
                raise ValueError("no output depends on a parameter that requires a gradient")
            torch.autograd.backward(outputs, [torch.empty_like(v) for v in outputs])
        except Exception as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise CaptureError(
                f"{type(model).__name__} cannot be trained on this input: {said}. "
                "Give an input on which it trains."
            ) from error
    gradients = [p.grad for p in shell.parameters() if p.grad is not None]
    return meter.summary(saved, {meter.serial(gradient) for gradient in gradients})


def inference_memory(model: nn.Module, x: Inputs) -> int | None:
    """The most bytes of activations that PyTorch holds in an eager call in inference mode.

    Values live as long as Python names them, which may be longer than they are needed: compare
    `atrous.analysis.memory.liveness`. None if it does not run on tensors without data.
    """
    mode, shell, meter, (args, kwargs) = _rehearsal(model, x)
    steps = EvenSteps(meter.apart)
    with quiet(), same_random_state(), mode, meter, steps, torch.no_grad():
        for value in pytree.tree_leaves((args, kwargs)):
            meter.see(value)
        try:
            _result = shell(*args, **kwargs)
        except Exception:
            # What the tracer can follow may still need data here, as a cache filled in a call.
            return None
    return meter.summary(set(), set()).peak


def _rehearsal(
    model: nn.Module, x: Inputs
) -> tuple[FakeTensorMode, nn.Module, _Meter, tuple[tuple[Any, ...], dict[str, Any]]]:
    """A copy of a model, a meter and inputs, all on tensors without data."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    shell = without_onlookers(shell_copy(model, mode.from_tensor))
    given: tuple[tuple[Any, ...], dict[str, Any]] = pytree.tree_map(
        lambda v: mode.from_tensor(v) if isinstance(v, Tensor) else v,
        arguments(x, floating_type(model)),
    )
    owned = {storage_key(tensor) for tensor in (*shell.parameters(), *shell.buffers())}
    return mode, shell, _Meter(owned), given


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Logs when storages come into being and go.

    Attributes:
        owned: storages that are not counted.
        active: the calls of modules that are under way, outermost first.
    """

    def __init__(self, owned: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.owned = owned
        self.active: list[str] = []
        self._serials: dict[int, int] = {}
        self._sizes: list[int] = []
        self._modules: list[tuple[str, ...]] = []
        self._log: list[tuple[int, int]] = []
        self._watched: dict[int, Any] = {}
        self._told = 0
        self._paused: _Meter | None = None
        self._is_paused = False

    def apart(self) -> _Meter:
        """Another one; while that is active, this one logs nothing new."""
        found = _Meter(self.owned)
        found._paused = self
        return found

    def __enter__(self) -> _Meter:
        if self._paused is not None:
            self._paused._is_paused = True
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        if self._paused is not None:
            self._paused._is_paused = False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._is_paused:
            return result
        for value in pytree.tree_leaves(result):
            self.see(value)
        return result

    def see(self, value: Any) -> None:
        """Log a value's storage, if it is new."""
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            return
        storage = value.untyped_storage()
        key = storage_key(value)
        if key in self.owned or key in self._serials:
            return
        serial = len(self._sizes)
        self._serials[key] = serial
        self._sizes.append(storage.nbytes())
        self._modules.append(tuple(name for name in self.active if name))
        self._log.append((serial, 1))

        def gone(_: Any) -> None:
            del self._serials[key], self._watched[serial]
            self._log.append((serial, -1))

        self._watched[serial] = weakref.ref(storage, gone)

    def serial(self, tensor: Tensor) -> int | None:
        """The number of a tensor's storage in the log; None if it is not counted."""
        self.see(tensor)
        return self._serials.get(storage_key(tensor))

    def size(self, serials: Collection[int | None]) -> int:
        """Bytes of some storages by their numbers."""
        return sum(self._sizes[serial] for serial in serials if serial is not None)

    def level(self, left_out: set[int | None]) -> tuple[int, int]:
        """Bytes that are held now, and the most since this was last asked."""
        held = peak = 0
        for k, (serial, sign) in enumerate(self._log):
            if serial not in left_out:
                held += sign * self._sizes[serial]
                peak = max(peak, held) if k >= self._told else held
        self._told = len(self._log)
        return held, peak

    def summary(self, saved: set[int], left_out: set[int | None]) -> TrainingMemory:
        """The log added up, without the storages left out."""
        held = peak = 0
        for serial, sign in self._log:
            if serial not in left_out:
                held += sign * self._sizes[serial]
                peak = max(peak, held)
        by_module: dict[tuple[str, ...], int] = {}
        for serial in sorted(saved):
            module = self._modules[serial]
            by_module[module] = by_module.get(module, 0) + self._sizes[serial]
        return TrainingMemory(sum(by_module.values()), peak, by_module)


@contextmanager
def _followed(shell: nn.Module, meter: _Meter) -> Iterator[None]:
    """Tell the meter which call of which module is active."""
    names = {id(module): name for name, module in shell.named_modules()}
    calls: dict[str, int] = {}

    def enter(module: nn.Module, _: Any) -> None:
        name = names[id(module)]
        calls[name] = calls.get(name, 0) + 1
        meter.active.append(name if calls[name] == 1 else f"{name}@{calls[name]}")

    def leave(module: nn.Module, *_: Any) -> None:
        meter.active.pop()

    handles: list[Any] = []
    for module in shell.modules():
        handles.append(module.register_forward_pre_hook(enter, prepend=True))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
