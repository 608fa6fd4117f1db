"""`atrous densify`: a model at a smaller output stride, equal on the grid, with the proof."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

import atrous
from atrous.cli.inputs import Batch, Dtype, Shapes, in_type, inputs
from atrous.cli.output import check_writable, output_console
from atrous.cli.resolve import resolve
from atrous.convert.certificate import Certificate
from atrous.convert.exporting import export
from atrous.graph.shell import shell_copy
from atrous.report.json.layout import as_json as _as_json
from atrous.report.text.progress import working

_OPTIONS = {
    "as_graph=True": "--as-graph",
    'pooling="all"': "--pooling all",
    'pools="keep"': "--pools keep",
    "output_stride": "--output-stride",
    "node=": "--node",
    "sizes=, as (96, 128)": "--sizes, as 96x128",
}
"""What arguments of the function are called here."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("densify")(densify)


def densify(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="package.module:callable, file.py:callable, program.pt2, or atrous:NAME, "
            "torchvision:NAME, timm:NAME.",
        ),
    ],
    shapes: Shapes = None,
    batch: Batch = 1,
    dtype: Dtype = None,
    output_stride: Annotated[
        str, typer.Option("--output-stride", help="As 8, or one for each axis: 4,8.")
    ] = "8",
    node: Annotated[
        str | None,
        typer.Option(help="The value that is to have it, by a module's path; by default outputs."),
    ] = None,
    output: Annotated[str | None, typer.Option(help="Only this output of the model.")] = None,
    pooling: Annotated[
        str,
        typer.Option(help="What pooling over all positions reads: grid (for equal values) or all."),
    ] = "grid",
    pools: Annotated[
        str, typer.Option(help="keep pools, dilated, or drop those that lose their stride.")
    ] = "keep",
    as_graph: Annotated[
        bool, typer.Option("--as-graph", help="Change plain calls in forward too: as a graph.")
    ] = False,
    sizes: Annotated[
        str | None, typer.Option(help="Compare at these lengths, as 97x105; small odd by default.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE.pt2", help="Save the dense model, exported.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make MODEL dense: a smaller output stride, the same weights, equal values on the grid.

    Prints which modules were changed and how, and how far values differ on random input in double
    precision. Exit code 2 if it cannot be done; the message says where and why.
    """
    if save is not None:
        if save.suffix != ".pt2":
            raise ValueError(f"--save must be a file that ends in .pt2, got {str(save)!r}.")
        check_writable(save)
    stride = _numbers("--output-stride", output_stride, ",")
    lengths = None if sizes is None else _numbers("--sizes", sizes, "x")
    with working(f"loading {model}"):
        resolved = resolve(model)
    x = inputs(resolved, model, shapes or [], batch, dtype)
    resolved = in_type(resolved, model, dtype)
    with working(f"making {model} dense"), _in_options():
        choices: dict[str, Any] = {"pooling": pooling, "pools": pools}
        dense = atrous.densify(
            resolved.model, x, stride[0] if len(stride) == 1 else stride, node=node, output=output,
            as_graph=as_graph, sizes=lengths, **choices,
        )  # fmt: skip
    certificate: Certificate = dense.__dict__["certificate"]
    told = _saved(dense, x, certificate, save) if save is not None else ""
    if as_json:
        typer.echo(_as_json(certificate.to_dict()))
        return
    console = output_console()
    console.print(certificate)
    if told:
        console.print(told, markup=False)


@contextmanager
def _in_options() -> Iterator[None]:
    """Errors that name arguments name options instead."""
    try:
        yield
    except ValueError as error:
        told = str(error)
        for argument, option in _OPTIONS.items():
            told = told.replace(argument, option)
        raise ValueError(told) from error


def _saved(dense: torch.nn.Module, x: Any, certificate: Certificate, path: Path) -> str:
    """Export the dense model into a file; says for which sizes."""
    with working(f"saving {path}"):
        exported, free = export(shell_copy(dense), x, dict(enumerate(certificate.axes)))
        torch.export.save(exported, path)
    return f"written to {path}, exported for {'any size' if free else 'this size alone'}"


def _numbers(option: str, text: str, between: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(between))
    except ValueError:
        raise ValueError(
            f"{option} must be whole numbers with {between!r} between them, got {text!r}."
        ) from None
