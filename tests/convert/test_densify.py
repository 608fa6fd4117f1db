"""Dense models against the models they were made of, by hooks on their own modules."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from atrous.convert.comparison import shaken
from atrous.convert.densify import Densified, densified
from atrous.convert.densities import DensifyError
from atrous.convert.study import Pooling, Wish

IMAGE = (1, 3, 97, 105)
IMAGE_1 = (1, 1, 48, 48)


def made(
    model: nn.Module,
    shape: tuple[int, ...],
    stride: int,
    sizes: tuple[int, ...] | None = None,
    **wish: Any,
) -> Densified:
    return densified(model, shape, Wish(stride, **wish), sizes=sizes)


def values(model: nn.Module, path: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """What a module gives, and what the model gives."""
    found: list[Tensor] = []
    handle = model.get_submodule(path).register_forward_hook(lambda *a: found.append(a[2]))
    with torch.no_grad():
        result = model(x)
    handle.remove()
    return found[-1], result


@pytest.mark.parametrize(
    ("name", "path", "stride", "density"),
    [
        ("resnet18", "layer4", 4, 8),
        ("resnext50_32x4d", "layer4", 16, 2),
        ("vgg11_bn", "features", 8, 4),
        ("mobilenet_v3_small", "features", 8, 4),
        ("squeezenet1_0", "features", 4, 4),
        ("googlenet", "inception5b", 8, 4),
        ("inception_v3", "Mixed_7c", 8, 4),
        ("shufflenet_v2_x0_5", "conv5", 8, 4),
    ],
)
@pytest.mark.parametrize("size", [(97, 105), (128, 96)])
def test_public_backbones_are_equal_on_the_grid(
    name: str, path: str, stride: int, density: int, size: tuple[int, int]
) -> None:
    extra = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, **extra).eval().double()
    if name == "vgg11_bn":
        # Half a gigabyte of weights that have nothing to do with it.
        model.classifier = nn.Linear(512 * 49, 3).double()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    result = made(model, (1, 3, *size), stride)
    assert result.certificate.error < 1e-9
    # What the certificate says, again: by hooks, with the model's own weights, at another size.
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    coarse, _ = values(model, path, x)
    dense, _ = values(result.model, path, x)
    assert [entry.density for entry in result.certificate.compared] == [(density, density)]
    grid = dense[..., ::density, ::density]
    torch.testing.assert_close(grid, coarse, rtol=0, atol=1e-9 * float(coarse.abs().max()))
    # The user's model is as it was, and the result is of its class, with its names.
    assert type(result.model) is type(model)
    assert result.model.state_dict().keys() == before.keys()
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize("pooling", ["grid", "all"])
def test_normalisation_over_positions_is_that_of_the_grid_or_of_all(pooling: Pooling) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 3, 2, 1), nn.InstanceNorm2d(8)
    ).eval()
    result = made(model, IMAGE, 1, pooling=pooling)
    assert result.certificate.compared[0].density == (4, 4)
    error = result.certificate.error
    assert error < 1e-12 if pooling == "grid" else error > 1e-4
    assert len(result.plan.pooled) == (0 if pooling == "grid" else 2)


class Gated(nn.Module):
    """Squeeze-excite between two strides."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Conv2d(8, 8, 1)
        self.down = nn.Conv2d(8, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        out: Tensor = self.down(x * torch.sigmoid(self.gate(self.pool(x))))
        return out


@pytest.mark.parametrize("pooling", ["grid", "all"])
def test_pooling_reads_the_grid_or_all_and_the_certificate_shows_it(pooling: Pooling) -> None:
    result = made(Gated().eval(), IMAGE, 1, pooling=pooling)
    error = result.certificate.error
    assert error < 1e-12 if pooling == "grid" else error > 1e-6
    assert [node.kind for node in result.plan.pooled] == (
        [] if pooling == "grid" else ["adaptive_avg_pool2d"]
    )


def test_weights_of_zero_hide_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4)).eval()
    nn.init.zeros_(model[1].weight)
    result = made(model, IMAGE, 1)
    # The largest value compared is not that of a map of zeros.
    assert result.certificate.error < 1e-12
    assert not model[1].weight.any() and shaken(model)[1].weight.all()


