"""The service's own modules, imported all at once: a broken import among them stops the start, and not a run."""

import pkgutil
from importlib import import_module

import agency_lambda


def import_all() -> None:
    """Import every module of `agency_lambda` but the programs. Raises what importing one raises."""
    for module in pkgutil.walk_packages(agency_lambda.__path__, "agency_lambda."):
        if not module.name.endswith(".__main__"):
            import_module(module.name)
