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
    holes = len(schedule.holes)
    told = "no holes" if not holes else "1 hole" if holes == 1 else f"{holes} holes"
    lines = [
        "from torch import nn",
        "",
        "",
        f"def {name}(channels: int = {channels}) -> nn.Sequential:",
        f'    """Field {schedule.field}, reach {sees}, {told}."""',
        "    layers: list[nn.Module] = []",
        *_loop(schedule, dims),
        "        layers.append(nn.ReLU())",
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
    if all(before == after for before, after in pads):
        reach = f"dilation * {int(kernel) // 2}" if kernel.isdigit() else "dilation * (kernel // 2)"
        if kernel == "3":
            reach = "dilation"
        if any(p[0] != d * (k // 2) for p, d, k in zip(pads, *_two(schedule), strict=True)):
            # An even kernel whose span is even: half of it.
            reach = f"dilation * {int(kernel) - 1} // 2" if kernel.isdigit() else (
                "dilation * (kernel - 1) // 2"
            )  # fmt: skip
        line = (
            f"nn.Conv{dims}d(channels, channels, {kernel}{stride}, padding={reach}, "
            "dilation=dilation)"
        )
        return [*_head(columns), f"        layers.append({line})"]
    if schedule.causal:
        span = f"{int(kernel) - 1} * dilation" if kernel.isdigit() else "(kernel - 1) * dilation"
        if kernel == "2":
            span = "dilation"
        sides = f"({span}, 0)"
    else:
        columns["before"] = tuple(p[0] for p in pads)
        columns["after"] = tuple(p[1] for p in pads)
        sides = "(before, after)" if dims == 1 else f"(before, after) * {dims}"
    line = f"nn.Conv{dims}d(channels, channels, {kernel}{stride}, dilation=dilation)"
    return [
        *_head(columns),
        f"        layers.append(nn.ConstantPad{dims}d({sides}, 0.0))",
        f"        layers.append({line})",
    ]


def _two(schedule: Schedule) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return schedule.dilations, schedule.kernels


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
