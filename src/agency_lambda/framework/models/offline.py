"""Access to the package `agency_lambda.offline`, which a deployment may leave out."""

import importlib.util
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from agents import Model

from agency_lambda.errors import AgencyMisconfigured

if TYPE_CHECKING:
    from agency_lambda.offline import Script

_PACKAGE = "agency_lambda.offline"
_LEFT_OUT = "OPENAI_API_KEY is not set, and this deployment has been made without the offline model: set a key."


def model(agent: str, script: "Script | None") -> Model:
    """Return the offline model of one agent.

    Raises:
        AgencyMisconfigured: the deployment has no offline model.
    """
    _require_package()
    from agency_lambda.framework.offline_model import OfflineModel

    return OfflineModel(agent, script)


def is_available() -> bool:
    return importlib.util.find_spec(_PACKAGE) is not None


def is_offline(candidate: Model) -> bool:
    return getattr(candidate, "is_offline", False) is True


def summary_script() -> "Script":
    """Return the script that summarizes a conversation. Raises as `model` does."""
    _require_package()
    from agency_lambda.offline import digest

    return digest


def agency_script(create_agency: Callable[..., object]) -> "Mapping[str, Script]":
    """Return SCRIPT of the module `offline` beside the agency's; {} without one.

    Raises AttributeError if it has no SCRIPT.
    """
    package = sys.modules[create_agency.__module__].__package__
    return _script(f"{package}.offline") if package else {}


@cache
def _script(module: str) -> "Mapping[str, Script]":
    if importlib.util.find_spec(module) is None:
        return {}
    script: Mapping[str, Script] = import_module(module).SCRIPT
    return script


@cache
def _require_package() -> None:
    if not is_available():
        raise AgencyMisconfigured(_LEFT_OUT)
