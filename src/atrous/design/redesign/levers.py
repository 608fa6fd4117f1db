"""Which settings carry a layer's dilation and the padding that goes with it.

Padding lives in the layer, in a module before it, in a number that a `forward` pads or cuts by, or
is worked out there: what has to change is found by trying, and looking at what is read then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from typing import Any

from torch import nn

from atrous.design.redesign.edits import Edit, Slot, is_number, padding_of_modes, slots_of
from atrous.design.redesign.layers import Layer, Wanted

Layers = tuple[Layer, ...]
"""Layers that change together, mostly one alone."""

_OF_MODES = "_reversed_padding_repeated_twice"
_MOST_TRIALS = 40


@dataclass(frozen=True)
class Recipe:
    """Which settings change with a layer's, by their places relative to it.

    Attributes:
        padded: whether the layers' own padding does.
        beside: the others: how many levels up from the layer, the path from there, the attribute;
            and whether it holds an entry for every layer.
    """

    padded: bool
    beside: tuple[tuple[int, str, str], ...]


@dataclass
class Levers:
    """Finds the settings of one layer after another, and remembers what worked for their kind.

    Attributes:
        model: the model.
        works: whether a model changed so does what was planned for a layer.
        trials: how many changed models were looked at.
        around: by layer, the modules in which what is padded or cut next to it happens.
        known: what worked, by kind of layer.
        results: which changes worked.
    """

    model: nn.Module
    works: Callable[[Layers, Wanted, Sequence[Edit]], bool]
    around: Callable[[Layers], Sequence[str]]
    trials: int = 0
    known: dict[tuple[object, ...], Recipe] = field(default_factory=dict)
    results: dict[frozenset[Edit], bool] = field(default_factory=dict)

    def edits(self, layers: Layers, wanted: Wanted, *, most: int = 3) -> tuple[Edit, ...] | None:
        """The changes that give layers other dilations; None if none are found.

        Args:
            layers: which, all to have the same dilations.
            wanted: which.
            most: how many settings beside those of the layers to change at most.
        """
        kind = tuple(self._kind(layer) for layer in layers)
        recipe = self.known.get(kind)
        if recipe is not None:
            found = self._by(recipe, layers, wanted)
            # Settings beside a layer can have a like nearer than the one that is its own.
            if found is not None and (not recipe.beside or self._tries(layers, wanted, found)):
                return found
        tried = 0
        for recipe, edits in self._options(layers, wanted, most):
            if frozenset(edits) not in self.results:
                if tried == _MOST_TRIALS:
                    break
                tried += 1
            if self._tries(layers, wanted, edits):
                self.known[kind] = recipe
                return edits
        return None

    def _tries(self, layers: Layers, wanted: Wanted, edits: tuple[Edit, ...]) -> bool:
        """Whether changes work, each looked at once."""
        key = frozenset(edits)
        if key not in self.results:
            self.trials += 1
            self.results[key] = self.works(layers, wanted, edits)
        return self.results[key]

    def _kind(self, layer: Layer) -> tuple[object, ...]:
        """What layers have in common that are changed alike: the classes around them."""
        parts = layer.path.split(".") if layer.path else []
        around = [self.model.get_submodule(".".join(parts[:k])) for k in range(len(parts) + 1)]
        names = tuple(part for part in parts if not part.isdigit())
        anchors = tuple(
            None if a is None else a / max(layer.windows[axis].kernel_size - 1, 1)
            for axis, a in sorted(layer.anchors.items())
        )
        return (tuple(map(type, around)), names, anchors, layer.is_module)

    def _options(
        self, layers: Layers, wanted: Wanted, most: int
    ) -> Iterator[tuple[Recipe, tuple[Edit, ...]]]:
        beside = list(self._beside(layers, wanted))
        bases = self._bases(layers, wanted)
        for count in range(most + 1):
            for own, edits in bases:
                for some in combinations(beside, count):
                    places = tuple(place for place, _ in some)
                    more = tuple(edit for _, group in some for edit in group)
                    yield Recipe(own, places), (*edits, *more)

    def _bases(self, layers: Layers, wanted: Wanted) -> list[tuple[bool, tuple[Edit, ...]]]:
        """Changes of the layers themselves, with their own padding and without."""
        own = [self._own(layer, wanted) for layer in layers]
        plain = tuple(edit for edits, _ in own for edit in edits)
        padded = tuple(edit for edits, more in own for edit in (*edits, *more))
        return [(True, padded), (False, plain)] if padded != plain else [(False, plain)]

    def _own(self, layer: Layer, wanted: Wanted) -> tuple[tuple[Edit, ...], tuple[Edit, ...]]:
        """The changes of a layer's dilation, and of its padding."""
        if not layer.is_module:
            return (), ()
        module: Any = self.model.get_submodule(layer.path)
        axes = sorted(layer.windows)
        dilation = _per_axis(module.dilation, len(axes))
        new = tuple(wanted.get(a, d) for a, d in zip(axes, dilation, strict=True))
        first = _edit(layer, module, "dilation", _alike(module.dilation, new))
        padding = () if isinstance(module.padding, str) else _per_axis(module.padding, len(axes))
        after = _paddings(layer, axes, padding, wanted)
        more = (
            []
            if after is None
            else [_edit(layer, module, "padding", _alike(module.padding, after))]
        )
        if getattr(module, "padding_mode", "zeros") != "zeros":
            # What padding modes other than zeros read is worked out once, when a module is made.
            padded = module.padding if after is None else after
            told = padding_of_modes(padded, module.kernel_size, new)
            more.append(_edit(layer, module, _OF_MODES, told))
        return (first,), tuple(more)

    def _beside(
        self, layers: Layers, wanted: Wanted
    ) -> Iterator[tuple[tuple[int, str, str], tuple[Edit, ...]]]:
        """Settings around layers that their dilation divides, the nearest first."""
        own = {layer.path for layer in layers if layer.is_module}
        first = layers[0]
        for path in self.around(layers):
            groups: dict[str, list[Edit]] = {}
            for slot, value in slots_of(self.model.get_submodule(path), path):
                if path in own and slot.name in ("dilation", "padding"):
                    continue
                after = _scaled(layers, wanted, value)
                if after is not None and after != value:
                    groups.setdefault(slot.name, []).append(Edit(slot, value, after))
            for name, edits in groups.items():
                up = _levels(path, first.path)
                if edits[0].slot.key is None:
                    yield (*up, name), tuple(edits)
                    continue
                # One entry for every layer: the one with the layer's number, if it has one.
                numbers = [int(p) for p in first.path.split(".") if p.isdigit()]
                for edit in sorted(edits, key=lambda e: e.slot.key not in numbers):
                    yield (*up, name), (edit,)

    def _by(self, recipe: Recipe, layers: Layers, wanted: Wanted) -> tuple[Edit, ...] | None:
        """The changes of a known kind; None where the settings are not what they were there."""
        base = dict(self._bases(layers, wanted)).get(recipe.padded)
        if base is None:
            return None
        found = list(base)
        own: dict[tuple[int, str, str], tuple[Edit, ...]] = {}
        if recipe.beside:
            for place, edits in self._beside(layers, wanted):
                own.setdefault(place, edits)
        for place in recipe.beside:
            if place not in own or own[place][0].slot.key is not None:
                return None
            found += own[place]
        return tuple(found)


