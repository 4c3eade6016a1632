"""One platform a file, or a folder where its webhooks have several subjects; `discover` finds all by their PROVIDER."""

import pkgutil
from importlib import import_module

from processors.deliver.provider import Provider


def discover() -> dict[str, Provider]:
    """Every provider by name; a new one is a new file or folder here."""
    found: dict[str, Provider] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        provider = import_module(module.name).PROVIDER
        found[provider.name] = provider
    return found
