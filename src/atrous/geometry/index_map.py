"""Which input each tap of one output reads, as values and as a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from atrous.geometry.primitives import Window
from atrous.shown import Shown


@dataclass(frozen=True)
class Tap:
    """One tap of one output.

    Attributes:
        kernel_index: (a, b, ...), the position in the kernel.
        input_index: (u, v, ...), the input it reads; outside the input where `is_padding`.
        is_padding: whether it reads padding.
    """

    kernel_index: tuple[int, ...]
    input_index: tuple[int, ...]
    is_padding: bool


@dataclass(frozen=True)
class IndexMap(Shown):
    """The taps of one output of a convolution or pool, in 1-D, 2-D, 3-D or more.

    Per axis `u = i * stride + a * dilation - padding`.

    Example:
        >>> windows = (Window(3, dilation=2, left=1),) * 2
        >>> taps = index_map((5, 6), windows, (0, 0))
        >>> sum(not tap.is_padding for tap in taps.taps), len(taps.taps)
        (4, 9)
        >>> print(taps)
        x   x   x
          . . . . . .
        x . # . # . .
          . . . . . .
        x . # . # . .
          . . . . . .
    """

    input_shape: tuple[int, ...]
    windows: tuple[Window, ...]
    output_index: tuple[int, ...]
    taps: tuple[Tap, ...]

    def __str__(self) -> str:
        return draw(self)


def index_map(
    input_shape: tuple[int, ...], windows: tuple[Window, ...], output_index: tuple[int, ...]
) -> IndexMap:
    """The taps of output `output_index`, padding told apart.

    Args:
        input_shape: lengths of the spatial axes.
        windows: one window per axis.
        output_index: which output, one index per axis.

    Raises:
        ValueError: if the three do not have one entry per axis, or an index is negative.
    """
    if not len(input_shape) == len(windows) == len(output_index):
        raise ValueError(
            "input_shape, windows and output_index must have one entry per axis, got "
            f"{len(input_shape)}, {len(windows)} and {len(output_index)}."
        )
    if min(output_index, default=0) < 0:
        raise ValueError(f"output_index must not be negative, got {output_index}.")
    taps = []
    for kernel_index in product(*(range(w.kernel_size) for w in windows)):
        at = tuple(
            i * w.stride + a * w.dilation - w.left
            for i, a, w in zip(output_index, kernel_index, windows, strict=True)
        )
        outside = any(not 0 <= u < n for u, n in zip(at, input_shape, strict=True))
        taps.append(Tap(kernel_index, at, outside))
    return IndexMap(input_shape, windows, output_index, tuple(taps))


def draw(taps: IndexMap) -> str:
    """The input as text: `#` a tap on data, `x` a tap on padding, `.` data that is not read.

    The frame shows as much padding as the taps reach. A 3-D map is drawn slice by slice, 1-D as one
    line.
    """
    shape = taps.input_shape
    frame = []
    for axis, length in enumerate(shape):
        reached = [tap.input_index[axis] for tap in taps.taps]
        frame.append(range(min(0, *reached), max(length - 1, *reached) + 1))
    marks = {tap.input_index: "x" if tap.is_padding else "#" for tap in taps.taps}

    def cell(at: tuple[int, ...]) -> str:
        data = all(0 <= u < n for u, n in zip(at, shape, strict=True))
        return marks.get(at, "." if data else " ")

    slices = []
    for outer in product(*frame[:-2]):
        lines = [
            " ".join(cell((*outer, *row, column)) for column in frame[-1]).rstrip()
            for row in product(*frame[-2:-1])
        ]
        title = [", ".join(map(str, outer)) + ":"] if outer else []
        slices.append("\n".join(title + lines))
    return "\n\n".join(slices)
