"""In whose memory a value lies: its own, or that of a value it is a view of or overwrites."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor, fx


@dataclass
class Memory:
    """The owners of the storages met so far in a traced graph.

    The tensors that tracing leaves in a graph share storage exactly where the real ones do. In a
    graph that was saved and loaded they do not; there views are told by what operators promise.
    """

    _owners: dict[int, str] = field(default_factory=dict)

    def place(self, name: str, value: Tensor, sources: Sequence[Tensor] = ()) -> tuple[str, int]:
        """Who owns the memory of a value, and how many bytes the value adds to it.

        Args:
            name: the value's name, which owns the memory if nobody did before.
            value: the tensor that tracing left.
            sources: tensors of whose memory it is known to be a view.
        """
        key = storage_key(value)
        if key in self._owners:
            return self._owners[key], 0
        for source in sources:
            if storage_key(source) in self._owners:
                self._owners[key] = self._owners[storage_key(source)]
                return self._owners[key], 0
        self._owners[key] = name
        return name, value.untyped_storage().nbytes()


def storage_key(value: Tensor) -> int:
    """A number that tensors share as long as they live and share their memory."""
    return int(value.untyped_storage()._cdata)


def shared_sources(node: fx.Node, aliased: Sequence[fx.Node]) -> list[Tensor]:
    """The tensors in whose memory a call's result lies although their storages are not one."""
    after = node.meta.get("val")
    values = [argument.meta.get("val") for argument in aliased]
    return [
        before
        for before in values
        if isinstance(before, Tensor)
        and (not isinstance(after, Tensor) or _looks_like_a_view(before, after))
    ]


def _looks_like_a_view(source: Tensor, value: Tensor) -> bool:
    if source.dtype != value.dtype and source.is_complex() == value.is_complex():
        return False
    if source.shape == value.shape:
        # Contiguous in another format is a copy.
        return source.stride() == value.stride()
    return source.is_contiguous() or not value.is_contiguous()


def shares_storage(graph: fx.Graph) -> bool:
    """Whether tracing left tensors that share storage: those of a loaded graph do not."""
    seen: set[int] = set()
    for node in graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, Tensor) and node.target is not operator.getitem:
            if storage_key(value) in seen:
                return True
            seen.add(storage_key(value))
    return False


def returns_its_input(node: fx.Node, name: str) -> bool:
    """Whether an operator whose schema does not tell hands on its input, as dropout in inference.

    Args:
        node: the call.
        name: its operator, as "namespace.name".
    """
    source = node.args[0] if node.args else None
    before = source.meta.get("val") if isinstance(source, fx.Node) else None
    after = node.meta.get("val")
    return (
        isinstance(before, Tensor)
        and isinstance(after, Tensor)
        and (before.shape, before.dtype) == (after.shape, after.dtype)
        and (name == "aten.type_as" or node.args[2:3] == (False,))
    )
