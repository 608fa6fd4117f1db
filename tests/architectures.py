"""Sequence architectures as their users write them, after the papers; narrow, of true depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GlobalNorm(nn.Module):
    """Normalisation over channels and time of each item (Conv-TasNet's gLN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale, self.shift = (
            nn.Parameter(torch.ones(channels, 1)),
            nn.Parameter(torch.zeros(channels, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(1, 2), keepdim=True)
        power = (x - mean).pow(2).mean(dim=(1, 2), keepdim=True)
        return self.scale * (x - mean) / (power + 1e-8).sqrt() + self.shift


class TasBlock(nn.Module):
    def __init__(self, channels: int, hidden: int, dilation: int, causal: bool) -> None:
        super().__init__()
        norm: Callable[[int], nn.Module] = nn.BatchNorm1d if causal else GlobalNorm
        self.left = 2 * dilation if causal else dilation
        self.right = 0 if causal else dilation
        self.enter, self.act1, self.norm1 = nn.Conv1d(channels, hidden, 1), nn.PReLU(), norm(hidden)
        self.depthwise = nn.Conv1d(hidden, hidden, 3, dilation=dilation, groups=hidden)
        self.act2, self.norm2 = nn.PReLU(), norm(hidden)
        self.residual, self.skip = nn.Conv1d(hidden, channels, 1), nn.Conv1d(hidden, channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.norm1(self.act1(self.enter(x)))
        y = self.norm2(self.act2(self.depthwise(F.pad(y, (self.left, self.right)))))
        return x + self.residual(y), self.skip(y)


class ConvTasNet(nn.Module):
    """Luo and Mesgarani 2019: 3 repeats of dilations 1 to 128, learned encoder and decoder."""

    def __init__(self, causal: bool = False, sources: int = 2) -> None:
        super().__init__()
        self.sources = sources
        self.encoder = nn.Conv1d(1, 32, 16, stride=8, bias=False)
        self.norm = nn.BatchNorm1d(32) if causal else GlobalNorm(32)
        self.enter = nn.Conv1d(32, 16, 1)
        self.blocks = nn.ModuleList(
            TasBlock(16, 32, 2**k, causal) for _ in range(3) for k in range(8)
        )
        self.mask = nn.Sequential(nn.PReLU(), nn.Conv1d(16, sources * 32, 1), nn.Sigmoid())
        self.decoder = nn.ConvTranspose1d(32, 1, 16, stride=8, bias=False)

    def forward(self, wave: Tensor) -> Tensor:
        features = F.relu(self.encoder(wave.unsqueeze(1)))
        y, total = self.enter(self.norm(features)), torch.zeros(())
        for block in self.blocks:
            y, skip = block(y)
            total = total + skip
        masks = self.mask(total).view(wave.shape[0], self.sources, 32, -1)
        masked = (features.unsqueeze(1) * masks).flatten(0, 1)
        return self.decoder(masked).view(wave.shape[0], self.sources, -1)


class FeatureEncoder(nn.Module):
    """wav2vec 2.0's encoder (Baevski 2020) and its relative positions."""

    def __init__(self, width: int = 32, layer_norm: bool = True) -> None:
        super().__init__()
        kernels, strides = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for k, (kernel, stride) in enumerate(zip(kernels, strides, strict=True)):
            self.convs.append(nn.Conv1d(1 if k == 0 else width, width, kernel, stride, bias=False))
            self.norms.append(nn.LayerNorm(width) if layer_norm else nn.Identity())
        self.positions = nn.utils.parametrizations.weight_norm(
            nn.Conv1d(width, width, 128, padding=64, groups=16), dim=2
        )

    def forward(self, wave: Tensor) -> Tensor:
        x = wave[:, None, :]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.gelu(norm(conv(x).transpose(1, 2)).transpose(1, 2))
        return x + F.gelu(self.positions(x)[:, :, : x.shape[-1]])


class TemporalBlock(nn.Module):
    """Two causal convolutions that are padded on both sides and chomped (Bai 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.chomp = (kernel - 1) * dilation
        norm = nn.utils.parametrizations.weight_norm
        self.conv1 = norm(nn.Conv1d(inputs, outputs, kernel, padding=self.chomp, dilation=dilation))
        self.conv2 = norm(
            nn.Conv1d(outputs, outputs, kernel, padding=self.chomp, dilation=dilation)
        )
        self.match = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None
        self.drop = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.drop(F.relu(self.conv1(x)[:, :, : -self.chomp].contiguous()))
        y = self.drop(F.relu(self.conv2(y)[:, :, : -self.chomp].contiguous()))
        return F.relu(y + (x if self.match is None else self.match(x)))


class TCN(nn.Module):
    """The sequence classifier of the TCN paper: the last position feeds a linear layer."""

    def __init__(self, levels: int = 8, kernel: int = 7, width: int = 25) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(TemporalBlock(1 if k == 0 else width, width, kernel, 2**k) for k in range(levels))
        )
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.head(self.body(x)[:, :, -1]), dim=1)


class UNet1d(nn.Module):
    """Strided convolutions down, resizing to the skip's size up."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 8, 16, 32)
        self.down = nn.ModuleList(
            nn.Conv1d(a, b, 15, stride=2, padding=7) for a, b in pairwise(widths)
        )
        self.up = nn.ModuleList(
            nn.Conv1d(b + a, a, 5, padding=2) for a, b in reversed(list(pairwise(widths)))
        )

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for layer in self.down:
            skips.append(x)
            x = F.leaky_relu(layer(x), 0.1)
        for layer in self.up:
            skip = skips.pop()
            x = F.interpolate(x, size=skip.shape[-1], mode="linear", align_corners=False)
            x = layer(torch.cat([x, skip], dim=1))
        return x


class HiFiGAN(nn.Module):
    """The generator V1 of Kong 2020, narrower: mel frames to samples, 256 for one."""

    def __init__(self) -> None:
        super().__init__()
        width = 64
        self.enter = nn.Conv1d(80, width, 7, padding=3)
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in ((8, 16), (8, 16), (2, 4), (2, 4)):
            self.ups.append(
                nn.ConvTranspose1d(width, width // 2, kernel, rate, (kernel - rate) // 2)
            )
            width //= 2
            for size in (3, 7, 11):
                pairs = [
                    nn.ModuleList(
                        nn.Conv1d(width, width, size, padding=(size - 1) * d // 2, dilation=d)
                        for d in (dilation, 1)
                    )
                    for dilation in (1, 3, 5)
                ]
                self.blocks.append(nn.ModuleList(pairs))
        self.leave = nn.Conv1d(width, 1, 7, padding=3)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.enter(mel)
        for number, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, 0.1))
            total = torch.zeros(())
            for block in self.blocks[3 * number : 3 * number + 3]:
                y = x
                for first, second in block:  # type: ignore[attr-defined]
                    y = y + second(F.leaky_relu(first(F.leaky_relu(y, 0.1)), 0.1))
                total = total + y
            x = total / 3
        return torch.tanh(self.leave(F.leaky_relu(x)))


class Demucs(nn.Module):
    """Defossez 2019: gated strided encoder, bidirectional recurrence, transposed decoder."""

    def __init__(self, depth: int = 4, width: int = 8) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        inputs = 2
        for k in range(depth):
            outputs = width * 2**k
            self.encoder.append(
                nn.Sequential(
                    nn.Conv1d(inputs, outputs, 8, 4), nn.ReLU(),
                    nn.Conv1d(outputs, 2 * outputs, 1), nn.GLU(dim=1),
                )
            )  # fmt: skip
            up: list[nn.Module] = [
                nn.Conv1d(outputs, 2 * outputs, 3, padding=1), nn.GLU(dim=1),
                nn.ConvTranspose1d(outputs, inputs, 8, 4),
            ]  # fmt: skip
            if k:
                up.append(nn.ReLU())
            self.decoder.insert(0, nn.Sequential(*up))
            inputs = outputs
        self.lstm = nn.LSTM(inputs, inputs, num_layers=2, bidirectional=True)
        self.linear = nn.Linear(2 * inputs, inputs)

    def forward(self, mix: Tensor) -> Tensor:
        x, skips = mix, []
        for layer in self.encoder:
            x = layer(x)
            skips.append(x)
        y, _ = self.lstm(x.permute(2, 0, 1))
        x = self.linear(y).permute(1, 2, 0)
        for layer in self.decoder:
            skip = skips.pop()
            extra = (skip.shape[-1] - x.shape[-1]) // 2
            skip = skip[..., extra : extra + x.shape[-1]]
            x = layer(x + skip)
        return x


class WaveNet(nn.Module):
    """Van den Oord 2016: gates, residuals, skips, conditioned on frames."""

    def __init__(self, cycles: int = 3, layers: int = 10) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, 16)
        self.dilated, self.conditions, self.residuals, self.skips = (
            nn.ModuleList() for _ in range(4)
        )
        self.dilations = [2**k for k in range(layers)] * cycles
        for dilation in self.dilations:
            self.dilated.append(nn.Conv1d(16, 32, 2, dilation=dilation))
            self.conditions.append(nn.Conv1d(8, 32, 1))
            self.residuals.append(nn.Conv1d(16, 16, 1))
            self.skips.append(nn.Conv1d(16, 16, 1))
        self.head = nn.Sequential(nn.ReLU(), nn.Conv1d(16, 16, 1), nn.ReLU(), nn.Conv1d(16, 256, 1))

    def forward(self, samples: Tensor, frames: Tensor) -> Tensor:
        x = self.embed(samples).transpose(1, 2)
        frames = frames.repeat_interleave(samples.shape[1] // frames.shape[2], dim=2)
        total = torch.zeros(())
        for k, dilation in enumerate(self.dilations):
            y = self.dilated[k](F.pad(x, (dilation, 0))) + self.conditions[k](frames)
            gate, value = y.chunk(2, dim=1)
            y = torch.sigmoid(gate) * torch.tanh(value)
            x, total = x + self.residuals[k](y), total + self.skips[k](y)
        return self.head(total)


class SpliceAI(nn.Module):
    """SpliceAI-10k (Jaganathan 2019): 16 residual units, the context cropped at the end."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        windows, rates = [11] * 8 + [21] * 4 + [41] * 4, [1] * 4 + [4] * 4 + [10] * 4 + [25] * 4
        self.enter, self.skip = nn.Conv1d(4, width, 1), nn.Conv1d(width, width, 1)
        self.units, self.skips = nn.ModuleList(), nn.ModuleList()
        for k, (w, d) in enumerate(zip(windows, rates, strict=True)):
            convs: list[nn.Module] = []
            for _ in range(2):
                conv = nn.Conv1d(width, width, w, padding=(w - 1) * d // 2, dilation=d)
                convs += [nn.BatchNorm1d(width), nn.ReLU(), conv]
            self.units.append(nn.Sequential(*convs))
            if k % 4 == 3:
                self.skips.append(nn.Conv1d(width, width, 1))
        self.head = nn.Conv1d(width, 3, 1)

    def forward(self, bases: Tensor) -> Tensor:
        x = self.enter(bases)
        total = self.skip(x)
        for k, unit in enumerate(self.units):
            x = x + unit(x)
            if k % 4 == 3:
                total = total + self.skips[k // 4](x)
        return F.softmax(self.head(total[:, :, 5000:-5000]), dim=1)


class Spectral(nn.Module):
    """A spectrogram front end, convolutions over time and frequency, recurrence over time."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(400))
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.gru = nn.GRU(4 * 201, 16, batch_first=True)

    def forward(self, wave: Tensor) -> Tensor:
        spectrum = torch.stft(
            wave, 400, hop_length=160, window=self.window, center=False, return_complex=True
        )
        x = self.conv(spectrum.abs().log1p().unsqueeze(1))
        return self.gru(x.flatten(1, 2).transpose(1, 2))[0]


@dataclass(frozen=True)
class Case:
    """An architecture and an input it takes: a shape, or a maker of arguments."""

    make: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Tensor, ...]]


def _shape(*shape: int) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.rand(shape),)


SEQUENCES = {
    "conv_tasnet": Case(ConvTasNet, _shape(1, 16000)),
    "conv_tasnet_causal": Case(lambda: ConvTasNet(causal=True), _shape(1, 32000)),
    "wav2vec2_encoder": Case(FeatureEncoder, _shape(1, 160000)),
    "tcn": Case(TCN, _shape(1, 1, 784)),
    "unet1d": Case(UNet1d, _shape(1, 1, 1001)),
    "hifigan": Case(HiFiGAN, _shape(1, 80, 64)),
    "demucs": Case(Demucs, _shape(1, 2, 10068)),
    "wavenet": Case(
        WaveNet, lambda: (torch.zeros(1, 6400, dtype=torch.int64), torch.rand(1, 8, 100))
    ),
    "spliceai_10k": Case(SpliceAI, _shape(1, 4, 15000)),
    "spectral_gru": Case(Spectral, _shape(1, 8000)),
}
