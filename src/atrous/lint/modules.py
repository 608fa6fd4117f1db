"""Code that makes a module again with other settings: what a fix is written in."""

from __future__ import annotations

from typing import Any

from torch import nn

from atrous.graph.program import Node
from atrous.lint.subject import Subject

_CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)

_DEFAULTS = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1}


def convolution_of(subject: Subject, node: Node) -> Any:
    """The convolution module (`nn.Conv2d` and its kin) of a node; None where there is none.

    A subclass with a `forward` of its own may pad or mask by itself: it is none.
    """
    if subject.model is None:
        return None
    try:
        module = subject.model.get_submodule(node.place.module)
    except AttributeError:
        return None
    for known in _CONVOLUTIONS:
        if isinstance(module, known) and type(module).forward is known.forward:
            return module
    return None


def constructor(subject: Subject, node: Node, **changes: Any) -> str:
    """Code that makes the node's convolution with some settings changed; "" if it has no module.

    Args:
        subject: the model.
        node: a node of the convolution.
        changes: settings by the names of the constructor; tuples have one entry per axis.
    """
    module = convolution_of(subject, node)
    if module is None:
        return ""
    name = next(k.__name__ for k in _CONVOLUTIONS if isinstance(module, k))
    wanted = {**{key: getattr(module, key) for key in ("kernel_size", *_DEFAULTS)}, **changes}
    text = [str(module.in_channels), str(module.out_channels), _short(wanted["kernel_size"])]
    for key, default in _DEFAULTS.items():
        value = _short(wanted[key])
        if value != str(default):
            text.append(f"{key}={value}")
    if module.bias is None:
        text.append("bias=False")
    if module.padding_mode != "zeros":
        text.append(f'padding_mode="{module.padding_mode}"')
    return f"nn.{name}({', '.join(text)})"


def _short(value: Any) -> str:
    """One number where it is the same for all axes."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return str(value[0]) if len(set(value)) == 1 else str(value)
    return str(value)
