"""Make the Agents SDK copy plain items without comparing each value with abstract types."""

from copy import deepcopy
from typing import Any

from agents import run_state
from agents.util import _json

from agency_lambda.protocol.copies import copier

# The SDK copies the whole history three times a model call and once a run: a fifth of the CPU of turn 100.


class UnsharedItems(list[Any]):
    """JSON that nothing but one model call holds, so that the SDK need not copy it."""


def install() -> None:
    original = _json._to_dump_compatible_internal
    copy_shared = copier(lambda value: value if type(value) is UnsharedItems else original(value))
    vars(_json)["_to_dump_compatible_internal"] = copy_shared
    vars(run_state)["_clone_original_input"] = copier(deepcopy)
