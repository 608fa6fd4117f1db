"""Run a model and keep one value of it, with a gradient back to an input."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from atrous.analysis.effective.batches import Batch
from atrous.graph.build import labelled_leaves
from atrous.graph.capture import capture, in_order
from atrous.graph.evaluation import evaluate
from atrous.graph.hooks import without_onlookers
from atrous.graph.program import Node, Place, Program, nearest
from atrous.graph.shell import CaptureError, shell_copy

Mode = Literal["eval", "current"]

_CALL = re.compile(r"(?P<path>.*?)(?:@(?P<number>\d+))?")


class _ReachedError(BaseException):
    """Ends a forward pass early; a `BaseException`, so that no model catches it."""


@dataclass(frozen=True, eq=False)
class Probe:
    """A model that gives one of its values with a gradient back to an input.

    The user's model never runs: a copy does that shares the memory of its parameters, wants no
    gradients for them and owns its buffers.

    Attributes:
        runner: the copy; None for an exported program.
        model: what programs are captured from.
        device: where it runs.
        program: what was captured; None if it could not be.
        reason: why not.
        node: the module path or node that was asked for; None for an output.
        output: the label of the output that was asked for.
        input: index of the input among all tensors that the model is given.
        input_name: its name.
        input_shape: its shape in the first batch.
        target: the value, as in the program, or made up from its shape.
    """

    runner: nn.Module | None
    model: nn.Module | ExportedProgram
    device: torch.device
    program: Program | None
    reason: CaptureError | None
    node: str | None
    output: str | None
    input: int
    input_name: str
    input_shape: tuple[int, ...]
    target: Node
    _programs: dict[tuple[tuple[int, ...], ...], Program] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: nn.Module | ExportedProgram,
        batch: Batch,
        *,
        node: str | None = None,
        output: str | None = None,
        input: str | None = None,
        device: torch.device | str | None = None,
        mode: Mode = "eval",
    ) -> Probe:
        """Get ready to probe a model on batches like this one.

        Raises:
            KeyError: if there is no such node, output or input.
            ValueError: if the input is not of floating point, or an exported program is to run in
                its current mode.
            CaptureError: if the model cannot be copied or cannot run.
        """
        place = torch.device(device) if device is not None else _device_of(model, batch)
        runner: nn.Module | None = None
        if isinstance(model, ExportedProgram):
            if mode != "eval":
                raise ValueError(
                    f"mode must be 'eval' for an exported program, got {mode!r}. "
                    "Pass the module it was made from."
                )
            source: nn.Module | ExportedProgram = model
        else:
            source = runner = _runner(model, place)
        batch = _placed(model, batch, place)
        program, reason = None, None
        try:
            program = capture(source, _one(batch))
        except CaptureError as error:
            if runner is None:
                raise
            reason = error
        if runner is not None and mode == "current":
            assert isinstance(model, nn.Module)
            for mine, theirs in zip(runner.modules(), model.modules(), strict=True):
                mine.training = theirs.training
        names = program.inputs if program is not None else _input_names(runner, batch)
        index = _input_index(names, input)
        name = names[index]
        target = Node("", None, None, (), torch.float32, Place("", "", ""))
        if program is not None:
            target = program.find(node) if node is not None else program.output(output)
        shape = _shapes(batch)[index]
        probe = cls(
            runner, source, place, program, reason, node, output, index, name, shape, target
        )
        if program is None:
            with torch.no_grad():
                value = probe._run(batch)
            known = node if node is not None else output or "output"
            target = Node(known, None, None, tuple(value.shape), value.dtype, target.place)
            return replace(probe, target=target)
        probe._programs[_shapes(batch)] = program
        return probe

    def value(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The value on a batch, and the input that gradients go back to.

        Raises:
            ValueError: if the input is not of floating point, or no gradient goes back to it.
        """
        batch = _placed(self.model, batch, self.device)
        leaves, tree = pytree.tree_flatten(batch)
        at = [k for k, leaf in enumerate(leaves) if isinstance(leaf, Tensor)][self.input]
        if not leaves[at].is_floating_point():
            raise ValueError(
                f"data must be of floating point to have gradients, got {leaves[at].dtype} at "
                f"{self.input_name!r}. Give another input with input=, or probe the part of the "
                "model behind its embedding."
            )
        with torch.inference_mode(False), torch.enable_grad():
            wanted = leaves[at].clone().detach().requires_grad_()
            # Models may write into what they are given.
            leaves = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
            leaves[at] = wanted.clone()
            found = self._run(pytree.tree_unflatten(leaves, tree))
        if not found.is_floating_point():
            raise ValueError(
                f"node must have values of floating point, got {found.dtype} at "
                f"{self.target.label!r}. Choose another with node= or output=."
            )
        return found, wanted

    def _run(self, batch: Batch) -> Tensor:
        if self.runner is None:
            return self._by_program(batch)
        if self.node is None:
            return self._of_outputs(self.runner, batch)
        match = _CALL.fullmatch(self.node)
        assert match is not None
        path, number = match["path"], int(match["number"] or 1)
        modules = dict(self.runner.named_modules(remove_duplicate=False))
        module = modules.get(path) if path else None
        if module is None or sum(m is module for m in modules.values()) > 1:
            # A node without a module, or a module of several names.
            return self._by_program(batch)
        found, calls = self._of_module(module, number, batch)
        if calls < number:
            raise KeyError(
                f"node must be a module that runs, but {path!r} runs {calls} times, got "
                f"{self.node!r}. Choose a call that is made."
            )
        if isinstance(found, Tensor) and (
            self.program is None or found.shape[1:] == self.target.shape[1:]
        ):
            return found
        return self._by_program(batch)

    def _of_module(self, module: nn.Module, number: int, batch: Batch) -> tuple[Any, int]:
        """What a module returns in some call, and the calls seen."""
        assert self.runner is not None
        calls, found = 0, None

        def keep(_module: nn.Module, _args: Any, result: Any) -> None:
            nonlocal calls, found
            calls += 1
            if calls == number:
                # Nothing runs after it that could write into the value.
                found = result
                raise _ReachedError

        handle = module.register_forward_hook(keep)
        try:
            self._call(self.runner, batch)
        except _ReachedError:
            pass
        finally:
            handle.remove()
        return found, calls

    def _of_outputs(self, runner: nn.Module, batch: Batch) -> Tensor:
        result = self._call(runner, batch)
        found = {label: leaf for label, leaf in labelled_leaves(result) if isinstance(leaf, Tensor)}
        wanted = self.output
        if wanted is None and self.program is not None:
            wanted = next(iter(self.program.outputs))
        if wanted is None:
            wanted = next((k for k, leaf in found.items() if leaf.is_floating_point()), "output")
        if wanted not in found:
            if self.program is not None:
                return self._by_program(batch)
            raise KeyError(
                f"output must be one of {', '.join(map(repr, found))}, got {wanted!r}. Leave it "
                "out "
                "for the first."
            )
        return found[wanted]

    def _call(self, runner: nn.Module, batch: Batch) -> Any:
        args, kwargs = batch
        try:
            return runner(*args, **kwargs)
        except Exception as error:
            if self.reason is not None:
                raise self.reason from error
            raise

    def _by_program(self, batch: Batch) -> Tensor:
        """The value as the exported program computes it."""
        if self.program is None:
            assert self.runner is not None and self.node is not None
            known = [path for path, _ in self.runner.named_modules() if path]
            raise KeyError(
                f"node must be the path of a module that returns one tensor, got {self.node!r}."
                f"{nearest(self.node, known)} Other nodes can be asked of models that "
                f"torch.export can trace; this one it cannot: {self.reason}"
            )
        if self.runner is not None and self.runner_is_training:
            raise ValueError(
                f"mode must be 'eval' for a node that is no module's single result, got 'current' "
                f"and {self.node!r}. Leave out mode=, or name a module."
            )
        key = _shapes(batch)
        if key not in self._programs:
            self._programs[key] = capture(self.model, _one(batch))
        program = self._programs[key]
        tensors = [leaf for leaf in pytree.tree_leaves(batch) if isinstance(leaf, Tensor)]
        values = dict(zip(program.inputs, tensors, strict=True))
        name = self.target.name
        return evaluate(program, values, [name])[name]

    @property
    def runner_is_training(self) -> bool:
        """Whether any module runs as in training."""
        return self.runner is not None and any(m.training for m in self.runner.modules())


