"""PyTorch modules of schedules, as text and as modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from atrous.design.schedule.chain import Schedule


def code(schedule: Schedule, channels: int, dims: int, name: str = "context") -> str:
    """Text that makes the module: a function of the number of channels.

    Raises:
        ValueError: if there are other axes than 1, 2 or 3, a causal schedule has more than one, or
            the name is none.
    """
    _check(schedule, channels, dims)
    if not name.isidentifier():
        raise ValueError(f"name must be a Python name, got {name!r}. Use one as 'context'.")
    before, after = schedule.reach
    if schedule.causal:
        sees = f"{before} to the past"
    else:
        sees = f"{before} before and {after} after"
    told = "no holes" if schedule.is_hole_free else "with holes"
    if schedule.is_countable and len(schedule.holes):
        told = f"{len(schedule.holes)} hole{'s' * (len(schedule.holes) > 1)}"
    lines = [
        "from torch import nn",
        "",
        "",
        f"def {name}(channels: int = {channels}) -> nn.Sequential:",
        f'    """Field {schedule.field}, reach {sees}, {told}."""',
        "    layers: list[nn.Module] = []",
        *_loop(schedule, dims),
        "    return nn.Sequential(*layers)",
        "",
    ]
    return "\n".join(lines)


def module(schedule: Schedule, channels: int, dims: int) -> nn.Sequential:
    """The module itself.

    Raises:
        ValueError: as in `code`.
    """
    made: dict[str, Any] = {}
    # What is printed is what is built: there is one description of the module, not two.
    exec(code(schedule, channels, dims), made)
    built = made["context"](channels)
    assert isinstance(built, nn.Sequential)
    return built


def _loop(schedule: Schedule, dims: int) -> list[str]:
    """The loop over layers, in the shortest form that says all."""
    kernels, pads = schedule.kernels, schedule.padding
    columns: dict[str, tuple[object, ...]] = {"dilation": schedule.dilations}
    kernel = str(kernels[0])
    if len(set(kernels)) > 1:
        columns = {"kernel": kernels, **columns}
        kernel = "kernel"
    stride = ""
    if schedule.stride > 1:
        columns["stride"] = schedule.strides
        stride = ", stride=stride"
    conv = f"nn.Conv{dims}d(channels, channels, {kernel}{stride}, "
    if all(before == after for before, after in pads):
        if kernel == "3":
            return [*_head(columns), *_body(conv + "padding=dilation, dilation=dilation)")]
        padding = f"        padding = {_half(kernel)}"
        return [*_head(columns), padding, *_body(conv + "padding=padding, dilation=dilation)")]
    if schedule.causal:
        span = "(kernel - 1) * dilation" if kernel == "kernel" else f"{int(kernel) - 1} * dilation"
        sides = f"({'dilation' if kernel == '2' else span}, 0)"
    else:
        columns["before"] = tuple(p[0] for p in pads)
        columns["after"] = tuple(p[1] for p in pads)
        sides = "(before, after)" if dims == 1 else f"(before, after) * {dims}"
    pad = f"nn.ConstantPad{dims}d({sides}, 0.0), "
    return [*_head(columns), *_body(conv + "dilation=dilation)", pad)]


def _body(conv: str, pad: str = "") -> list[str]:
    return [f"        conv = {conv}", f"        layers += [{pad}conv, nn.ReLU()]"]


def _half(kernel: str) -> str:
    """Half of what a kernel spans, where that is whole."""
    if not kernel.isdigit():
        return "(kernel - 1) * dilation // 2"
    size = int(kernel)
    return f"{size // 2} * dilation" if size % 2 else f"{size - 1} * dilation // 2"


def _head(columns: dict[str, tuple[object, ...]]) -> list[str]:
    """The line that begins the loop; rows are folded at 100 columns."""
    rows = list(zip(*columns.values(), strict=True))
    names = ", ".join(columns)
    values = [str(row[0]) if len(columns) == 1 else f"({', '.join(map(str, row))})" for row in rows]
    close = ",)" if len(values) == 1 else ")"
    whole = f"    for {names} in ({', '.join(values)}{close}:"
    if len(whole) <= 100:
        return [whole]
    lines, row = [f"    for {names} in ("], "       "
    for value in values:
        if len(row) + len(value) + 2 > 100:
            lines.append(row)
            row = "       "
        row += f" {value},"
    return [*lines, row, "    ):"]


def _check(schedule: Schedule, channels: int, dims: int) -> None:
    if channels < 1:
        raise ValueError(f"channels must be at least 1, got {channels}.")
    if dims not in (1, 2, 3):
        raise ValueError(f"dims must be 1, 2 or 3, got {dims}.")
    if schedule.causal and dims > 1:
        raise ValueError(
            f"dims must be 1 for a causal schedule, got {dims}. Only one axis is time."
        )
