"""A program as a matrix: equal to the model, to scipy's structured matrices, and to autograd."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import atrous
from atrous import LinearMap, NonlinearError
from atrous.analysis.matrix.affine import Evaluator, NotAffineError, affine_step
from atrous.analysis.matrix.support import colouring, support
from atrous.graph.capture import capture
from networks import RandomNetwork, draw_network
from samples import drawn


def assert_is(found: LinearMap, model: nn.Module, x: Tensor) -> None:
    """Applying the matrix equals the model."""
    expected = model.double()(x)
    assert found.output_shape == expected.shape
    scale = max(1.0, float(expected.detach().abs().max()))
    assert float((found.apply(x) - expected.detach()).abs().max()) < 1e-12 * scale


def assert_entries(found: LinearMap, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(found.matrix.toarray(), expected)


def toeplitz(taps: Tensor, n: int, *, dilation: int, padding: int) -> np.ndarray:
    """The matrix of a stride-1 convolution by scipy: entry (o, i) is taps[(i + p - o) / d]."""
    size = (len(taps) - 1) * dilation + 1
    first = np.zeros(n + 2 * padding)
    first[:size:dilation] = taps.detach().numpy()
    column = np.zeros(len(first) - size + 1)
    column[0] = first[0]
    return scipy.linalg.toeplitz(column, first)[:, padding : padding + n]


@torch.no_grad()
def test_random_networks_are_their_matrices() -> None:
    seen: Counter[str] = Counter()
    for seed in range(50):
        network = draw_network(random.Random(seed), rearranged=seed % 2 == 1)
        x = drawn(*network.shape, seed=seed)
        try:
            found = atrous.matrix(network, x)
        except NonlinearError:
            seen["refused"] += 1
            assert_is_curved(network)
            continue
        seen["equal"] += 1
        assert_is(found, network, x)
    assert seen["equal"] > 20
    assert seen["refused"] > 10


def assert_is_curved(network: RandomNetwork) -> None:
    """A refused network has an operator that is non-linear, if not on the values it meets here."""
    kinds = {step.kind for step in network.steps}
    assert kinds & {"max", "maximum", "act", "rearranged"}, network


@pytest.mark.parametrize("dilation", [1, 2, 5])
@pytest.mark.parametrize("padding", [0, 1, 7])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_a_convolution_is_scipys_toeplitz_matrix(dilation: int, padding: int, kernel: int) -> None:
    net = nn.Conv1d(1, 1, kernel, dilation=dilation, padding=padding).double()
    found = atrous.matrix(net, (1, 1, 19))
    assert_entries(found, toeplitz(net.weight[0, 0], 19, dilation=dilation, padding=padding))
    np.testing.assert_array_equal(found.offset, np.full(found.output_shape[2], net.bias.item()))
    assert found.structure in ("toeplitz", "circulant")
    taps = {a * dilation - padding: net.weight[0, 0, a].item() for a in range(kernel)}
    reachable = {o for o in taps if -found.output_shape[2] < o < 19}
    assert {b.offset: b.value for b in found.bands()} == {o: taps[o] for o in reachable}


def test_single_precision_weights_are_kept_to_the_bit() -> None:
    net = nn.Conv1d(1, 1, 3, padding=1)
    net.bias.data.fill_(1e6)
    found = atrous.matrix(net, (1, 1, 8))
    assert_entries(found, toeplitz(net.weight[0, 0].double(), 8, dilation=1, padding=1))
    assert not any(p.dtype == torch.float64 for p in net.parameters())


def test_padding_around_the_ends_is_scipys_circulant_matrix() -> None:
    net = nn.Conv1d(1, 1, 3, padding=2, dilation=2, padding_mode="circular", bias=False).double()
    found = atrous.matrix(net, (1, 1, 9))
    a, b, c = net.weight[0, 0].tolist()
    column = np.zeros(9)
    column[[0, 2, -2]] = b, a, c
    assert_entries(found, scipy.linalg.circulant(column))
    assert found.structure == "circulant"


@pytest.mark.parametrize("stride", [2, 3])
def test_a_stride_keeps_every_so_manieth_row(stride: int) -> None:
    dense = nn.Conv1d(1, 1, 3, padding=2, dilation=2, bias=False).double()
    strided = nn.Conv1d(1, 1, 3, stride, padding=2, dilation=2, bias=False).double()
    strided.weight = dense.weight
    found = atrous.matrix(strided, (1, 1, 20))
    assert_entries(found, atrous.matrix(dense, (1, 1, 20)).matrix.toarray()[::stride])
    assert found.structure == f"toeplitz, decimated by {stride}"
    assert [band.offset for band in found.bands()] == [-2, 0, 2]


def test_a_separable_convolution_is_a_kronecker_product() -> None:
    height, width = drawn(3), drawn(4, seed=1)
    net = nn.Conv2d(1, 1, (3, 4), dilation=(2, 1), padding=(2, 1), bias=False).double()
    net.weight.data[0, 0] = torch.outer(height, width)
    found = atrous.matrix(net, (1, 1, 7, 6))
    parts = (toeplitz(height, 7, dilation=2, padding=2), toeplitz(width, 6, dilation=1, padding=1))
    np.testing.assert_allclose(found.matrix.toarray(), np.kron(*parts), rtol=1e-15)
    assert found.structure == "block toeplitz with toeplitz blocks"


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_is_the_transpose(axes: int, groups: int) -> None:
    kinds = {1: (nn.Conv1d, nn.ConvTranspose1d), 2: (nn.Conv2d, nn.ConvTranspose2d),
             3: (nn.Conv3d, nn.ConvTranspose3d)}[axes]  # fmt: skip
    forth = kinds[0](4, 2, 3, stride=2, padding=1, dilation=1, groups=groups, bias=False).double()
    back = kinds[1](2, 4, 3, stride=2, padding=1, dilation=1, groups=groups, bias=False).double()
    back.weight = forth.weight
    sizes = (7, 5, 5)[:axes]
    small = atrous.matrix(forth, (1, 4, *sizes))
    large = atrous.matrix(back, small.output_shape)
    assert large.output_shape == (1, 4, *sizes)
    np.testing.assert_array_equal(large.matrix.toarray(), small.matrix.T.toarray())
    assert small.structure is not None
    assert "decimated by 2" in small.structure
    assert large.structure is not None
    assert "expanded by 2" in large.structure


class Mixed(nn.Module):
    """Branches, slices, resizes, batch statistics that are kept, a mean, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, stride=2, padding=1, padding_mode="reflect")
        self.norm = nn.BatchNorm2d(4)
        self.norm.running_mean.uniform_(-1, 1)
        self.norm.running_var.uniform_(0.5, 2)
        self.up = nn.Upsample(scale_factor=1.5, mode="bicubic")
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.dropout(self.norm(self.first(x)), 0.5, self.training)
        y = torch.cat([y.flip(3), y.roll(1, 2), y.cumsum(2)], 1)
        y = self.up(y - y.mean((2, 3), keepdim=True))
        return self.head(y.permute(0, 2, 1, 3)[..., :6])


