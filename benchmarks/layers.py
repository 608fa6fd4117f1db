"""Convolutions of published architectures, at their true sizes."""

from __future__ import annotations

from dataclasses import dataclass

from atrous.ops.problem import Problem


@dataclass(frozen=True)
class Layer:
    """A layer of an architecture.

    Attributes:
        net: the architecture.
        name: the layer.
        problem: what it computes.
    """

    net: str
    name: str
    problem: Problem

    @property
    def kind(self) -> str:
        """How its channels are connected."""
        if self.problem.is_depthwise:
            return "depthwise"
        return "pointwise" if set(self.problem.kernel) == {1} else "dense"


def _layer(
    net: str, name: str, batch: int, channels: tuple[int, int], lengths: tuple[int, ...],
    kernel: int | tuple[int, ...], dilation: int | tuple[int, ...] = 1, *, groups: int = 1,
    causal: bool = False, padded: bool = True, stride: int = 1,
) -> Layer:  # fmt: skip
    axes = len(lengths)
    kernels = kernel if isinstance(kernel, tuple) else (kernel,) * axes
    gaps = dilation if isinstance(dilation, tuple) else (dilation,) * axes
    reach = [d * (k - 1) for d, k in zip(gaps, kernels, strict=True)]
    padding = tuple((r, 0) if causal else (r // 2, r - r // 2) for r in reach)
    if not padded:
        padding = ((0, 0),) * axes
    problem = Problem(
        "forward", batch, channels, groups, lengths, kernels, (stride,) * axes, padding, gaps
    )
    return Layer(net, name, problem)


def _depthwise(
    net: str, name: str, batch: int, channels: int, lengths: tuple[int, ...],
    kernel: int | tuple[int, ...], dilation: int | tuple[int, ...] = 1, *, causal: bool = False,
    stride: int = 1,
) -> Layer:  # fmt: skip
    return _layer(
        net, name, batch, (channels, channels), lengths, kernel, dilation, groups=channels,
        causal=causal, stride=stride,
    )  # fmt: skip


LAYERS = (
    # Luo and Mesgarani 2019: B 128, H 512, 4 s at 8 kHz in steps of 8.
    *(_depthwise("Conv-TasNet", f"d {d}", 1, 512, (3999,), 3, d) for d in (1, 8, 128)),
    _layer("Conv-TasNet", "pointwise", 1, (128, 512), (3999,), 1),
    _depthwise("Conv-TasNet causal", "d 64", 4, 512, (3999,), 3, 64, causal=True),
    _depthwise("separable, 1 s of 16 kHz", "d 512", 1, 256, (16000,), 3, 512),
    # van den Oord et al. 2016: 64 channels, gates of 128.
    *(_layer("WaveNet", f"d {d}", 1, (64, 128), (16000,), 2, d, causal=True) for d in (1, 64, 512)),
    # Bai et al. 2018: adding, S-MNIST, Nottingham.
    *(_layer("TCN adding", f"d {d}", 32, (24, 24), (600,), 8, d, causal=True) for d in (1, 16, 64)),
    _layer("TCN S-MNIST", "d 64", 64, (25, 25), (784,), 7, 64, causal=True),
    _layer("TCN Nottingham", "d 8", 16, (150, 150), (400,), 6, 8, causal=True),
    # Abu Farha and Gall 2019: 64 maps, 15 frames per second, some minutes.
    *(_layer("MS-TCN", f"d {d}", 1, (64, 64), (5000,), 3, d) for d in (1, 32, 512)),
    # Jaganathan et al. 2019: 32 channels over 5,000 positions and 10,000 of context.
    *(
        _layer("SpliceAI-10k", f"k {k}, d {d}", 2, (32, 32), (15000,), k, d)
        for k, d in ((11, 1), (11, 4), (21, 10), (41, 25))
    ),
    # Avsec et al. 2021: 64 filters over 1,000 bases.
    _layer("BPNet", "k 25", 32, (4, 64), (1000,), 25),
    *(_layer("BPNet", f"d {d}", 32, (64, 64), (1000,), 3, d) for d in (2, 64, 512)),
    # Kelley 2020: the trunk over 1,024 bins.
    _layer("Basenji2", "d 11", 2, (768, 384), (1024,), 3, 11),
    # Chen et al. 2017: ResNet-50 at output stride 16 and 8, input 513.
    _layer("DeepLabV3, stride 16", "layer4, d 2", 1, (512, 512), (33, 33), 3, 2),
    _layer("DeepLabV3, stride 8", "layer3, d 2", 1, (256, 256), (65, 65), 3, 2),
    _layer("DeepLabV3, stride 8", "layer4, d 4", 1, (512, 512), (65, 65), 3, 4),
    *(
        _layer("DeepLabV3, stride 16", f"ASPP, d {d}", 1, (2048, 256), (33, 33), 3, d)
        for d in (6, 12, 18)
    ),
    _layer("DeepLabV3, stride 8", "ASPP, d 36", 1, (2048, 256), (65, 65), 3, 36),
    # Chen et al. 2018: separable ASPP and decoder.
    *(
        _depthwise("DeepLabV3+", f"ASPP, d {d}", 1, 2048, (33, 33), 3, d) for d in (6, 12, 18)
    ),
    _depthwise("DeepLabV3+", "ASPP, d 36", 1, 2048, (65, 65), 3, 36),
    _depthwise("DeepLabV3+", "decoder", 1, 304, (129, 129), 3),
    # Sandler et al. 2018, at output stride 8.
    _depthwise("MobileNetV2, stride 8", "d 2", 1, 576, (65, 65), 3, 2),
    _depthwise("MobileNetV2, stride 8", "d 4", 1, 960, (65, 65), 3, 4),
    _depthwise("MobileNetV2", "stride 2", 1, 144, (129, 129), 3, stride=2),
    # Liu et al. 2022.
    _depthwise("ConvNeXt-T", "stage 1", 8, 96, (56, 56), 7),
    _depthwise("ConvNeXt-T", "stage 3", 8, 384, (14, 14), 7),
    _depthwise("ConvNeXt-T, stride 8", "stage 3, d 2", 1, 384, (65, 65), 7, 2),
    # Yu and Koltun 2016, Yu et al. 2017, Wang et al. 2018.
    _layer("context module", "d 8", 1, (21, 21), (64, 64), 3, 8),
    _layer("DRN-C-26", "d 4", 1, (512, 512), (28, 28), 3, 4),
    _layer("HDC", "d 9", 1, (256, 256), (65, 65), 3, 9),
    # Yang et al. 2020, Senior et al. 2020: pairs of residues.
    *(_layer("trRosetta", f"d {d}", 1, (64, 64), (150, 150), 3, d) for d in (1, 8, 16)),
    _layer("AlphaFold-1", "d 8", 4, (64, 64), (64, 64), 3, 8),
    # Li et al. 2017: crops of 48 voxels.
    *(
        _layer("HighRes3DNet", f"d {d}", 1, (c, c), (48, 48, 48), 3, d)
        for c, d in ((16, 1), (32, 2), (64, 4))
    ),
    _depthwise("separable video", "d 4x1x1", 1, 54, (16, 56, 56), 3, (4, 1, 1)),
    _depthwise("separable volume", "d 2", 1, 32, (48, 48, 48), 3, 2),
)  # fmt: skip
