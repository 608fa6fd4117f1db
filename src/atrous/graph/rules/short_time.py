"""Short-time Fourier transforms: frames that slide over a signal, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from atrous.geometry.algebra import compose
from atrous.geometry.lineage import Status
from atrous.geometry.primitives import PadMode, Window, padded
from atrous.geometry.relation import Relation
from atrous.geometry.taps import Ints, Taps
from atrous.graph.example import Draw, Example
from atrous.graph.region import Box, Region, box_shape
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Link,
    Local,
    Operand,
    Read,
    identity_links,
    rule,
)


@dataclass(frozen=True, eq=False)
class _Frames:
    """The frames of a transform.

    Attributes:
        size: length of a frame.
        hop: positions from one to the next.
        window: what a frame is multiplied by, of a frame's length.
        taps: where the window is not 0.
    """

    size: int
    hop: int
    window: Tensor
    taps: Ints

    @classmethod
    def of(cls, call: Call, real: torch.dtype) -> _Frames:
        """The frames that a call asks for; a shorter window stands in the middle."""
        size: int = call.args["n_fft"]
        hop = call.args["hop_length"] or size // 4
        length = call.args["win_length"] or size
        given = call.args["window"]
        inner = given.known() if isinstance(given, Operand) else torch.ones(length, dtype=real)
        left = (size - length) // 2
        window = F.pad(inner, [left, size - length - left])
        # The ends of a window are 0 but for rounding.
        tiny = torch.finfo(window.dtype).eps * window.abs().max()
        taps = torch.nonzero(window.abs() > tiny).reshape(-1).cpu().numpy()
        return cls(size, hop, window, taps)


def _examples(draw: Draw, op: str) -> Example:
    size = draw.randint(3, 8)
    length = draw.some([size, draw.randint(2, size)])
    window = draw.tensor(length)
    hop = draw.randint(1, max(length // 2, 1))
    if op.endswith("istft"):
        center, onesided = draw.some([False, True]), draw.some([False, True])
        if center and length > 3:
            window[0] = 0.0
        elif not center:
            length, window = size, draw.tensor(size)
        shape = (*draw.some([(), (2,)]), size // 2 + 1 if onesided else size, draw.randint(3, 6))
        x = torch.complex(draw.tensor(*shape), draw.tensor(*shape))
        total = size + hop * (shape[-1] - 1)
        samples = draw.some([None, hop * (shape[-1] - 1), total // 2 if center else total + 2])
        settings = (center, draw.some([False, True]), onesided, samples)
        returns = not onesided and draw.some([True, False])
        return Example("default", (x, size, hop, length, window, *settings, returns))
    window[draw.some([0, length - 1])] = 0.0
    x = draw.tensor(*draw.some([(), (2,)]), size + draw.randint(1, 9))
    if draw.random() < 0.2:
        x = torch.complex(x, draw.tensor(*x.shape))
    onesided = draw.some([False, not x.is_complex()])
    returns = draw.random() < 0.8
    if draw.random() < 0.5:
        # For an odd difference PyTorch itself reads beyond what it has padded.
        aligned = (size - length) % 2 == 0 or None
        return Example("default", (x, size, hop, length, window, draw.some([False, True]), onesided,
                                   returns, aligned))  # fmt: skip
    mode = draw.some(["reflect", "constant", "replicate", "circular"])
    return Example("center", (x, size, hop, length, window, draw.some([True, False]), mode,
                              draw.some([False, True]), onesided, returns, None))  # fmt: skip


@rule("aten.stft", examples=_examples)
def stft(call: Call) -> Description:
    """Frame f reads the signal from `f * hop_length` on, where the window is not 0.

    Every frequency reads the whole frame. With `center` the signal is padded by half a frame.
    """
    x = call.operand("self")
    frames = _Frames.of(call, call.dtype.to_real())
    pairs = not call.dtype.is_complex
    centred = bool(call.args.get("center", False))
    aligned = bool(call.args.get("align_to_window"))
    batch = len(x.shape) - 1
    length = x.shape[-1]
    if centred:
        left = right = frames.size // 2
    else:
        win_length = call.args["win_length"] or frames.size
        left = (frames.size - win_length) // 2 if aligned else 0
        right = frames.size - win_length - left if aligned else 0
    mode: PadMode = call.args["pad_mode"] if centred else "constant"
    source = padded(length, left, right, mode)
    count = call.shape[batch + 1]
    relation = compose(
        Relation(count, source.outputs, frames.hop, Taps.single(frames.taps)), source
    )
    # At some frequencies the real or the imaginary part of a weight is 0.
    status: Status = "bound" if pairs and not x.dtype.is_complex else "exact"
    identity = identity_links(x, x.shape)
    links = (*identity[:batch], None, Link(batch, relation, status), *[None] * pairs)
    onesided = call.shape[batch] < frames.size

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args["self"]
        first, stop = box[batch + 1]
        at = np.arange(first * frames.hop, (stop - 1) * frames.hop + frames.size, dtype=np.int64)
        signal = _picked(region, source, at)
        out = torch.stft(
            signal, frames.size, frames.hop, frames.size, frames.window.to(signal.device),
            center=False, normalized=call.args["normalized"], onesided=onesided,
            return_complex=True,
        )  # fmt: skip
        out = out.narrow(batch, box[batch][0], box[batch][1] - box[batch][0])
        return torch.view_as_real(out)[..., slice(*box[-1])] if pairs else out

    windows = {}
    if mode == "constant" and len(frames.taps) == frames.taps[-1] - frames.taps[0] + 1:
        begin = int(frames.taps[0])
        windows[batch + 1] = Window(len(frames.taps), frames.hop, 1, left - begin)
    return Local((Read(x, links),), run, border=0.0, windows=windows)


def _picked(region: Region, source: Relation, at: Ints) -> Tensor:
    """The values of a padded signal at these positions; 0 where they do not matter."""
    place, inputs, _ = source.reads(at)
    lo, hi = region.box[-1]
    held = (inputs >= lo) & (inputs < hi)
    out = region.tensor.new_zeros(*region.tensor.shape[:-1], len(at))
    out[..., torch.from_numpy(place[held])] = region.tensor[
        ..., torch.from_numpy(inputs[held] - lo)
    ]
    return out


@rule("aten.istft", examples=_examples)
def istft(call: Call) -> Description:
    """Sample t is put together from every frame that covers it where the window is not 0.

    The sum is divided by that of the squared windows, whatever the frames hold.
    """
    x = call.operand("self")
    batch = len(x.shape) - 2
    frames = _Frames.of(call, x.dtype.to_real())
    bins, count = x.shape[batch:]
    start = frames.size // 2 if call.args["center"] else 0
    length = call.shape[-1]
    rows = [
        [(phase + start - int(a)) // frames.hop for a in frames.taps
         if (phase + start - int(a)) % frames.hop == 0]
        for phase in range(frames.hop)
    ]  # fmt: skip
    time = Link(batch + 1, Relation.of(length, count, rows))
    complex_out: bool = call.args["return_complex"]
    read_bins = bins if complex_out else min(bins, frames.size // 2 + 1)
    one = Relation(1, bins, 0, Taps.single(np.arange(read_bins, dtype=np.int64)))
    spectrum = Link(batch, one, "global" if read_bins > 1 else "exact")
    identity = identity_links(x, x.shape)

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args["self"]
        window = frames.window.to(region.tensor.device)
        lo, hi = box[-1][0] + start, box[-1][1] + start
        norm = "ortho" if call.args["normalized"] else "backward"
        back = torch.fft.ifft if complex_out else torch.fft.irfft
        out = torch.zeros(
            (*box_shape(box)[:-1], hi - lo), dtype=call.dtype, device=region.tensor.device
        )
        first, stop = region.box[batch + 1]
        if first < stop:
            parts = back(region.tensor, frames.size, dim=batch, norm=norm) * window[:, None]
            for k in range(stop - first):
                begin = (first + k) * frames.hop
                a, b = max(begin, lo), min(begin + frames.size, hi)
                if a < b:
                    out[..., a - lo : b - lo] += parts[..., a - begin : b - begin, k]
        ones = window.new_ones(1, 1, count)
        envelope = F.conv_transpose1d(ones, (window**2)[None, None], stride=frames.hop)[0, 0]
        # Beyond the last frame there is silence.
        envelope = F.pad(envelope, [0, max(hi - len(envelope), 0)], value=1.0)
        return out / envelope[lo:hi]

    return Local((Read(x, (*identity[:batch], time), (spectrum,)),), run, border=0.0)