def _levels(path: str, layer: str) -> tuple[int, str]:
    """How many levels up from a layer, and the path from there."""
    theirs, own = path.split(".") if path else [], layer.split(".") if layer else []
    common = 0
    while common < min(len(theirs), len(own)) and theirs[common] == own[common]:
        common += 1
    rest = [part if not part.isdigit() else "#" for part in theirs[common:]]
    return len(own) - common, ".".join(rest)


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def _alike(before: Any, after: tuple[int, ...]) -> Any:
    """New numbers in the form the old ones had, one for all where they agree."""
    if isinstance(before, int) and len(set(after)) == 1:
        return after[0]
    return after


def _edit(layer: Layer, module: Any, name: str, after: Any) -> Edit:
    return Edit(Slot(layer.path, name), _frozen(getattr(module, name)), _frozen(after))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _paddings(
    layer: Layer, axes: Sequence[int], padding: Sequence[int], wanted: Wanted
) -> tuple[int, ...] | None:
    """A layer's own padding with other dilations; None where it has none, or none that fits."""
    if not any(padding):
        return None
    moved = [_padding(layer, a, p, wanted.get(a)) for a, p in zip(axes, padding, strict=True)]
    found = tuple(p for p in moved if p is not None and p >= 0)
    return found if len(found) == len(moved) else None


def _padding(layer: Layer, axis: int, padding: int, dilation: int | None) -> int | None:
    """A layer's own padding with another dilation: in proportion, or as its span changes."""
    window = layer.windows[axis]
    if dilation is None or dilation == window.dilation or not padding:
        return padding
    scaled = Fraction(padding * dilation, window.dilation)
    if scaled.denominator == 1:
        return int(scaled)
    more = (window.kernel_size - 1) * (dilation - window.dilation)
    return None if more % 2 else padding + more // 2


def _scaled(layers: Layers, wanted: Wanted, value: Any) -> Any:
    """A number, or several, in proportion to the dilation; None where they are none of it."""
    windows = layers[0].windows
    axes = sorted(windows)
    if is_number(value):
        found = {_one(layers, axis, wanted, value) for axis in axes if axis in wanted}
        together = len(found) == 1 and all(
            axis in wanted or windows[axis].span == 1 for axis in axes
        )
        return found.pop() if together else None
    if len(value) == len(axes):
        numbers = [_one(layers, a, wanted, v) for a, v in zip(axes, value, strict=True)]
    elif len(value) == 2 * len(axes):
        # As F.pad has them: from the last axis on, before and behind.
        pairs = [(a, side) for a in reversed(axes) for side in range(2)]
        numbers = [_one(layers, a, wanted, v) for (a, _), v in zip(pairs, value, strict=True)]
    else:
        return None
    return None if any(n is None for n in numbers) else tuple(numbers)


def _one(layers: Layers, axis: int, wanted: Wanted, value: int) -> int | None:
    dilation = layers[0].windows[axis].dilation
    new = wanted.get(axis, dilation)
    if value == 0 or new == dilation:
        return value
    taps, rest = divmod(2 * abs(value), dilation)
    if rest or taps > 2 * sum(layer.windows[axis].kernel_size - 1 for layer in layers):
        return None
    after, rest = divmod(value * new, dilation)
    return None if rest else after