def test_a_model_is_its_autograd_jacobian() -> None:
    torch.manual_seed(0)
    net = Mixed().double().eval()
    x = drawn(1, 2, 8, 7)
    jacobian = torch.autograd.functional.jacobian(net, x)
    found = atrous.matrix(net, x)
    expected = jacobian.reshape(found.matrix.shape).numpy()
    np.testing.assert_allclose(found.matrix.toarray(), expected, atol=1e-12)
    assert_is(found, net, x)
    net.train()
    state = torch.get_rng_state()
    again = atrous.matrix(net, x)
    np.testing.assert_array_equal(again.matrix.toarray(), found.matrix.toarray())
    assert net.training
    assert torch.equal(state, torch.get_rng_state())


def test_a_wrong_weight_is_noticed_by_the_oracle() -> None:
    net = nn.Conv1d(1, 1, 3).double()
    found = atrous.matrix(net, (1, 1, 9))
    net.weight.data[0, 0, 1] += 1e-9
    with pytest.raises(AssertionError):
        assert_is(found, net, drawn(1, 1, 9))


def test_borders_by_reflection_and_stacks_are_exceptions() -> None:
    reflected = nn.Conv1d(1, 1, 5, padding=2, padding_mode="reflect").double()
    found = atrous.matrix(reflected, (1, 1, 12))
    assert found.structure is None
    assert found.inner_structure == "toeplitz"
    # Two outputs at each end read what is reflected; the rows between are plain.
    assert found.shifts[0].rows == (2, 10)
    plain = toeplitz(reflected.weight[0, 0], 12, dilation=1, padding=2)
    same = (found.matrix.toarray() == plain).all(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(same), np.arange(2, 10))
    assert "toeplitz inside, outputs 2 to 9 along axis 2" in str(found)

    stack = nn.Sequential(nn.Conv1d(1, 1, 3, padding=1), nn.Conv1d(1, 1, 3, 2, padding=1))
    found = atrous.matrix(stack, (1, 1, 24))
    # Output 0 reads position -1 of the first layer, which is padding and not computed.
    assert (found.structure, found.shifts[0].rows) == (None, (1, 12))
    assert found.inner_structure == "toeplitz, decimated by 2"

    unpadded = nn.Sequential(nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 3, dilation=3))
    assert atrous.matrix(unpadded, (1, 1, 30)).structure == "toeplitz"
    assert atrous.matrix(Function(lambda x: x.cumsum(-1)), (1, 1, 9)).structure == "toeplitz"
    scaled = Function(lambda x: x * torch.arange(9.0))
    assert atrous.matrix(scaled, (1, 1, 9)).inner_structure is None


