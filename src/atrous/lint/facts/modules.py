"""Code that makes a module again with other settings: what a fix is written in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from atrous.graph.program import Node
from atrous.graph.rule import Movement
from atrous.lint.facts.along import Layer
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
    """Code that makes the node's convolution with some settings changed; "" if it has no module, or
    if nothing changes.

    Args:
        subject: the model.
        node: a node of the convolution.
        changes: settings by the names of the constructor; tuples have one entry per axis.
    """
    module = convolution_of(subject, node)
    if module is None:
        return ""
    code = _written(_settings(module), changes)
    return code if code != _written(_settings(module), {}) else ""


def code_of(subject: Subject, layer: Layer, **changes: Any) -> str:
    """The same for a layer, also where it is a call of a function: as the module that does that."""
    module = convolution_of(subject, layer.node)
    return _written(_called(layer) if module is None else _settings(module), changes)


def redilated(subject: Subject, layer: Layer, dilation: Mapping[int, int], **changes: Any) -> str:
    """Code for a layer with other dilations by its axes, its padding in proportion."""
    module = convolution_of(subject, layer.node)
    own = _called(layer) if module is None else _settings(module)
    axes = sorted(layer.windows)
    wanted = [
        dilation[axis] if layer.windows[axis].kernel_size > 1 else old
        for axis, old in zip(axes, own["dilation"], strict=True)
    ]
    padding = own["padding"]
    if not isinstance(padding, str):
        padding = tuple(
            p * new // old for p, new, old in zip(padding, wanted, own["dilation"], strict=True)
        )
    return _written(own, {"dilation": tuple(wanted), "padding": padding, **changes})


def _settings(module: Any) -> dict[str, Any]:
    names = ("in_channels", "out_channels", "kernel_size", *_DEFAULTS, "padding_mode")
    name = next(k.__name__ for k in _CONVOLUTIONS if isinstance(module, k))
    return {
        "name": name,
        **{key: getattr(module, key) for key in names},
        "bias": module.bias is not None,
    }


def _called(layer: Layer) -> dict[str, Any]:
    """The settings of a layer without a module."""
    windows = [layer.windows[axis] for axis in sorted(layer.windows)]
    return {
        "name": f"Conv{len(windows)}d",
        "in_channels": layer.channels[0],
        "out_channels": layer.channels[1],
        "kernel_size": tuple(w.kernel_size for w in windows),
        "stride": tuple(w.stride for w in windows),
        "padding": tuple(w.left for w in windows),
        "output_padding": 0,
        "dilation": tuple(w.dilation for w in windows),
        "groups": layer.groups,
        "padding_mode": "zeros",
        "bias": layer.bias,
    }


def _written(own: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
    wanted = {**own, **changes}
    text = [str(wanted["in_channels"]), str(wanted["out_channels"]), _short(wanted["kernel_size"])]
    for key, default in _DEFAULTS.items():
        value = _short(wanted[key])
        if value != str(default):
            text.append(f"{key}={value}")
    if not wanted["bias"]:
        text.append("bias=False")
    if wanted["padding_mode"] != "zeros":
        text.append(f'padding_mode="{wanted["padding_mode"]}"')
    return f"nn.{wanted['name']}({', '.join(text)})"


def with_dilation(subject: Subject, node: Node, dilation: tuple[int, ...]) -> str:
    """Code for the node's convolution with another dilation, padded for outputs of the same size;
    just the dilation where it has no module, or is padded elsewhere."""
    module = convolution_of(subject, node)
    alone = f"dilation = {_short(dilation)}"
    if module is None:
        return alone
    if isinstance(module.padding, str):
        return constructor(subject, node, dilation=dilation)
    padding = []
    for k, old, new, pad in zip(
        module.kernel_size, module.dilation, dilation, module.padding, strict=True
    ):
        less = (k - 1) * (old - new)
        before = subject.program.nodes[node.operands[0].name]
        if not any(module.padding) and not isinstance(before.description, Movement):
            code = constructor(subject, node, dilation=dilation)
            return f"{code}  # the map is larger then, as nothing is padded"
        if less % 2 or pad < less // 2:
            return f"{alone}  # and less padding before it"
        padding.append(pad - less // 2)
    return constructor(subject, node, dilation=dilation, padding=tuple(padding))


def _short(value: Any) -> str:
    """One number where it is the same for all axes."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return str(value[0]) if len(set(value)) == 1 else str(value)
    return str(value)
