"""The service's own modules, imported all at once: a broken import among them stops the start, and not a run."""

import pkgutil
from importlib import import_module

import handler

_ENTRIES = frozenset({"handler.api", "handler.local", "handler.stream", "handler.worker"})  # they make a loop each


def import_all() -> None:
    """Import every module of `handler` but the entries and programs. Raises what importing one raises."""
    for module in pkgutil.walk_packages(handler.__path__, "handler."):
        if module.name not in _ENTRIES and not module.name.endswith(".__main__"):
            import_module(module.name)