def test_channels_make_blocks_and_items_repeat() -> None:
    net = nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular").double()
    x = drawn(2, 3, 5, 6)
    found = atrous.matrix(net, x)
    assert_is(found, net, x)
    assert found.items == 2
    assert found.item().blocks == (4, 3)
    assert found.structure == "block circulant with circulant blocks"
    one = atrous.matrix(net, (1, 3, 5, 6))
    assert (one.matrix != found.item().matrix).nnz == 0
    assert_is(found.item(), net, x[:1])
    assert "2 items" in str(found)
    assert one.item() is one


class Weighed(nn.Module):
    """Two inputs, multiplied."""

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        return F.avg_pool1d(x * gate, 2) + gate[..., ::2]


def test_another_input_is_held_at_its_value() -> None:
    x, gate = drawn(1, 1, 8), drawn(1, 1, 8, seed=1)
    found = atrous.matrix(Weighed(), (x, gate))
    torch.testing.assert_close(found.apply(2 * x), Weighed()(2 * x, gate))
    by_name = atrous.matrix(Weighed(), {"gate": gate, "x": x}, input="gate")
    torch.testing.assert_close(by_name.apply(3 * gate), Weighed()(x, 3 * gate))
    with pytest.raises(ValueError, match="x must hold the values of 'gate', which is held"):
        atrous.matrix(Weighed(), (x, (1, 1, 8)))


