"""Recurrent networks over whole sequences: LSTM, GRU and the plain ones.

A direction reads what came before; two directions of one layer keep to their own half of the
features; a second layer on top of two directions reads everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from atrous.geometry.primitives import one_sided
from atrous.geometry.relation import Relation
from atrous.graph.example import Draw, Example
from atrous.graph.factors import Factors
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Operand,
    Read,
    Run,
    Segment,
    call_overload,
    rule,
    unlinked_read,
    whole,
)

_GATES = {"aten.lstm": 4, "aten.gru": 3, "aten.rnn_tanh": 1, "aten.rnn_relu": 1}


def _examples(draw: Draw, op: str) -> Example:
    steps, batch, inputs, hidden = (draw.randint(1, most) for most in (3, 2, 2, 3))
    layers, directions, batch_first = draw.randint(1, 2), draw.randint(1, 2), draw.some([0, 1])
    projected = op == "aten.lstm" and hidden > 1 and draw.random() < 0.5
    out = hidden - 1 if projected else hidden
    biased = draw.some([False, True])
    params = []
    for layer in range(layers):
        for _ in range(directions):
            rows = _GATES[op] * hidden
            shapes: list[tuple[int, ...]] = [(rows, directions * out if layer else inputs)]
            shapes += [(rows, out), *[(rows,), (rows,)] * biased, *[(out, hidden)] * projected]
            # Small, so that nothing saturates.
            params += [draw.tensor(*shape) * 0.2 for shape in shapes]
    x = draw.tensor(*((batch, steps) if batch_first else (steps, batch)), inputs)
    states = [draw.tensor(layers * directions, batch, out)]
    if op == "aten.lstm":
        states.append(draw.tensor(layers * directions, batch, hidden))
    hx = states if op == "aten.lstm" else states[0]
    settings = (biased, layers, 0.0, False, directions == 2, bool(batch_first))
    return Example("input", (x, hx, params, *settings), (0, 1))


@dataclass(frozen=True)
class _Net:
    """A recurrent network and the axes of its sequences."""

    call: Call

    @property
    def x(self) -> Operand:
        return self.call.operand("input")

    @property
    def states(self) -> tuple[Operand, ...]:
        """The state that is put out, and an LSTM's cell."""
        hx = self.call.args["hx"]
        return tuple(hx) if isinstance(hx, list | tuple) else (hx,)

    @property
    def time(self) -> int:
        return 1 if self.call.args["batch_first"] else 0

    @property
    def batch(self) -> int:
        return 1 - self.time

    @property
    def steps(self) -> int:
        return self.x.shape[self.time]

    @property
    def layers(self) -> int:
        layers: int = self.call.args["num_layers"]
        return layers

    @property
    def directions(self) -> int:
        return 2 if self.call.args["bidirectional"] else 1

    @property
    def out(self) -> int:
        """Features per direction."""
        return self.states[0].shape[2]

    @property
    def hidden(self) -> int:
        """Size of the cell; more than `out` where it is projected."""
        return self.states[-1].shape[2]

    def along_batch(self) -> Relation:
        return Relation.identity(self.x.shape[self.batch])

    def rows(self, reads: Iterable[Iterable[int]]) -> Relation:
        """Which rows of a state (layers times directions) each output row reads."""
        rows = [list(row) for row in reads]
        return Relation.of(len(rows), self.layers * self.directions, rows, step=0)

    @property
    def macs(self) -> int:
        gates, total = _GATES[self.call.op], 0
        for layer in range(self.layers):
            inputs = self.directions * self.out if layer else self.x.shape[2]
            total += gates * self.hidden * (inputs + self.out)
            total += self.hidden * self.out if self.out != self.hidden else 0
        return total * self.directions * self.steps * self.x.shape[self.batch]


@rule(*_GATES, examples=_examples)
def recurrent(call: Call) -> Description:
    """The outputs at every step, and the final states."""
    if "batch_sizes" in call.args:
        raise NotImplementedError("packed sequences; pass the padded sequence")
    if call.args["train"] and call.args["dropout"] and call.args["num_layers"] > 1:
        raise NotImplementedError("dropout between layers; call eval() on it")
    net = _Net(call)
    reads = _sequence_reads(net) if call.output == 0 else _final_reads(net)
    # Weights are constants; where a network computes them, every output depends on all of them.
    weights = [o for o in call.args["params"] if not o.is_constant]
    reads += [unlinked_read(o, len(call.shape), "global") for o in weights]
    return Global(tuple(reads), _run(net), net.macs, along=(net.time,))


