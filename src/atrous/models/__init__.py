"""Networks that come with the project, by name."""

from importlib import import_module
from pkgutil import iter_modules

from atrous.models.registry import Card as Card
from atrous.models.registry import card as card
from atrous.models.registry import create as create
from atrous.models.registry import names as names

for _module in iter_modules(__path__):
    if _module.name != "registry":
        import_module(f"{__name__}.{_module.name}")