class Residual(nn.Module):
    """A linear part between two activations, and a way around the first."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()
        self.body = nn.Conv1d(1, 1, 3, padding=1)
        self.last = nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(self.act(x)) + x)


def test_a_part_is_taken_around_what_is_not_linear() -> None:
    net, x = Residual().double(), drawn(1, 1, 9)
    with pytest.raises(NonlinearError, match="but 'relu' at 'act' is not") as error:
        atrous.matrix(net, x)
    assert error.value.node == "act"
    with pytest.raises(NonlinearError, match=r"'tanh' at 'last' .* node='add' ends before it"):
        atrous.matrix(net, x, of="act")
    body = atrous.matrix(net, x, of="act", node="body")
    assert (body.matrix != atrous.matrix(net.body, x).matrix).nnz == 0
    sum_ = atrous.matrix(net, x, of="act", node="add")
    assert (sum_.matrix != body.matrix).nnz == 0
    torch.testing.assert_close(sum_.apply(x), net.body(x) + x)
    with pytest.raises(ValueError, match=r"values of 'x', which is held while 'act' varies"):
        atrous.matrix(net, (1, 1, 9), of="act", node="add")


class Function(nn.Module):
    """A function of one tensor as a module."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    "function",
    [
        F.relu,
        torch.abs,
        lambda x: x * x,
        lambda x: x.clamp(-1e20, 1e20),
        lambda x: x.clamp(-1e-5, 1e-5),
        lambda x: F.hardtanh(x, -30, 30),
        lambda x: F.hardshrink(x, 1e-7),
        lambda x: x.round(),
        lambda x: x + torch.sin(x),
        lambda x: F.leaky_relu(x, 0.999999),
        lambda x: F.softmax(x, -1),
        lambda x: F.layer_norm(x, [8]),
        lambda x: F.max_pool1d(x, 2),
        lambda x: x.sort().values,
        lambda x: 1 / x,
        lambda x: x + torch.rand_like(x),
        lambda x: F.dropout(x, 0.5, True),
        lambda x: x.argmax(-1),
        lambda x: torch.where(x > 0, x, 0.0),
        lambda x: torch.fft.fft(x).real,
        lambda x: x + float("inf"),
        lambda x: torch.matmul(x, x.transpose(1, 2)),
    ],
)
def test_what_is_not_affine_is_refused(function: object) -> None:
    with pytest.raises(NonlinearError, match="model must be affine"):
        atrous.matrix(Function(function), (1, 1, 8))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.max_pool1d(x, 1, 2),
        lambda x: torch.cat([x, x.flip(-1)], -1) + torch.cat([x.roll(3, -1), x], -1),
        lambda x: x + x,
        lambda x: x.unfold(-1, 3, 2),
        lambda x: F.unfold(x.unsqueeze(-1), (3, 1), dilation=(2, 1)),
        lambda x: torch.einsum("bcn,mn->bm", x, torch.arange(24.0).reshape(3, 8).to(x)),
        lambda x: x.view(2, 4).t().diagonal(),
        lambda x: x.cumsum(-1).mean(-1),
        lambda x: F.pad(x, (3, 2), mode="circular"),
        lambda x: F.interpolate(x, size=13, mode="linear", align_corners=True),
        lambda x: F.avg_pool1d(x, 3, 2, 1, True, False),
        lambda x: x.expand(3, 2, 8) * torch.arange(8.0).to(x),
        lambda x: x[..., [0, 0, 7, -1]],
        lambda x: x.new_zeros(1, 1, 8).index_add(2, torch.tensor([1, 1, 2, 3, 0, 0, 0, 7]), x),
        lambda x: torch.tril(x.reshape(2, 4)),
        lambda x: F.linear(x, torch.zeros(3, 8).to(x)),
    ],
)
def test_what_is_affine_is_equal(function: object) -> None:
    model, x = Function(function), drawn(1, 1, 8)
    assert_is(atrous.matrix(model, x), model, x)


def test_casts_to_fewer_bits_do_not_round() -> None:
    x = drawn(1, 1, 8)
    found = atrous.matrix(Function(lambda x: x.half().double() + x.to(torch.bfloat16)), x)
    assert torch.equal(found.apply(x), 2 * x)


def test_a_half_precision_model_is_evaluated_in_double() -> None:
    net = nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.AvgPool1d(3)).half()
    found = atrous.matrix(net, (1, 2, 9))
    assert_is(found, net.double(), drawn(1, 2, 9))