def _sequence_reads(net: _Net) -> list[Read]:
    reads = []
    for relation, segment in _along_time(net):
        links: list[Link | None] = [None] * 3
        links[net.time] = Link(net.time, relation, "global" if net.steps > 1 else "exact")
        links[net.batch] = Link(net.batch, net.along_batch())
        links[2] = whole(2, net.call.shape[2], net.x.shape[2])
        reads.append(Read(net.x, tuple(links), segment=segment))
    # The initial states: features are told as (direction, feature).
    below, top = range(net.directions * (net.layers - 1)), range(net.directions)
    own = [[len(below) + d] for d in top]
    output, *cell = net.states
    reads.append(_state_read(net, output, net.rows([*below, *row] for row in own)))
    for operand in cell:
        if net.out != net.hidden:
            reads.append(_state_read(net, operand, net.rows([*below, *row] for row in own)))
            continue
        # The first step mixes no features of its own layer's cell, every later one does.
        reads.append(_state_read(net, operand, net.rows(own), mixed=False))
        if below:
            reads.append(_state_read(net, operand, net.rows([below] * net.directions)))
        if net.steps > 1:
            for d in top:
                first = 0 if d == 0 else net.steps - 1
                later = Segment(net.time, np.arange(net.steps) != first)
                rows = net.rows(own[e] if e == d else [] for e in top)
                reads.append(_state_read(net, operand, rows, segment=later))
    return reads


def _along_time(net: _Net) -> list[tuple[Relation, Segment | None]]:
    steps = net.steps
    if net.directions == 1:
        return [(one_sided(steps), None)]
    if net.layers > 1:
        return [(Relation.whole(steps, steps), None)]
    forward = np.arange(2 * net.out) < net.out
    return [
        (one_sided(steps), Segment(2, forward)),
        (one_sided(steps, ahead=True), Segment(2, ~forward)),
    ]


def _state_read(
    net: _Net,
    operand: Operand,
    rows: Relation,
    *,
    mixed: bool = True,
    segment: Segment | None = None,
) -> Read:
    """How the sequence reads a state: all features, or each its own unless `mixed`."""
    links: list[Link | None] = [None] * 4
    links[net.batch] = Link(1, net.along_batch())
    links[2] = Link(0, rows)
    if not mixed:
        links[3] = Link(2, Relation.identity(net.hidden))
    batch = net.x.shape[net.batch]
    features = (net.directions, net.out)
    merge: Factors = ((net.steps,), (batch,), features)
    if net.time == 1:
        merge = ((batch,), (net.steps,), features)
    return Read(operand, tuple(links), segment=segment, merge=merge)


def _final_reads(net: _Net) -> list[Read]:
    batch = Link(net.batch, net.along_batch())
    reads = [Read(net.x, (None, batch, whole(2, net.call.shape[2], net.x.shape[2])))]
    count = net.layers * net.directions
    below = [range(row - row % net.directions) for row in range(count)]
    rows = net.rows([*below[row], row] for row in range(count))
    along = Link(1, net.along_batch())
    output, *cell = net.states
    reads.append(Read(output, (Link(0, rows), along, None)))
    for operand in cell:
        projected = net.call.output == 1 and net.out != net.hidden
        if net.steps > 1 or projected:
            reads.append(Read(operand, (Link(0, rows), along, None)))
            continue
        # A single step mixes no features of its own layer's cell.
        identity = Link(0, Relation.identity(count)), along, Link(2, Relation.identity(net.hidden))
        reads.append(Read(operand, identity))
        if net.layers > 1:
            reads.append(Read(operand, (Link(0, net.rows(below)), along, None)))
    return reads


def _run(net: _Net) -> Run:
    call = net.call

    def run(args: Arguments, box: Box) -> Tensor:
        axis = net.batch if call.output == 0 else 1
        sides = [(0, 0), (0, 0), (0, net.x.shape[2])]
        sides[net.batch] = box[axis]
        ahead = call.output > 0 or net.directions == 2
        sides[net.time] = (0, net.steps if ahead else box[net.time][1])

        def state(region: Region) -> Tensor:
            # What no output of the box reads may hold anything.
            whole = ((0, region.shape[0]), box[axis], (0, region.shape[2]))
            return region.padded_to(whole, 0.0)

        hx = args["hx"]
        states = [state(r) for r in hx] if isinstance(hx, list | tuple) else state(hx)
        x = args["input"].crop(tuple(sides)).tensor
        results = call_overload(call.target, {**args, "input": x, "hx": states})
        out: Tensor = results[call.output]
        for k, (lo, hi) in enumerate(box):
            if k != axis:
                out = out.narrow(k, lo, hi - lo)
        return out

    return run
