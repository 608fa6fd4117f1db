"""Named schedules against published figures and set addition."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import gcd

import pytest
import torch
from torch import nn

import atrous
from atrous import schedules
from atrous.design.schedule.families import FAMILIES
from atrous.report.json.schedule import family_to_dict
from atrous.schedules import Schedule
from exhaustive import path_counts


def field(own: Schedule) -> tuple[int, int]:
    """Field and holes, from the path counts."""
    counts = path_counts(own.layers)
    return len(counts), int((counts == 0).sum())


def test_published_fields() -> None:
    # van den Oord et al. 2016; Bai et al. 2018 (k 8, 8 levels); beat tracking; keyword spotting.
    assert field(schedules.wavenet(cycles=1)) == (1024, 0)
    assert field(schedules.wavenet()) == (3070, 0)
    assert field(schedules.tcn()) == (3571, 0)
    assert field(schedules.beat_synchronous((60, 90, 120, 180))) == (533, 0)
    assert field(schedules.time_covering(2, 16000, kernel=2)) == (32_768, 0)
    assert field(schedules.time_covering(2, 16000, kernel=3)) == (32_767, 0)
    assert [len(schedules.time_covering(2, 16000, kernel=k)) for k in (2, 3)] == [15, 14]


def test_published_variation_of_path_counts() -> None:
    found = [
        schedules.sawtooth(), schedules.exponential(4), schedules.hdc(), schedules.base_k(3, 3)
    ]  # fmt: skip
    assert [round(own.uniformity.cv, 2) for own in found] == [0.77, 0.52, 0.31, 0]


def test_beats_alone_read_43_of_501_offsets() -> None:
    read = {0}
    for beat in (33, 50, 67, 100):
        read = {at + step for at in read for step in (-beat, 0, beat)}
    assert (len(read), max(read) - min(read) + 1) == (43, 501)
    own = schedules.beat_synchronous((60, 90, 120, 180), 100)
    assert own.dilations == (1, 1, 2, 4, 8, 33, 50, 67, 100)
    assert "Those 4 alone read 43 of 501 positions" in own.about


def test_a_beat_is_a_dilation() -> None:
    # 100 frames a second and 60 to 180 beats a minute: 100 to 33 frames a beat.
    own = schedules.beat_synchronous((60, 180), 100, count=3)
    assert own.dilations[-3:] == (33, 58, 100)
    assert own.is_hole_free
    far = schedules.beat_synchronous((1, 180), 100, count=2, kernel=2)
    assert far.is_hole_free
    assert far.dilations[-2:] == (33, 6000)


def test_tempos_whose_beats_are_as_long_count_once() -> None:
    assert schedules.beat_synchronous((60, 60), 100) == schedules.beat_synchronous(60, 100)
    assert schedules.beat_synchronous((120,), 100).dilations[-1] == 50
    # At 2 frames a second 60 to 180 beats a minute are 2 to 1 frames a beat.
    assert schedules.beat_synchronous((60, 180), 2, front=()).dilations == (1, 2)
    # Tempos that are named keep a layer each.
    assert schedules.beat_synchronous((60, 60, 60), 2, front=()).dilations == (2, 2, 2)
    bare = schedules.beat_synchronous((60, 180), 100, front=())
    assert not bare.is_hole_free
    assert "fills" not in bare.about


def test_a_field_too_wide_to_count_is_told_without_counts() -> None:
    wide = schedules.exponential(40, kernel=2)
    assert wide.field == 2**40
    assert len(wide.holes) == 0
    text = " ".join(str(wide).split())
    assert "field 1,099,511,627,776: 549,755,813,887 before" in text
    assert "549,755,813,888 after; no holes too wide to count" in text
    assert "too wide" in wide._repr_html_()
    assert "no holes" in wide.code()
    found = family_to_dict(wide, map_size=100)["schedule"]
    assert (found["hole_free"], found["holes"], found["variation"]) == (True, 0, None)
    # Half of the dilation lies to each side: from 200 on both taps read padding alone.
    assert [own["dead_taps"] for own in found["on_map"]] == [2 * (2**k >= 200) for k in range(40)]
    holey = schedules.constant(2**30)
    assert "it has holes" in str(holey)
    assert family_to_dict(holey)["schedule"]["holes"] is None


def test_a_base_above_the_kernel_spans_a_time_and_reads_a_part_of_it() -> None:
    own = schedules.time_covering(1, 100, kernel=2, base=3)
    assert not own.is_hole_free
    assert own.about.startswith("Spans 1 s at 100 Hz: 100 positions, but not all are read")
    assert schedules.time_covering(1, 100, kernel=3, base=3).about.startswith("Covers 1 s")


@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
def test_base_k_reads_each_position_once(kernel: int) -> None:
    own = schedules.base_k(kernel, 3)
    assert set(path_counts(own.layers).tolist()) == {1}
    for wanted in range(kernel, 150):
        cut = schedules.base_k(kernel, field=wanted)
        found, holes = field(cut)
        assert holes == 0
        assert wanted <= found < wanted + kernel - 1


def test_coprime_and_fibonacci() -> None:
    rates = schedules.coprime(9).dilations
    assert all(gcd(a, b) == 1 for k, a in enumerate(rates) for b in rates[:k])
    assert schedules.fibonacci(8).dilations == (1, 2, 3, 5, 8, 13, 21, 34)
    assert schedules.fibonacci(1).dilations == (1,)
    for own in (schedules.coprime(9), schedules.fibonacci(8)):
        assert field(own)[1] == 0


def test_one_dilation_is_nets_side_by_side() -> None:
    own = schedules.constant(8, 4)
    # n layers of k 3 at dilation d: n (k - 1) + 1 positions of n (k - 1) d + 1.
    assert own.density == pytest.approx(9 / 65)
    assert own.gcd == 8


def test_aspp_reads_25_of_37_squared() -> None:
    own = schedules.aspp()
    offsets = {(0, 0)}
    for rate in (6, 12, 18):
        offsets |= {(rate * a, rate * b) for a, b in product((-1, 0, 1), repeat=2)}
    assert set(own.taps) == offsets
    assert (own.read, own.field, own.read / 37**2) == (25, 37, own.density)
    assert schedules.aspp(dims=1).read == 7
    # A backbone of 6 positions fills what lies between multiples of 6.
    assert own.backbone() == 6
    assert int(own.counts.sum()) == 3 * 9 + 1


class Branches(nn.Module):
    """Branches of one kernel, added up."""

    def __init__(self, own: schedules.Pyramid) -> None:
        super().__init__()
        rates = [(own.kernel, rate) for rate in own.rates] + [(1, 1)] * own.pointwise
        self.rates = nn.ModuleList(
            nn.Conv2d(1, 1, k, padding=(k - 1) * d // 2, dilation=d, bias=False) for k, d in rates
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return sum(layer(x) for layer in self.rates)  # type: ignore[return-value]


@pytest.mark.parametrize("own", [schedules.aspp(), schedules.aspp((1, 3, 6), 5, pointwise=False)])
def test_a_pyramid_reads_what_its_module_reads(own: schedules.Pyramid) -> None:
    cover = atrous.coverage(Branches(own), (1, 1, 81, 81))
    assert cover.counts.tolist() == own.counts.tolist()
    assert cover.start[0] == 40 + own.start


def test_schedules_know_their_true_properties() -> None:
    errs = schedules.hdc((2, 2, 5, 9))
    assert errs.hdc is True
    assert len(errs.holes) == 4
    other = schedules.hdc((1, 5, 2))
    assert other.hdc is False
    assert len(other.holes) == 0
    assert Schedule((3,), (5,)).hdc is None
    assert Schedule((3, 5), (1, 2)).hdc is None
    # sqrt((k^2 - 1) / 12 * sum of d^2)
    assert schedules.exponential(5).spread == pytest.approx((8 / 12 * 341) ** 0.5)
    assert schedules.exponential(5).macs(16, 2) == 5 * 9 * 256
    # Layers before a stride of 2 run four times per output in two dimensions.
    assert Schedule((3, 3), (1, 1), (2, 1)).macs(1, 2) == 9 + 9
    assert Schedule((3, 3), (1, 1), (1, 2)).macs(1, 2) == 4 * 9 + 9


def test_reads_on_padding_are_counted_one_by_one() -> None:
    for own in (
        Schedule((3, 3), (18, 6)), Schedule((4, 3, 2), (3, 5, 2), (2, 1, 1)),
        Schedule((2, 3), (8, 4), causal=True), Schedule((5,), (4,), (3,)),
    ):  # fmt: skip
        length = 14
        for k, seen in enumerate(own.on_map(length)):
            outputs = range(0, length, own.strides[k])
            before = own.padding[k][0]
            reads = [
                [0 <= at + tap * own.dilations[k] - before < length for at in outputs]
                for tap in range(own.kernels[k])
            ]
            assert seen.length == length
            outside = sum(not inside for row in reads for inside in row)
            assert seen.share == Fraction(outside, own.kernels[k] * len(outputs))
            assert seen.dead == sum(not any(row) for row in reads)
            length = len(outputs)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_draws_itself(name: str) -> None:
    own = FAMILIES[name]()
    text = str(own)
    assert text.startswith(f"{name}: ")
    assert own.about.split()[0] in text
    assert "the output's own position" in text
    assert own == FAMILIES[name]()


def test_arguments_are_checked() -> None:
    for make, text in [
        (lambda: Schedule((3,), (1, 2)), "kernels, dilations and strides must be as many"),
        (lambda: Schedule((), ()), "kernels, dilations and strides must be as many"),
        (lambda: Schedule((3,), (0,)), "each of dilations must be a whole number of at least 1"),
        (lambda: Schedule((3,), (1,)).on_map(0), "length must be at least 1"),
        (lambda: schedules.constant(layers=0), "layers must be a whole number of at least 1"),
        (lambda: schedules.base_k(3, 2, 9), "layers and field must not both be given"),
        (lambda: schedules.base_k(1), "kernel must be a whole number of at least 2"),
        (lambda: schedules.beat_synchronous((0, 9)), "tempo must be the slowest and the fastest"),
        (lambda: schedules.beat_synchronous(frame_rate=0), "frame_rate must be above 0"),
        (lambda: schedules.beat_synchronous("60"), "tempo must be the slowest and the fastest"),
        (lambda: schedules.beat_synchronous(()), "tempo must be the slowest and the fastest"),
        (lambda: schedules.time_covering(0), "seconds must be a number above 0, got 0"),
        (lambda: schedules.time_covering("2"), "seconds must be a number above 0, got '2'"),
        (lambda: schedules.time_covering(sample_rate=float("inf")), "sample_rate must be a number"),
        (lambda: schedules.base_k(3, field=(3, 9)), "field must be a whole number of at least 1"),
        (lambda: schedules.constant(0), "dilation must be a whole number of at least 1, got 0"),
        (lambda: schedules.sawtooth(5), "rates must be dilations as"),
        (lambda: schedules.hdc((1, 2.5)), "each of rates must be a whole number"),
        (lambda: schedules.exponential(40).counts, "field must be at most 16,777,216 to count"),
        (lambda: schedules.time_covering(base=1), "base must be a whole number of at least 2"),
        (lambda: schedules.aspp(()), "rates must hold at least one, got none"),
        (lambda: schedules.aspp(dims=4), "dims must be 1, 2 or 3"),
    ]:
        with pytest.raises(ValueError, match=text):
            make()
