"""Inner loops written as vector instructions.

Compilers keep to vectors of half the width that the processor has, and end every loop number by
number. These are told in vectors of 64 bytes, which LLVM splits where the processor has shorter
ones. They read and write in whole vectors: **up to a vector beyond the end**, so buffers have room
for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_BYTES = 64
_LONG = ir.IntType(64)
ROOM = _BYTES // 4
"""Numbers that may be touched beyond the end."""


class _Vectors:
    """Vectors of the elements of an array, as instructions."""

    def __init__(self, context: Any, builder: Any, element: Any) -> None:
        self.context, self.builder = context, builder
        self.element = context.get_data_type(element)
        self.bytes = context.get_abi_sizeof(self.element)
        self.lanes = _BYTES // self.bytes
        self.kind = ir.VectorType(self.element, self.lanes)

    def arrays(self, arrays: Any, kinds: Any) -> list[Any]:
        """The addresses of arrays' numbers."""
        made = (self.context.make_array(kind) for kind in kinds)
        return [
            one(self.context, self.builder, array).data
            for one, array in zip(made, arrays, strict=True)
        ]

    def accumulate(self, total: Any, a: Any, b: Any) -> None:
        """Add a product to a vector that is kept at an address."""
        self.builder.store(self.multiply_add(a, b, self.builder.load(total)), total)

    def at(self, pointer: Any, index: Any) -> Any:
        """The address of a number."""
        return self.builder.gep(pointer, [index])

    def load(self, pointer: Any, index: Any) -> Any:
        """The vector that begins at a number."""
        address = self.builder.bitcast(self.at(pointer, index), self.kind.as_pointer())
        return self.builder.load(address, align=self.bytes)

    def store(self, value: Any, pointer: Any, index: Any) -> None:
        """Write a vector so that it begins at a number."""
        address = self.builder.bitcast(self.at(pointer, index), self.kind.as_pointer())
        self.builder.store(value, address, align=self.bytes)

    def added(self, vector: Any) -> Any:
        """The sum of a vector's numbers."""
        kind = ir.FunctionType(self.element, [self.element, self.kind])
        name = f"llvm.vector.reduce.fadd.v{self.lanes}f{self.bytes * 8}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        zero = ir.Constant(self.element, 0.0)
        return self.builder.call(function, [zero, vector], fastmath=["reassoc"])

    def splat(self, number: Any) -> Any:
        """A vector of equal numbers."""
        single = self.builder.insert_element(
            ir.Constant(self.kind, ir.Undefined), number, ir.Constant(ir.IntType(32), 0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(single, ir.Constant(self.kind, ir.Undefined), zeros)

    def below(self, count: Any) -> Any:
        """Which places of a vector come before a number of them."""
        kind = ir.VectorType(ir.IntType(32), self.lanes)
        places = ir.Constant(kind, list(range(self.lanes)))
        few = self.builder.icmp_signed("<", count, _whole(self.lanes))
        short = self.builder.select(few, count, _whole(self.lanes))
        single = self.builder.insert_element(
            ir.Constant(kind, ir.Undefined),
            self.builder.trunc(short, ir.IntType(32)),
            ir.Constant(ir.IntType(32), 0),
        )
        zeros = ir.Constant(kind, [0] * self.lanes)
        bound = self.builder.shuffle_vector(single, ir.Constant(kind, ir.Undefined), zeros)
        return self.builder.icmp_signed("<", places, bound)

    def multiply_add(self, a: Any, b: Any, total: Any) -> Any:
        """`a * b + total`, in one instruction where there is one."""
        kind = ir.FunctionType(self.kind, [self.kind] * 3)
        name = f"llvm.fmuladd.v{self.lanes}f{self.bytes * 8}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [a, b, total])


TALL = (7, 5, 3, 2, 1)
"""Rows of taps that are added at once; others are added in pieces."""
SIDE_BY_SIDE = (4, 2, 1)
"""Rows of results that are computed at once: what they read in common is loaded once."""


@intrinsic
def add_rows(
    context: Any, out: Any, flat: Any, weights: Any, at_weights: Any, columns: Any, at: Any,
    down: Any, across: Any, apart: Any, n: Any, begin: Any, first: Any, taps: Any, rows: Any,
) -> Any:  # fmt: skip
    """Sums of shifted copies, several rows at once.

    `out[r * apart + t] += sum over i, j of weights[at_weights + i * columns + j]
    * flat[at + (i + r) * down + j * across + t]`, for t below n, r below `rows`, i below `taps`,
    j below `columns`; if `first`, it begins with `begin` in place of what is in `out`.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = _Vectors(context, builder, out.dtype)
        to, source, factors = v.arrays(arguments[:3], signature.args[:3])
        at_weights, columns, at, down, across, apart, n, begin, first, taps, rows = arguments[3:]
        start, is_first = v.splat(begin), builder.icmp_signed("!=", first, _whole(0))

        def block(taps: int, rows: int, t: Any, wide: int) -> None:
            places = [
                builder.add(builder.mul(apart, _whole(r)), builder.add(t, _whole(u * v.lanes)))
                for r in range(rows)
                for u in range(wide)
            ]
            sums = [cgutils.alloca_once(builder, v.kind) for _ in places]
            with builder.if_else(is_first) as (then, otherwise):
                with then:
                    for total in sums:
                        builder.store(start, total)
                with otherwise:
                    for total, place in zip(sums, places, strict=True):
                        builder.store(v.load(to, place), total)
            with cgutils.for_range(builder, columns, intp=_LONG) as column:
                low = builder.add(builder.add(at, t), builder.mul(column.index, across))
                tap = builder.add(at_weights, column.index)
                held = []
                for i in range(taps):
                    number = builder.add(tap, builder.mul(columns, _whole(i)))
                    held.append(v.splat(builder.load(v.at(factors, number))))
                for i in range(taps + rows - 1):
                    row = builder.add(low, builder.mul(down, _whole(i)))
                    for u in range(wide):
                        read = v.load(source, builder.add(row, _whole(u * v.lanes)))
                        for r in range(max(0, i - taps + 1), min(rows, i + 1)):
                            v.accumulate(sums[r * wide + u], read, held[i - r])
            for total, place in zip(sums, places, strict=True):
                v.store(builder.load(total), to, place)

        for tall, many in _cases(builder, taps, rows):
            wide = 2 if many > 1 else 4
            most = _whole(wide * v.lanes)
            whole = builder.mul(builder.sdiv(n, most), most)
            with _steps(builder, _whole(0), whole, most) as (t, _):
                block(tall, many, t, wide)
            with _steps(builder, whole, n, _whole(v.lanes)) as (t, _):
                block(tall, many, t, 1)
        return context.get_dummy_value()

    whole = types.int64
    kinds = (out, flat, weights, *[whole] * 7, out.dtype, *[whole] * 3)
    return types.none(*kinds), generate


@intrinsic
def add_dots(
    context: Any, sums: Any, given: Any, flat: Any, at_sums: Any, columns: Any, at_given: Any,
    at: Any, down: Any, n: Any, taps: Any, rows: Any,
) -> Any:  # fmt: skip
    """Products of shifted copies, added up, several rows at once.

    `sums[at_sums + i * columns] += sum over r, t of given[at_given + r * down + t]
    * flat[at + (i + r) * down + t]`, for t below n, r below `rows`, i below `taps`.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = _Vectors(context, builder, given.dtype)
        found, one, other = v.arrays(arguments[:3], signature.args[:3])
        at_sums, columns, at_given, at, down, n, taps, rows = arguments[3:]
        nothing = v.splat(ir.Constant(v.element, 0.0))
        for tall, many in _cases(builder, taps, rows):
            totals = [cgutils.alloca_once(builder, v.kind) for _ in range(tall)]
            for total in totals:
                builder.store(nothing, total)
            with _steps(builder, _whole(0), n, _whole(v.lanes)) as (t, _):
                low, high = builder.add(at_given, t), builder.add(at, t)
                left = v.below(builder.sub(n, t))
                held = [
                    builder.select(
                        left, v.load(one, builder.add(low, builder.mul(down, _whole(r)))), nothing
                    )
                    for r in range(many)
                ]
                for i in range(tall + many - 1):
                    read = v.load(other, builder.add(high, builder.mul(down, _whole(i))))
                    for r in range(max(0, i - tall + 1), min(many, i + 1)):
                        v.accumulate(totals[i - r], read, held[r])
            for i, total in enumerate(totals):
                place = v.at(found, builder.add(at_sums, builder.mul(columns, _whole(i))))
                whole = v.added(builder.load(total))
                if v.bytes < 8:
                    whole = builder.fpext(whole, ir.DoubleType())
                builder.store(builder.fadd(builder.load(place), whole), place)
        return context.get_dummy_value()

    return types.none(sums, given, flat, *[types.int64] * 8), generate


def _cases(builder: Any, taps: Any, rows: Any) -> Iterator[tuple[int, int]]:
    """All sizes that there are loops for, each inside its condition."""
    for tall in TALL:
        for many in SIDE_BY_SIDE:
            same = builder.and_(
                builder.icmp_signed("==", taps, _whole(tall)),
                builder.icmp_signed("==", rows, _whole(many)),
            )
            with builder.if_then(same):
                yield tall, many


def _steps(builder: Any, start: Any, stop: Any, step: Any) -> Any:
    return cgutils.for_range_slice(builder, start, stop, step, intp=_LONG)


def _whole(number: int) -> Any:
    return ir.Constant(_LONG, number)
