"""Where a module stands in the source: its class, the statement that makes it, its calls."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType

from torch import nn

from atrous.graph.program import is_torch_file

_CONTAINERS = ("Sequential", "ModuleList", "ModuleDict")


@dataclass(frozen=True)
class Lines:
    """Some lines of a source file.

    Attributes:
        file: its path.
        first: the first line, counted from 1.
        last: the last line.
        apart: first and last lines of what stands between them and is something by itself, as the
            entries of a container.
    """

    file: str
    first: int
    last: int
    apart: tuple[tuple[int, int], ...] = ()

    @property
    def source(self) -> str:
        """`file:line` of the first."""
        return f"{self.file}:{self.first}"

    def holds(self, file: str, line: int) -> bool:
        """Whether a line is among them."""
        mine = file == self.file and self.first <= line <= self.last
        return mine and not any(first <= line <= last for first, last in self.apart)


def text_of(file: str) -> str:
    """A source file's text; "" if it cannot be read."""
    return "".join(linecache.getlines(file))


def class_lines(kind: type) -> Lines | None:
    """The header of a class, from `class` to its bases; None if it is torch's or not found."""
    found = _definition(kind)
    if found is None:
        return None
    file, node = found
    ends = [b.end_lineno or b.lineno for b in (*node.bases, *(k.value for k in node.keywords))]
    return Lines(file, node.lineno, max([node.lineno, *ends]))


def class_span(kind: type) -> Lines | None:
    """All lines of a class; None if it is torch's or not found."""
    found = _definition(kind)
    return Lines(found[0], *_span(found[1])) if found is not None else None


def construction(model: nn.Module, path: str) -> Lines | None:
    """The statement or expression that makes a module; None if it is not found.

    Looked for are `self.NAME = ...` and `self.add_module("NAME", ...)` in the class that holds the
    module, and the argument that becomes it where the holder is a container written out there. The
    lines of a container's entries are theirs alone.
    """
    names = path.split(".")
    for depth in range(len(names), 0, -1):
        # Containers are part of the statement that makes them: go up to a class that is written.
        holder = _module(model, names[: depth - 1])
        if holder is None:
            return None
        for kind in type(holder).__mro__:
            found = _definition(kind)
            made = found and _made(found[1], names[depth - 1])
            if found and made:
                top = _module(model, names[:depth])
                inner = _part(made[1], names[depth:], top)
                # Without its own expression a module shares the statement of its container.
                first, last = _span(made[0] if inner is made[1] else inner)
                apart = [_span(entry) for entry in _entries(inner, 0)] if first < last else ()
                return Lines(found[0], first, last, tuple(apart))
        if not isinstance(holder, nn.Sequential | nn.ModuleList | nn.ModuleDict):
            return None
    return None


def statement(file: str, line: int) -> Lines:
    """The lines of the simple statement that a line belongs to, but for those of other calls in it;
    the line alone if there is none."""
    found = Lines(file, line, line)
    tree = _parsed(text_of(file))
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            last = node.end_lineno or node.lineno
            if node.lineno <= line <= last:
                calls = (_span(call) for call in ast.walk(node) if isinstance(call, ast.Call))
                apart = tuple(span for span in calls if not span[0] <= line <= span[1])
                found = Lines(file, node.lineno, last, apart)
    return found


def _span(node: ast.stmt | ast.expr) -> tuple[int, int]:
    return node.lineno, node.end_lineno or node.lineno


@lru_cache(maxsize=256)
def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except SyntaxError:
        return None


def _module(model: nn.Module, names: Sequence[str]) -> nn.Module | None:
    try:
        return model.get_submodule(".".join(names))
    except AttributeError:
        return None


@lru_cache(maxsize=1024)
def _definition(kind: type) -> tuple[str, ast.ClassDef] | None:
    """The file and definition of a class, found by the code of one of its methods."""
    # A class from elsewhere may share its name with one in the file: its methods lie inside it.
    for value in vars(kind).values():
        if not isinstance(value, FunctionType) or kind.__name__ not in value.__qualname__:
            continue
        file, line = value.__code__.co_filename, value.__code__.co_firstlineno
        if is_torch_file(file):
            return None
        tree = _parsed(text_of(file))
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
                inside = node.lineno <= line <= (node.end_lineno or line)
                if inside:
                    return file, node
    return None


