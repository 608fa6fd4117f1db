"""`python -m atrous` is the command line."""

from atrous.cli.main import run

run()