def test_weights_that_hooks_compute_are_copied() -> None:
    # Once a model has run, such weights have a history, and PyTorch copies none that have.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = nn.Sequential(nn.utils.weight_norm(nn.Conv2d(3, 4, 3, 2, 1)), nn.MaxPool2d(2))
    model.double()(torch.rand(IMAGE, dtype=torch.float64))
    for pools in ("keep", "drop"):
        result = densified(model, IMAGE, Wish(1), pools=pools)  # type: ignore[arg-type]
        assert result.model.state_dict().keys() == model.state_dict().keys()
    result = made(model, IMAGE, 1)
    x = torch.rand(IMAGE, dtype=torch.float64)
    torch.testing.assert_close(result.model(x)[..., ::4, ::4], model(x))
    with torch.no_grad():
        result.model[0].weight_g.zero_()  # type: ignore[index]
    assert model[0].weight_g.all()


@pytest.mark.parametrize("last", [nn.AvgPool2d(2), nn.Conv2d(4, 4, 2, 2)])
def test_a_model_made_dense_twice_is_told(last: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1), last).eval()
    once = made(model, IMAGE, 4).model
    with pytest.raises(DensifyError, match=r"'2' was made dense before\. Make the model that"):
        made(once, IMAGE, 1)
    # What was left as it was can still change.
    assert made(once, IMAGE, 4).certificate.error < 1e-12


def test_axes_have_strides_of_their_own() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.Conv2d(2, 2, 3, 2, 1)).eval()
    result = made(model, (1, 1, 40, 44), (4, 1))  # type: ignore[arg-type]
    assert result.certificate.compared[0].density == (1, 4)
    assert result.model(torch.zeros(1, 1, 40, 44)).shape[-2:] == (10, 44)
    with pytest.raises(ValueError, match="one for each of the 2 axes"):
        made(model, (1, 1, 40, 44), (4, 1, 1))  # type: ignore[arg-type]


def test_a_stride_that_does_not_divide_is_told() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, 3, 1), nn.Conv2d(2, 2, 3, 2, 1)).eval()
    with pytest.raises(ValueError, match=r"positions of '1' lie 6 apart. Choose a divisor of 6"):
        made(model, (1, 1, 40, 44), 4)


def test_calls_of_the_model_itself_are_named_with_their_line() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.max_pool2d(self.conv(x), 2)

    with pytest.raises(ValueError, match=r"max_pool2d at .*test_densify.py:\d+: return torch.max"):
        made(Plain().eval(), (1, 1, 40, 44), 1)


def test_what_follows_a_target_reads_its_grid() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.Conv2d(2, 2, 3, 2, 1)).eval()
    result = made(model, (1, 1, 40, 44), 1, node="0")
    assert result.certificate.error < 1e-12
    x = torch.randn(1, 1, 41, 45)
    assert result.model[0](x).shape[-2:] == (41, 45)  # type: ignore[operator,index]
    torch.testing.assert_close(result.model(x), model(x))


