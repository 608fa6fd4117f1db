"""Schedules of dilations that have names, as values that know what they read.

constant(dilation, layers)         one dilation: nets side by side that never mix
exponential(layers, base=2)        1, 2, 4, 8, ...
sawtooth(rates, cycles)            a short one several times
hdc(rates=(1, 2, 5))               hybrid dilated convolution, with what its rule gets wrong
coprime(layers)                    1, 2, 3, 5, 7, ...
base_k(kernel, field=)             powers of the kernel size: every position in exactly one way
fibonacci(layers)                  1, 2, 3, 5, 8, ...
wavenet(cycles), tcn(levels)       the published ones
beat_synchronous(tempo, frame_rate)   a beat per dilation, behind layers that leave no holes
time_covering(seconds, sample_rate)   as many layers as cover a time
aspp(rates)                        branches side by side: no chain
Schedule(kernels, dilations)       any other

`print` draws one. The best for a goal, with proof: `atrous.schedule`.

>>> from atrous import schedules
>>> for one in (schedules.hdc(), schedules.base_k(3, 3), schedules.constant(2, 3)):
...     print(one.name, one.dilations, one.field, len(one.holes), f"{one.uniformity.cv:.2f}")
hdc (1, 2, 5) 17 0 0.31
base_k (1, 3, 9) 27 0 0.00
constant (2, 2, 2) 13 6 1.23
"""

from atrous.design.schedule.chain import Schedule as Schedule
from atrous.design.schedule.families import aspp as aspp
from atrous.design.schedule.families import base_k as base_k
from atrous.design.schedule.families import beat_synchronous as beat_synchronous
from atrous.design.schedule.families import constant as constant
from atrous.design.schedule.families import coprime as coprime
from atrous.design.schedule.families import exponential as exponential
from atrous.design.schedule.families import fibonacci as fibonacci
from atrous.design.schedule.families import hdc as hdc
from atrous.design.schedule.families import sawtooth as sawtooth
from atrous.design.schedule.families import tcn as tcn
from atrous.design.schedule.families import time_covering as time_covering
from atrous.design.schedule.families import wavenet as wavenet
from atrous.design.schedule.pyramid import Pyramid as Pyramid