def test_coefficients_of_zero_are_not_stored() -> None:
    net = nn.Conv1d(1, 1, 3, padding=1)
    net.weight.data[0, 0, 1] = 0
    assert atrous.matrix(net, (1, 1, 10)).matrix.nnz == 18


def test_a_convolution_takes_as_many_evaluations_as_it_has_weights_per_output() -> None:
    net = nn.Conv2d(2, 3, 3, padding=2, dilation=2)
    found = [atrous.matrix(net, (1, 2, n, n)).probes for n in (8, 20)]
    # Zero, and 9 positions of 2 channels.
    assert found == [1 + 18, 1 + 18]


def test_too_many_coefficients_are_refused() -> None:
    with pytest.raises(ValueError, match=r"matrix must have at most 100 coefficients, got 900 "):
        atrous.matrix(nn.Linear(30, 30), (1, 30), limit=100)


def test_arguments_that_do_not_fit_are_refused() -> None:
    net = nn.Conv1d(1, 1, 3)
    with pytest.raises(ValueError, match="of and input must not both be given"):
        atrous.matrix(net, (1, 1, 9), of="x", input="x")
    with pytest.raises(ValueError, match="node must depend on 'conv1d', but 'input' does not"):
        atrous.matrix(net, (1, 1, 9), of="conv1d", node="input")
    with pytest.raises(ValueError, match=r"x must have the shape \(1, 1, 9\), got \(1, 1, 8\)"):
        atrous.matrix(net, (1, 1, 9)).apply(torch.zeros(1, 1, 8))
    ids = nn.Embedding(5, 3)
    with pytest.raises(ValueError, match="input must be of real numbers, but 'input' is of type"):
        atrous.matrix(ids, torch.zeros(1, 4, dtype=torch.int64))


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(ImportError, match=r'pip install "atrous\[sparse\]"'):
        atrous.matrix(nn.Conv1d(1, 1, 3), (1, 1, 9))


def test_scipy_and_pywavelets_are_not_imported_before_they_are_needed() -> None:
    code = "import sys, atrous; print({'scipy', 'pywt', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_pictures_show_bands_small_and_large() -> None:
    net = nn.Conv1d(1, 1, 2, dilation=2)
    assert atrous.matrix(net, (1, 1, 5)).picture().splitlines() == [
        "# · # · ·",
        "· # · # ·",
        "· · # · #",
    ]
    large = atrous.matrix(nn.Conv1d(1, 1, 1), (1, 1, 64))
    # Four lines of two by four dots, each with the diagonal of two characters.
    lines = large.picture(width=8, height=4).splitlines()
    assert lines == ["⠑⢄" + "⠀" * 6, "⠀⠀⠑⢄" + "⠀" * 4, "⠀" * 4 + "⠑⢄⠀⠀", "⠀" * 6 + "⠑⢄"]


def test_colours_share_no_row() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        length = int(rng.integers(1, 12))
        rows, columns = np.nonzero(rng.random((8, length)) < 0.3)
        colours = colouring(rows, columns, length)
        for row in range(8):
            mine = colours[columns[rows == row]]
            assert len(set(mine.tolist())) == len(mine)


def test_a_support_that_is_too_small_is_noticed() -> None:
    program = capture(nn.Conv1d(1, 1, 3), (1, 1, 9))
    node = program.nodes["conv1d"]
    narrow = capture(nn.Conv1d(1, 1, 2, padding=0), (1, 1, 8)).nodes["conv1d"]
    read, other = node.description.reads[0], narrow.description.reads[0]
    assert len(support([read], node.shape, 100).rows) == 21
    object.__setattr__(read, "links", other.links)
    with pytest.raises(NotAffineError, match="at a random input"):
        affine_step(node, ("input",), {}, Evaluator(program), 100)
