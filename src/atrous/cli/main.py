"""The program: commands found in this package, and how failures are told."""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

import atrous.cli

app = typer.Typer(
    name="atrous",
    help="Know exactly which inputs every output of a convolutional network sees.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"atrous {atrous.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_tell_version)
    ] = False,
) -> None:
    """Know exactly which inputs every output of a convolutional network sees."""


for _module in iter_modules(atrous.cli.__path__):
    if _module.name.startswith("command_"):
        import_module(f"{atrous.cli.__name__}.{_module.name}").register(app)


def run(arguments: list[str] | None = None) -> None:
    """Run a command line; a failure prints one message and exits with code 2.

    With `--debug` the traceback is shown.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in given
    given = [a for a in given if a != "--debug"]
    try:
        sys.exit(app(given, standalone_mode=False) or 0)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            # The help has been printed.
            sys.exit(0)
        # Errors of the command line itself know how to tell the option.
        told = getattr(error, "format_message", None)
        if debug and told is None:
            raise
        message = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
        fit = getattr(error, "fitting_shape", None)
        if fit is not None:
            message += f" On the command line: --input {'x'.join(map(str, fit[1:]))}."
        number = _no_number(error, given)
        _complain(number or str(told() if told is not None else message) or type(error).__name__)


def _no_number(error: Exception, given: list[str]) -> str:
    """What to say of an option that takes a number and was given something else; "" otherwise."""
    names = getattr(getattr(error, "param", None), "opts", ())
    kind = next((k for k in ("integer", "number", "float") if f"valid {k}" in str(error)), None)
    if kind is None or not names:
        return ""
    value = ""
    for k, text in enumerate(given):
        name, is_joined, rest = text.partition("=")
        if name in names:
            value = rest if is_joined else "".join(given[k + 1 : k + 2])
    what = "a whole number" if kind == "integer" else "a number"
    return f"{names[0]} must be {what}, got {value!r}. Write it as in {names[0]} 64."


def _complain(message: str) -> None:
    Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(message)}")
    sys.exit(2)
