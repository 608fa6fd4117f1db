"""Settings of modules: found, changed, and written as code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

_SIZES = frozenset(
    """in_channels out_channels in_features out_features num_features num_channels normalized_shape
    kernel_size stride groups output_padding embedding_dim num_embeddings hidden_size input_size
    num_layers training return_indices ceil_mode""".split()
)
"""What is no distance between positions."""
_OWN = ("padding", "dilation")
"""The settings of PyTorch's own modules that are."""


@dataclass(frozen=True)
class Slot:
    """A place that holds a whole number, or several in a row.

    Attributes:
        path: the module; "" for the model itself.
        name: its attribute.
        key: an index or key where the attribute is a list or a dict of numbers.
    """

    path: str
    name: str
    key: int | str | None = None

    def read(self, model: nn.Module) -> Any:
        """What it holds."""
        held = vars(model.get_submodule(self.path))[self.name]
        return held if self.key is None else held[self.key]

    @property
    def code(self) -> str:
        """The place in Python."""
        key = "" if self.key is None else f"[{self.key!r}]"
        return f"{path_code(self.path)}.{self.name}{key}"


@dataclass(frozen=True)
class Edit:
    """A setting of a module that changes.

    Attributes:
        slot: where.
        before: what it holds.
        after: what it is to hold.
    """

    slot: Slot
    before: Any
    after: Any

    @property
    def code(self) -> str:
        """The change as a line of Python, of a model that is called `model`."""
        return f"{self.slot.code} = {self.after!r}"


def path_code(path: str) -> str:
    """A module's path as code.

    >>> path_code("layer4.1.conv2"), path_code("")
    ('model.layer4[1].conv2', 'model')
    """
    code = "model"
    for part in path.split(".") if path else ():
        if part.isdigit():
            code += f"[{part}]"
        elif part.isidentifier():
            code += f".{part}"
        else:
            code += f".get_submodule({part!r})"
    return code


def make(model: nn.Module, edits: Iterable[Edit]) -> None:
    """Change settings of a model."""
    for edit in edits:
        module = model.get_submodule(edit.slot.path)
        held: Any = vars(module)[edit.slot.name]
        if edit.slot.key is None:
            setattr(module, edit.slot.name, edit.after)
        else:
            held[edit.slot.key] = edit.after


def padding_of_modes(
    padding: str | Sequence[int], kernel_size: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...]:
    """What a convolution keeps of its padding for modes other than zeros: before and behind, from
    the last axis on.

    >>> padding_of_modes((1, 2), (3, 3), (1, 2)), padding_of_modes("same", (4,), (1,))
    ((2, 2, 1, 1), (1, 2))
    """
    if padding == "valid":
        return (0, 0) * len(kernel_size)
    if isinstance(padding, str):
        spans = [d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True)]
        return tuple(n for span in reversed(spans) for n in (span // 2, span - span // 2))
    return tuple(p for p in reversed(padding) for _ in range(2))


def slots_of(module: nn.Module, path: str) -> Iterator[tuple[Slot, Any]]:
    """The places of a module that hold distances, with what they hold."""
    plain = type(module).__module__.startswith("torch.nn")
    for name, value in vars(module).items():
        if name in vars(nn.Module()) or name in _SIZES or name.startswith("_reversed_padding"):
            continue
        if plain and name not in _OWN:
            continue
        if is_number(value) or (isinstance(value, tuple) and value and all(map(is_number, value))):
            yield Slot(path, name), value
        elif isinstance(value, list):
            for k, item in enumerate(value):
                if is_number(item):
                    yield Slot(path, name, k), item
        elif isinstance(value, dict):
            for key, item in value.items():
                if is_number(item) and isinstance(key, int | str):
                    yield Slot(path, name, key), item


def is_number(value: Any) -> bool:
    """Whether a value is a whole number, and no flag."""
    return isinstance(value, int) and not isinstance(value, bool)