class Segmenter(nn.Module):
    """A head whose result is brought to the size of the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1))
        self.head = nn.Conv2d(4, 2, 3, padding=2, dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.head(self.trunk(x)), x.shape[2:], mode="bilinear")


def test_a_head_is_made_dense_and_its_result_resized_from_there() -> None:
    model = Segmenter().eval()
    told = made(model, (1, 1, 64, 64), 2).certificate
    assert not told.changes and told.coarser == "positions of 'head' lie 4 apart"
    result = made(model, (1, 1, 64, 64), 2, node="head")
    assert result.certificate.error < 1e-12
    assert result.certificate.resized == ("upsample_bilinear2d",)
    # As the same model gives of its head's dense values.
    x = torch.randn(1, 1, 49, 53)
    dense, out = values(result.model, "head", x)
    assert dense.shape[2:] == (25, 27)
    torch.testing.assert_close(out, F.interpolate(dense, x.shape[2:], mode="bilinear"))


def test_a_module_called_on_maps_of_different_strides_needs_a_graph() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 4, 3, 2, 1)
            self.second = nn.Conv2d(4, 4, 3, 2, 1)
            self.head = nn.Sequential(nn.Conv2d(4, 2, 3, padding=1), nn.BatchNorm2d(2))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            fine = self.first(x)
            return self.head(fine), self.head(self.second(fine))

    model = Shared().eval()
    with pytest.raises(DensifyError, match=r"'head.0': called on maps of different strides.*as_gr"):
        made(model, (1, 1, 64, 64), 1)
    result = densified(model, (1, 1, 64, 64), Wish(1), as_graph=True)
    assert result.model.state_dict().keys() == model.state_dict().keys()
    x = torch.randn(1, 1, 33, 35)
    for dense, coarse, r in zip(result.model(x), model(x), (2, 4), strict=True):
        torch.testing.assert_close(dense[..., ::r, ::r], coarse)


def test_what_an_output_at_a_small_stride_is_made_of_stays() -> None:
    class Unet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Conv2d(1, 4, 2, 2)
            self.deep = nn.Conv2d(4, 4, 2, 2)
            self.up = nn.ConvTranspose2d(4, 4, 2, 2)
            self.out = nn.ConvTranspose2d(4, 1, 2, 2)

        def forward(self, x: Tensor) -> Tensor:
            first = self.down(x)
            out: Tensor = self.out(self.up(self.deep(first)) + first)
            return out

    model = Unet().eval()
    assert not made(model, (1, 1, 64, 64), 2).plan.changes
    # Along one axis alone it has to change: nothing along the other.
    pooled = nn.Sequential(model, nn.Conv2d(1, 1, 3, (2, 1), 1)).eval()
    result = made(pooled, (1, 1, 64, 64), 1)
    assert {change.path for change in result.plan.changes} == {"1"}
    assert result.certificate.error < 1e-12


def test_a_head_after_adaptive_pooling_reads_the_grid() -> None:
    # As in VGG: at the captured size the pooling leaves the map as it is.
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1), nn.AdaptiveAvgPool2d(7),
        nn.Flatten(), nn.Linear(196, 3),
    ).eval()  # fmt: skip
    result = made(model, (1, 1, 28, 28), 1)
    assert result.certificate.outputs["output"] < 1e-12
    x = torch.randn(2, 1, 45, 61)
    torch.testing.assert_close(result.model(x), model(x))


class Patched(nn.Module):
    """Positions cut into patches by views, and statistics over what lies in each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, 2, 1)
        self.mix = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        items, channels, height, width = y.shape
        patches = y.reshape(items, channels, height // 2, 2, width // 2, 2)
        patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(0, 2).flatten(2).softmax(-1)
        return self.mix(patches.amax(-1)).mean(0)


def test_views_that_cut_dense_positions_are_named() -> None:
    with pytest.raises(DensifyError, match=r"reshape at .*test_densify.py:\d+: patches = y.resh"):
        made(Patched().eval(), (1, 1, 32, 32), 1, node="stem", sizes=(32, 32))


@pytest.mark.parametrize("pooling", ["grid", "all"])
def test_branches_brought_to_finer_ones_take_the_grid(pooling: Pooling) -> None:
    class Fused(nn.Module):
        """As HRNet: a coarse branch goes on by itself, and is added to a fine one."""

        def __init__(self) -> None:
            super().__init__()
            self.fine = nn.Conv2d(1, 2, 3, 2, 1)
            self.coarse = nn.Conv2d(2, 2, 3, 2, 1)
            self.up = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Upsample(scale_factor=2))
            self.down = nn.Conv2d(2, 2, 3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            fine = self.fine(x)
            coarse = self.coarse(fine)
            out: Tensor = coarse + self.down(fine + self.up(coarse))
            return out

    model = Fused().eval()
    result = made(model, (1, 1, 64, 64), 2, pooling=pooling)
    assert result.certificate.compared[0].density == (2, 2)
    x = torch.randn(1, 1, 32, 48)
    torch.testing.assert_close(result.model(x)[..., ::2, ::2], model(x))


def test_an_output_that_does_not_get_the_grid_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # The proof must notice: pooling left to read all positions.
    from atrous.convert import change

    right = change._change
    monkeypatch.setattr(
        change, "_change", lambda module, own: own.how != "grid" and right(module, own)
    )
    model = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    with pytest.raises(DensifyError, match=r"the same output 'output' of the grid.*differs by"):
        made(model, (1, 1, 32, 32), 1)


def test_values_that_cannot_be_compared_are_told() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.ReLU()).eval()
    nn.init.constant_(model[0].bias, -100)
    assert "all values are 0: nothing was compared" in str(made(model, IMAGE_1, 1).certificate)
    nn.init.constant_(model[0].bias, float("nan"))
    with pytest.raises(DensifyError, match=r"must give finite values.*'output' are not"):
        made(model, IMAGE_1, 1)


def test_a_module_called_on_its_own_result_is_told() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Conv2d(1, 1, 3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.down(self.down(x))
            return out

    with pytest.raises(DensifyError, match=r"'down': called on maps of different strides"):
        made(Twice().eval(), IMAGE_1, 1)
    result = densified(Twice().eval(), IMAGE_1, Wish(1), as_graph=True)
    assert result.certificate.error < 1e-12