def _placed(model: nn.Module | ExportedProgram, batch: Batch, device: torch.device) -> Batch:
    """A batch on a device, keyword arguments in the order of the model's own."""
    args, kwargs = batch
    if isinstance(model, ExportedProgram):
        order = list(model.graph_signature.user_inputs)
        names = sorted(kwargs, key=lambda name: order.index(name) if name in order else -1)
        batch = args, {name: kwargs[name] for name in names}
    else:
        batch = args, in_order(model, kwargs)
    moved: Batch = pytree.tree_map_only(Tensor, lambda leaf: leaf.to(device), batch)
    return moved


def _runner(model: nn.Module, device: torch.device) -> nn.Module:
    def stand_in(tensor: Tensor) -> Tensor:
        if isinstance(tensor, nn.Parameter):
            # Gradients cannot pass by a tensor that was made in inference mode.
            own = tensor.clone() if tensor.is_inference() else tensor.detach()
            return nn.Parameter(own, requires_grad=False)
        return tensor.detach().clone()

    with torch.inference_mode(False):
        return without_onlookers(shell_copy(model, stand_in)).to(device)


def _device_of(model: nn.Module | ExportedProgram, batch: Batch) -> torch.device:
    tensors = [*model.parameters(), *model.buffers()]
    given = [leaf for leaf in pytree.tree_leaves(batch) if isinstance(leaf, Tensor)]
    return (tensors + given)[0].device


def _one(batch: Batch) -> Any:
    args, kwargs = batch
    return kwargs or args


def _shapes(batch: Batch) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(v.shape) for v in pytree.tree_leaves(batch) if isinstance(v, Tensor))


def _input_names(runner: nn.Module | None, batch: Batch) -> tuple[str, ...]:
    """Names of the tensors that a model is given, by the parameters of its forward."""
    assert runner is not None
    signature = inspect.signature(runner.forward)
    try:
        bound = signature.bind(*batch[0], **batch[1])
    except TypeError as error:
        got = f"{len(batch[0])} arguments" if batch[0] else ", ".join(map(repr, batch[1]))
        raise ValueError(
            f"data must hold what forward({', '.join(signature.parameters)}) takes, got {got}: "
            f"{error}. Turn an item into the model's input with unpack=."
        ) from error
    found: dict[int, str] = {}
    for name, value in bound.arguments.items():
        tensors = [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]
        for k, leaf in enumerate(tensors):
            found[id(leaf)] = name if len(tensors) == 1 else f"{name}_{k}"
    leaves = pytree.tree_leaves(batch)
    return tuple(found[id(leaf)] for leaf in leaves if isinstance(leaf, Tensor))


def _input_index(names: tuple[str, ...], name: str | None) -> int:
    if name is None:
        return 0
    if name not in names:
        raise KeyError(
            f"input must be one of {', '.join(map(repr, names))}, got {name!r}. Leave it out for "
            "the "
            "first."
        )
    return names.index(name)
