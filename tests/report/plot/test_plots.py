"""Pictures show the numbers of the results, in the axes they are given."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse, Rectangle
from torch import nn

import atrous
from atrous import EffectiveField, plot
from atrous.geometry import Window, index_map
from atrous.models import create
from atrous.report.views.colours import HOLE, RAMP, ramp, rgb

matplotlib.use("Agg")


def stack_2d(*dilations: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(1, 1, 3, dilation=d, padding=d) for d in dilations))


def stack_1d(*dilations: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=d, padding=d) for d in dilations))


def gradient(net: nn.Module, shape: tuple[int, ...], at: tuple[int, ...]) -> np.ndarray:
    """What autograd says of path counts: all weights 1."""
    for name, parameter in net.named_parameters():
        parameter.data.fill_(0.0 if name.endswith("bias") else 1.0)
    x = torch.zeros(shape, requires_grad=True)
    net(x)[(0, 0, *at)].backward()
    assert x.grad is not None
    return x.grad[0, 0].numpy()


def fresh() -> Axes:
    return Figure().subplots()


def pixel(ax: Axes, x: float, y: float) -> tuple[int, ...]:
    """The colour that is really painted at a place of the axes."""
    figure = ax.figure
    assert isinstance(figure, Figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    column, row = ax.transData.transform((x, y))
    image = np.asarray(canvas.buffer_rgba())
    return tuple(int(c) for c in image[image.shape[0] - 1 - int(row), int(column)][:3])


def effective(shape: tuple[int, ...] = (1, 1, 24, 28), dilation: int = 1) -> EffectiveField:
    """Equal positive weights: the energy of each position is its share of the routes."""
    net = stack_1d(*[dilation] * 4) if len(shape) == 3 else stack_2d(*[dilation] * 4)
    for parameter in net.parameters():
        parameter.data.fill_(1.0)
    return atrous.effective_field(net, torch.zeros(shape))


def box_layers(*dilations: int) -> nn.Module:
    """Layers of three equal taps that add up to 1."""
    net = nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=d, bias=False) for d in dilations))
    for parameter in net.parameters():
        parameter.data.fill_(1 / 3)
    return net


def designs() -> dict[str, nn.Module]:
    """The same span: 17 taps, and 3 taps 8 apart."""
    return {
        "dense": nn.Conv1d(8, 8, 17, bias=False),
        "dilated": nn.Conv1d(8, 8, 3, dilation=8, bias=False),
    }


DRAWN: dict[str, Callable[..., Axes]] = {
    "kernel": lambda **k: plot.kernel((3, 2), (2, 3), **k),
    "index_map": lambda **k: plot.index_map(index_map((9,), (Window(3, left=1),), (0,)), **k),
    "coverage": lambda **k: plot.coverage(atrous.coverage(stack_2d(2, 2), (1, 1, 16, 16)), **k),
    "coverage 1-D": lambda **k: plot.coverage(atrous.coverage(stack_1d(2, 2), (1, 1, 16)), **k),
    "growth": lambda **k: plot.growth(atrous.inspect(stack_1d(1, 2), (1, 1, 16)), **k),
    "stack": lambda **k: plot.stack(atrous.routes(stack_1d(1, 2), (1, 1, 16)), **k),
    "matrix": lambda **k: plot.matrix(atrous.matrix(stack_1d(2), (1, 1, 8)), **k),
    "effective_field": lambda **k: plot.effective_field(effective(), **k),
    "compare": lambda **k: plot.compare(effective((1, 1, 40)), effective((1, 1, 40), 2), **k),
    "spectrum": lambda **k: plot.spectrum(atrous.spectrum(box_layers(1, 4), (1, 1, 40)), **k),
    "cost": lambda **k: plot.cost(atrous.compare(designs(), (1, 8, 64)), **k),
    "schedule": lambda **k: plot.schedule(atrous.schedule(60), **k),
}


@pytest.mark.parametrize("name", DRAWN)
def test_given_axes_are_returned_and_pyplot_left_alone(name: str) -> None:
    plt.close("all")
    ax = fresh()
    assert DRAWN[name](ax=ax) is ax
    assert ax.has_data()
    assert plt.get_fignums() == []
    assert isinstance(ax.figure, Figure)
    FigureCanvasAgg(ax.figure).draw()


def results() -> dict[str, Any]:
    """One result of every kind."""
    return {
        "coverage": atrous.coverage(stack_1d(2), (1, 1, 16)),
        "growth": atrous.inspect(stack_1d(1), (1, 1, 16)),
        "stack": atrous.routes(stack_1d(1), (1, 1, 16)),
        "matrix": atrous.matrix(stack_1d(2), (1, 1, 8)),
        "effective_field": effective((1, 1, 40)),
        "spectrum": atrous.spectrum(box_layers(1), (1, 1, 40)),
        "cost": atrous.compare(designs(), (1, 8, 64)),
        "index_map": index_map((9,), (Window(3, left=1),), (0,)),
        "schedule": atrous.schedule(9),
    }


def test_what_another_picture_draws_is_refused_with_its_name() -> None:
    made = results()
    makers = {
        "coverage": "atrous.coverage(model, x)",
        "growth": "atrous.inspect(model, x)",
        "stack": "atrous.routes(model, x)",
        "matrix": "atrous.matrix(model, x)",
        "effective_field": "atrous.effective_field(model, data)",
        "spectrum": "atrous.spectrum(model, x)",
        "cost": "atrous.compare(models, x)",
        "index_map": "atrous.geometry.index_map(",
        "schedule": "atrous.schedule(field)",
    }
    for name in made:
        for other, result in made.items():
            for wrong in [result] if other != name else [None, nn.ReLU(), 3]:
                with pytest.raises(TypeError) as told:
                    getattr(plot, name)(wrong, ax=fresh())
                text = str(told.value)
                assert f"which {makers[name]}" in text
                assert f"got {type(wrong).__name__}" in text
                if other != name and name != "matrix":
                    assert text.endswith(f"Draw {type(wrong).__name__} with atrous.plot.{other}.")
    with pytest.raises(TypeError, match=r"after must be an EffectiveField, which"):
        plot.compare(made["effective_field"], made["coverage"], ax=fresh())
    with pytest.raises(TypeError, match=r"designs\['a'\] must be a Cost"):
        plot.cost({"a": made["coverage"]}, ax=fresh())
    with pytest.raises(TypeError, match=r"kernel_size must be a whole number, or one per axis"):
        plot.kernel(nn.Conv1d(1, 1, 3), ax=fresh())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DRAWN)
def test_without_axes_each_picture_gets_a_figure_of_pyplot(name: str) -> None:
    plt.close("all")
    first, second = DRAWN[name](), DRAWN[name]()
    try:
        assert first.figure is not second.figure
        assert len(plt.get_fignums()) == 2
        assert isinstance(second.figure, Figure)
        FigureCanvasAgg(second.figure).draw()
    finally:
        plt.close("all")


@pytest.mark.parametrize("name", DRAWN)
def test_without_matplotlib_the_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "atrous\[plot\]"'):
        DRAWN[name]()


def test_importing_the_package_imports_no_optional_library() -> None:
    code = (
        "import sys, atrous, atrous.plot; "
        "print([m for m in ('matplotlib', 'scipy', 'pywt') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_heat_map_holds_the_gradient_and_paints_holes_orange() -> None:
    net = stack_2d(2, 2)
    ax = plot.coverage(atrous.coverage(net, (1, 1, 24, 20), at=(11, 10)), ax=fresh())
    (image,) = ax.images
    expected = gradient(net, (1, 1, 24, 20), (11, 10))[7:16, 6:15]
    shown = image.get_array()
    assert shown is not None
    assert np.array_equal(np.ma.filled(shown, 0), expected)
    assert np.array_equal(np.ma.getmaskarray(shown), expected == 0)
    assert image.get_extent() == [5.5, 14.5, 15.5, 6.5]
    assert pixel(ax, 7, 8) == rgb(HOLE)
    expected_colour = ramp(256)[int(256 / 9)].astype(int)  # 1 of 9 routes
    assert np.abs(expected_colour - pixel(ax, 6, 7)).max() <= 2
    assert pixel(ax, 12.3, 11.3) != rgb(HOLE)


def test_the_mark_lies_at_the_outputs_own_position() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2, padding=1), nn.Conv2d(1, 1, 3, padding=1))
    ax = plot.coverage(atrous.coverage(net, (1, 1, 32, 32), at=(3, 9)), ax=fresh())
    mark = next(line for line in ax.lines if line.get_label() == "the output")
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([18.0], [6.0])


def test_stems_stand_at_what_is_read_and_squares_at_holes() -> None:
    net = stack_1d(2, 2, 6)
    ax = plot.coverage(atrous.coverage(net, (1, 1, 40), at=18), ax=fresh())
    expected = gradient(net, (1, 1, 40), (18,))
    stems = next(line for line in ax.lines if line.get_label() == "routes")
    assert dict(zip(stems.get_xdata(), stems.get_ydata(), strict=True)) == {
        i: count for i, count in enumerate(expected) if count
    }
    holes = next(line for line in ax.lines if line.get_label() == "holes")
    low, high = np.flatnonzero(expected)[[0, -1]]
    assert list(holes.get_xdata()) == [i for i in range(low, high) if not expected[i]]


def test_three_axes_are_added_up_or_cut() -> None:
    net = nn.Sequential(
        nn.Conv3d(1, 1, 3, dilation=(1, 2, 2), padding=(1, 2, 2)), nn.Conv3d(1, 1, (1, 3, 1))
    )
    cover = atrous.coverage(net, (1, 1, 8, 16, 16), at=(4, 7, 8))
    full = gradient(net, (1, 1, 8, 16, 16), (4, 7, 8))
    window = tuple(cover.window)

    def shown(ax: Axes) -> np.ndarray:
        return np.ma.filled(ax.images[0].get_array(), 0)

    added = plot.coverage(cover, ax=fresh())
    assert np.array_equal(shown(added), full.sum(0)[window[1:]])
    assert "axis 2 added up" in added.get_title()
    cut = plot.coverage(cover, axes=(4, 2), at={3: 8}, ax=fresh())
    assert np.array_equal(shown(cut), full[:, 8][window[0], window[2]].T)
    line = plot.coverage(cover, axes=2, ax=fresh())
    stems = next(each for each in line.lines if each.get_label() == "routes")
    assert np.array_equal(stems.get_ydata(), full.sum((1, 2))[window[0]])
    with pytest.raises(ValueError, match=r"axes must be one or two of the axes \(2, 3, 4\)"):
        plot.coverage(cover, axes=(1, 2), ax=fresh())
    with pytest.raises(ValueError, match=r"at must lie in the span"):
        plot.coverage(cover, at={2: 0}, ax=fresh())
    with pytest.raises(ValueError, match=r"at must name axes that are not shown"):
        plot.coverage(cover, at={3: 8}, ax=fresh())


def test_counts_beyond_floats_are_shown_as_logarithms() -> None:
    cover = atrous.coverage(stack_1d(2), (1, 1, 16))
    huge = replace(cover, counts=np.array([10**400, 0, 10**10, 0, 1], dtype=object))
    ax = plot.coverage(huge, ax=fresh())
    stems = next(line for line in ax.lines if line.get_label() == "routes")
    assert np.allclose(stems.get_ydata(), [401, 11, 1])
    assert ax.get_ylabel() == "routes, log10 + 1"


@pytest.mark.parametrize(("log", "scale"), [(None, "log"), (False, "linear"), (True, "log")])
def test_wide_counts_have_a_log_scale_unless_asked(log: bool | None, scale: str) -> None:
    cover = atrous.coverage(create("tcn"), (1, 1, 300), at=250)
    assert plot.coverage(cover, log=log, ax=fresh()).get_yscale() == scale


def test_the_whole_input_and_nothing_at_all() -> None:
    ax = plot.coverage(atrous.coverage(stack_2d(2), (1, 1, 30, 20)), whole=True, ax=fresh())
    assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 19.5), (29.5, -0.5))
    net = nn.Sequential(nn.ConstantPad1d((9, 0), 0.0), nn.Conv1d(1, 1, 3))
    nothing = plot.coverage(atrous.coverage(net, (1, 1, 10), at=0), ax=fresh())
    assert nothing.get_title() == "1 reads nothing of input"


@pytest.mark.parametrize(("size", "dilation"), [(3, 4), ((3, 2), 2), ((2, 3), (3, 1)), (1, 5)])
def test_a_kernel_is_filled_where_taps_are(size: Any, dilation: Any) -> None:
    ax = plot.kernel(size, dilation, ax=fresh())
    sizes = (1, size) if isinstance(size, int) else size
    rates = (dilation,) * 2 if isinstance(dilation, int) else dilation
    spans = [(k - 1) * d + 1 for k, d in zip(sizes, rates, strict=True)]
    taps = {(a * rates[0], b * rates[1]) for a in range(sizes[0]) for b in range(sizes[1])}
    drawn = np.reshape(ax.collections[0].get_array(), spans)
    assert {(int(y), int(x)) for y, x in np.argwhere(drawn)} == taps
    y, x = max(taps)
    assert pixel(ax, x, y) == rgb(RAMP[3])


def test_every_tap_of_a_large_kernel_is_seen_apart() -> None:
    # 31 x 31 taps, 5 rows and 9 columns apart: a grid of 151 x 271 cells.
    figure = Figure(figsize=(6.4, 4.0), dpi=100)
    ax = plot.kernel((31, 31), (5, 9), ax=figure.subplots())
    assert ax.get_title() == "31 x 31 taps, dilation 5 x 9: spans 151 x 271"
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    ink = 255 - image.mean(-1)

    def shades(y: float, x: float) -> float:
        column, row = ax.transData.transform((x, y))
        return float(ink[image.shape[0] - 1 - int(row), int(column)])

    taps = [shades(5 * a, 9 * b) for a in range(31) for b in range(31)]
    gaps = [shades(5 * a + 2.5, 9 * b + 4.5) for a in range(30) for b in range(30)]
    full = 255 - np.mean(rgb(RAMP[3]))
    assert min(taps) > 0.8 * full  # the same for all: no stripes
    assert max(gaps) < 0.1 * full
    assert len(ax.collections[0].get_paths()) == 31 * 31


def test_cells_that_touch_stay_as_they_are() -> None:
    ax = plot.kernel((61, 3), (1, 30), ax=fresh())
    # Rows touch, columns are 30 apart: three bars.
    assert pixel(ax, 30, 30.5) == rgb(RAMP[3])
    assert pixel(ax, 15, 30) == (255, 255, 255)


def test_a_kernel_of_three_axes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"kernel_size must have one or two axes"):
        plot.kernel((3, 3, 3), ax=fresh())
    with pytest.raises(ValueError, match=r"dilation must be one number, or one for each of the 2"):
        plot.kernel((3, 3), (1, 2, 3), ax=fresh())


def test_taps_on_padding_are_crosses_outside_the_input() -> None:
    taps = index_map((6, 8), (Window(3, dilation=2, left=2), Window(2, left=0)), (0, 7))
    ax = plot.index_map(taps, ax=fresh())
    read = {t.input_index for t in taps.taps if not t.is_padding}
    drawn = np.reshape(ax.collections[0].get_array(), (6, 8))
    assert {(int(y), int(x)) for y, x in np.argwhere(drawn)} == read
    (crosses,) = ax.lines
    found = set(zip(crosses.get_ydata(), crosses.get_xdata(), strict=True))
    assert found == {t.input_index for t in taps.taps if t.is_padding}
    with pytest.raises(ValueError, match=r"taps must have one or two axes"):
        plot.index_map(index_map((4, 4, 4), (Window(3),) * 3, (0, 0, 0)), ax=fresh())


def test_growth_shows_the_fields_of_nodes_and_the_inputs_length() -> None:
    net, shape = create("segmenter"), (1, 3, 129, 129)
    report = atrous.inspect(net, shape)
    ax = plot.growth(report, ax=fresh())
    points = {
        (int(x), int(y))
        for line in ax.lines
        if line.get_linestyle() == "None"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    numbers = {row.label: k for k, row in enumerate(report.inspection.rows)}
    # Sums over (kernel - 1) * dilation * stride; two branches of the head.
    for name in ("stem.0.0", "layer2.body.2.0", "head.branches.1.1", "head.branches.3.1"):
        field = atrous.receptive_field(net, shape, node=name)
        near = [k for label, k in numbers.items() if label == name]
        assert (near[0], field.size[0]) in points, name
    assert any(list(line.get_ydata()) == [129, 129] for line in ax.lines)


def test_fields_that_differ_by_axis_are_two_lines_with_names() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, (3, 5)), nn.Conv2d(1, 1, (1, 3)))
    ax = plot.growth(atrous.inspect(net, (1, 1, 32, 20)).inspection, ax=fresh())
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["axis 2", "axis 3"]
    by_label = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
    assert (by_label["axis 2"], by_label["axis 3"]) == ([1, 3, 3], [1, 5, 7])


def test_the_edges_of_a_tree_are_its_taps() -> None:
    net = nn.Sequential(nn.Conv1d(1, 1, 3, stride=2, dilation=2), nn.Conv1d(1, 1, 2))
    ax = plot.stack(atrous.routes(net, (1, 1, 20), at=3), ax=fresh())
    drawn = {tuple(map(tuple, path)) for path in ax.collections[0].get_segments()}
    # Layer 1 at 3 reads 3, 4 of layer 0, which lie over inputs 6 and 8 and read o, o + 2, o + 4.
    expected = {((6, 2), (6, 1)), ((6, 2), (8, 1))}
    expected |= {((o, 1), (o + t, 0)) for o in (6, 8) for t in (0, 2, 4)}
    assert drawn == expected
    orange = [line for line in ax.lines if line.get_markerfacecolor() == HOLE]
    assert [x for line in orange for x in line.get_xdata()] == [7, 9, 11]


def test_a_matrix_shows_every_coefficient() -> None:
    found = atrous.matrix(nn.Conv1d(1, 1, 3, dilation=2, stride=2, padding=1), (1, 1, 11))
    ax = plot.matrix(found, ax=fresh())
    shown = ax.images[0].get_array()
    dense = found.matrix.toarray()
    assert np.array_equal(np.ma.filled(shown, 0), dense)
    assert np.array_equal(~np.ma.getmaskarray(shown), dense != 0)


def test_a_large_matrix_keeps_the_largest_of_each_block() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.zeros((900, 1700))
    dense[7, 11], dense[8, 10], dense[899, 1699] = 2.0, -5.0, 1.0
    ax = plot.matrix(sparse.csc_matrix(dense), ax=fresh())
    shown = ax.images[0].get_array()
    assert shown is not None
    assert shown.shape == (300, 567)  # blocks of 3 x 3: 1700 over 800, rounded up
    assert {(int(y), int(x)): float(shown[y, x]) for y, x in np.argwhere(~shown.mask)} == {
        (2, 3): -5.0, (299, 566): 1.0,
    }  # fmt: skip
    assert ax.get_xlim() == (-0.5, 1699.5)
    with pytest.raises(TypeError, match=r"a LinearMap, which .*, or a sparse matrix"):
        plot.matrix(dense, ax=fresh())  # type: ignore[arg-type]
    plot.matrix(sparse.csr_array((4, 4)), ax=fresh())


def test_an_effective_field_has_its_energy_circle_and_box() -> None:
    found = effective()
    expected = gradient(stack_2d(1, 1, 1, 1), (1, 1, 24, 28), (12, 14))
    ax = plot.effective_field(found, share=0.5, ax=fresh())
    shown = ax.images[0].get_array()
    assert shown is not None
    assert np.allclose(np.ma.filled(shown, 0), expected / expected.sum())
    circle, ellipse, box = ax.patches
    assert isinstance(circle, Circle)
    assert np.allclose(circle.get_center(), (14, 12))
    distance = np.hypot(*np.ogrid[-12:12, -14:14])
    held = [expected[distance <= r].sum() / expected.sum() for r in (circle.get_radius(),)]
    less = expected[distance < circle.get_radius() - 1e-9].sum() / expected.sum()
    assert less < 0.5 <= held[0]
    assert isinstance(ellipse, Ellipse)
    # Four layers of three equal taps: variance 4 * 2 / 3, nearly a Gaussian.
    assert np.isclose(ellipse.get_width(), 2 * (8 / 3) ** 0.5, rtol=0.05)
    assert isinstance(box, Rectangle)
    assert (box.get_xy(), box.get_width(), box.get_height()) == ((9.5, 7.5), 9, 9)
    line = plot.effective_field(found, axis=3, log=True, ax=fresh())
    profile = np.asarray(line.lines[0].get_ydata())
    assert np.allclose(profile, expected.sum(0) / expected.sum())
    assert line.get_yscale() == "log"


def test_effective_fields_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(ValueError, match=r"axis must be one of \[2, 3\], got 4"):
        plot.effective_field(effective(), axis=4, ax=fresh())
    solid = atrous.effective_field(nn.Conv3d(1, 1, 3), torch.zeros(1, 1, 5, 5, 5))
    with pytest.raises(ValueError, match=r"axis must be given for a field of 3 axes"):
        plot.effective_field(solid, ax=fresh())
    net = nn.Conv1d(1, 1, 3)
    net.weight.data.zero_()
    nothing = atrous.effective_field(net, torch.zeros(1, 1, 9))
    with pytest.raises(ValueError, match=r"energy above 0, got 0 everywhere"):
        plot.effective_field(nothing, ax=fresh())


def test_two_effective_fields_share_axes() -> None:
    pair = effective((1, 1, 40)), effective((1, 1, 60), 2)
    ax = plot.compare(*pair, names=("at first", "trained"), ax=fresh())
    curves = [line for line in ax.lines if len(np.asarray(line.get_xdata())) > 2]
    for line, found in zip(curves, pair, strict=True):
        assert np.array_equal(line.get_ydata(), found.energy)
    # Variance 4 * 2 / 3, and 4 times that at dilation 2.
    assert [line.get_label() for line in curves] == ["at first: std 1.63", "trained: std 3.27"]


def test_a_spectrum_is_the_gain_with_images_marked() -> None:
    found = atrous.spectrum(box_layers(1, 4), (1, 1, 40))
    ax = plot.spectrum(found, layer="1", ax=fresh())
    x, y = (np.asarray(data) for data in ax.lines[0].get_data())
    assert np.allclose(y, np.abs(1 + 2 * np.cos(4 * np.pi * x)) / 3, atol=1e-6)
    marks = [np.asarray(line.get_xdata())[0] for line in ax.lines[1:] if len(line.get_xdata()) == 2]
    # Images of 0 at multiples of 2 pi / 4, in units of pi.
    assert marks == [0.5, 1.0]
    alone = plot.spectrum(found.rows[0], ax=fresh())
    assert alone.get_title() == "0, axis 2, dilation 1"
    stripes = plot.spectrum(found, ax=fresh())
    shown = stripes.images[0].get_array()
    assert shown is not None
    middles = (np.arange(shown.shape[1]) + 0.5) * np.pi / shown.shape[1]
    for row, dilation in zip(shown, (1, 4), strict=True):
        assert np.allclose(row, np.abs(1 + 2 * np.cos(dilation * middles)) / 3, atol=0.01)
    with pytest.raises(KeyError, match=r"layer must be one of '0', '1', got 'c'"):
        plot.spectrum(found, layer="c", ax=fresh())
    with pytest.raises(ValueError, match=r"axis must be one of 2 for '0', got 3"):
        plot.spectrum(found, axis=3, ax=fresh())


def test_a_spectrum_of_many_layers_shows_those_that_differ_and_says_which_are_left_out() -> None:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for k in range(40):
        layers += [nn.Conv1d(1, 1, 3, padding=1, bias=False), nn.Conv1d(1, 1, 1)]
        weight = torch.zeros(1, 1, 3)
        # 1 + 2 e cos w, from 1 - 2 e to 1 + 2 e: the larger e, the less flat.
        weight[0, 0] = torch.tensor([k / 100, 1.0, k / 100])
        layers[-2].weight.data = weight  # type: ignore[union-attr]
    found = atrous.spectrum(nn.Sequential(*layers), (1, 1, 64))
    ax = plot.spectrum(found, ax=fresh())
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [str(2 * k) for k in range(8, 40)]  # the 32 of largest e, in order
    title = ax.get_title()
    assert "left out: 40 layers of a single tap and 8 layers with the flattest gain" in title
    few = atrous.spectrum(nn.Sequential(*layers[:4]), (1, 1, 64))
    assert "left out: 2 layers of a single tap" in plot.spectrum(few, ax=fresh()).get_title()
    single = atrous.spectrum(nn.Sequential(layers[1], layers[3]), (1, 1, 64))
    assert plot.spectrum(single, ax=fresh()).get_title() == "what each layer passes"


def test_costs_are_bars_over_the_first_design() -> None:
    # 8 * 8 * 17 weights and 8 * 8 * 3, over 48 outputs each; memory is alike.
    ratio = 3 / 17
    compared = atrous.compare(designs(), (1, 8, 64))
    ax = plot.cost(compared, ax=fresh())
    widths = [bar.get_width() for bar in ax.patches if isinstance(bar, Rectangle)]
    assert widths == [1, 1, 1, ratio, ratio, 1]
    assert {"1,088", "192", "52,224", "9,216"} <= {text.get_text() for text in ax.texts}
    costs = {name: atrous.cost(net, (1, 8, 64)) for name, net in designs().items()}
    again = plot.cost(costs, measures=("macs",), ax=fresh())
    assert [b.get_width() for b in again.patches if isinstance(b, Rectangle)] == [1, ratio]
    with pytest.raises(ValueError, match=r"measures must be some of parameters, macs, memory"):
        plot.cost(compared, measures=("flops",), ax=fresh())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"designs must hold at least one"):
        plot.cost({}, ax=fresh())


# Machado, Oliveira and Fernandes, 2009: full severity, on linear light.
SIGHT = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
    "usual": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
}  # fmt: skip


def lab(colours: Any, sight: str) -> np.ndarray:
    """CIELAB of sRGB colours as seen (CIE 15, white D65)."""
    share = np.asarray(colours, dtype=float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(SIGHT[sight]).T, 0, 1)
    xyz = (
        seen
        @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    )
    f = np.array(xyz / [0.9505, 1.0, 1.089])
    f = np.where(f > 0.008856, np.cbrt(f), 7.787 * f + 16 / 116)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1
    )


@pytest.mark.parametrize("sight", SIGHT)
def test_holes_stand_out_for_every_kind_of_colour_vision(sight: str) -> None:
    def apart(colours: Any) -> float:
        return float(np.linalg.norm(lab(colours, sight) - lab(rgb(HOLE), sight), axis=-1).min())

    assert apart(ramp(256)) >= 70
    lightness = lab(ramp(256), sight)[:, 0]
    assert (np.diff(lightness) < 0.5).all()  # darker and darker: order is seen without hue
    usual_map = matplotlib.colormaps["viridis"](np.linspace(0, 1, 256))[:, :3] * 255
    if sight == "deuteranopia":
        assert apart(usual_map) < 25  # the measure tells colours that are near