def _made(holder: ast.ClassDef, name: str) -> tuple[ast.stmt, ast.expr] | None:
    """The statement of a class that makes an attribute, and its value; `__init__` first."""
    methods = [n for n in holder.body if isinstance(n, ast.FunctionDef)]
    for method in sorted(methods, key=lambda m: m.name != "__init__"):
        found = None
        for node in ast.walk(method):
            value = _assigned(node, name) if isinstance(node, ast.stmt) else None
            if isinstance(node, ast.stmt) and value is not None:
                found = node, value
        if found:
            return found
    return None


def _assigned(node: ast.stmt, name: str) -> ast.expr | None:
    """What a statement gives to `self.NAME`; None if it gives it nothing."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(_is_own(target, name) for target in targets):
            return node.value
    call = node.value if isinstance(node, ast.Expr) else None
    if (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("add_module", "register_module")
        and len(call.args) == 2
        and isinstance(call.args[0], ast.Constant)
        and call.args[0].value == name
    ):
        return call.args[1]
    return None


def _is_own(target: ast.expr, name: str) -> bool:
    return (
        isinstance(target, ast.Attribute)
        and target.attr == name
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    )


def _part(value: ast.expr, names: Sequence[str], holder: nn.Module | None) -> ast.expr:
    """The expression inside `value` that makes the module at `names`, as far as it is written."""
    children = dict(holder.named_children()) if holder is not None else {}
    if not names or names[0] not in children:
        return value
    place = list(children).index(names[0])
    for entry, where in _entries(value, len(children)).items():
        if where in (names[0], place):
            return _part(entry, names[1:], children[names[0]])
    return value


def _entries(value: ast.expr, count: int) -> dict[ast.expr, int | str | None]:
    """The expressions that make a container's entries, where they are written out.

    Each with its place or its name; with None where what is spread before it hides its place.

    Args:
        value: what makes the container; anything else has no entries.
        count: how many entries it has in the end; 0 if that is not known.
    """
    if not isinstance(value, ast.Call) or _called(value) not in _CONTAINERS:
        return {}
    items = _spread(value.args)
    if len(items) == 1 and isinstance(items[0], ast.Call) and _called(items[0]) == "OrderedDict":
        items = _spread(items[0].args)
    if len(items) == 1 and isinstance(items[0], ast.Dict):
        pairs = zip(items[0].keys, items[0].values, strict=True)
        return {made: _text(key) for key, made in pairs if key is not None}
    if len(items) == 1 and isinstance(items[0], ast.List | ast.Tuple):
        items = _spread(items[0].elts)
    found: dict[ast.expr, int | str | None] = {}
    hidden = [k for k, item in enumerate(items) if isinstance(item, ast.Starred)]
    for k, item in enumerate(items):
        if isinstance(item, ast.Tuple) and item.elts:
            found[item.elts[-1]] = _text(item.elts[0])
        elif not isinstance(item, ast.Starred | ast.GeneratorExp | ast.ListComp):
            # Behind what is spread, places are counted from the end.
            plain, last = not any(at < k for at in hidden), not any(at > k for at in hidden)
            found[item] = k if plain else k - len(items) + count if last and count else None
    return found


def _text(key: ast.expr) -> str | None:
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None


def _spread(items: Sequence[ast.expr]) -> list[ast.expr]:
    """Arguments, with lists that are spread among them taken apart."""
    found: list[ast.expr] = []
    for item in items:
        inner = item.value if isinstance(item, ast.Starred) else None
        found += _spread(inner.elts) if isinstance(inner, ast.List | ast.Tuple) else [item]
    return found


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def places(model: nn.Module | None, path: str, frames: Sequence[str]) -> Iterator[Lines]:
    """All that stands for a module, from the innermost outwards.

    The calls that lead to it, the statements that make it and the modules around it, and the
    classes of all of them.

    Args:
        model: the model; None where only a program is known.
        path: the module's path; "" for the model itself.
        frames: `file:line` of the calls.
    """
    for frame in frames:
        file, _, line = frame.rpartition(":")
        yield statement(file, int(line))
    names = path.split(".") if path else []
    for depth in range(len(names), -1, -1):
        module = _module(model, names[:depth]) if model is not None else None
        if model is None or module is None:
            continue
        made = construction(model, ".".join(names[:depth])) if depth else None
        if made is not None:
            yield made
        header = class_lines(type(module))
        if header is not None:
            yield header
