"""Which model answers for each agent of a run, its usage and its failures."""

from agency_lambda.framework.models.ask_once import ask_once
from agency_lambda.framework.models.calls import (
    AdaptSettings,
    FetchFile,
    ModelAnswer,
    ModelCallProtocol,
    ModelRequest,
    ModelsOfRun,
    RunProtocol,
    active_run,
)
from agency_lambda.framework.models.endings import Reason
from agency_lambda.framework.models.failures import (
    AnswerIncomplete,
    ModelUnavailable,
    RunLimit,
    cause,
    caused_by,
    is_upstream_failure,
    provider_failures,
)
from agency_lambda.framework.models.meter import Limits, Meter, ModelCallLimit, OutputTokenLimit
from agency_lambda.framework.models.metering import MeteredModel
from agency_lambda.framework.models.resolution import UserRunConfig, assign_run, run_of
from agency_lambda.framework.models.selection import Models
from agency_lambda.framework.models.wrapped import WrappedModel

__all__ = [
    "AdaptSettings",
    "AnswerIncomplete",
    "FetchFile",
    "Limits",
    "Meter",
    "MeteredModel",
    "ModelAnswer",
    "ModelCallLimit",
    "ModelCallProtocol",
    "ModelRequest",
    "ModelUnavailable",
    "Models",
    "ModelsOfRun",
    "OutputTokenLimit",
    "Reason",
    "RunLimit",
    "RunProtocol",
    "UserRunConfig",
    "WrappedModel",
    "active_run",
    "ask_once",
    "assign_run",
    "cause",
    "caused_by",
    "is_upstream_failure",
    "provider_failures",
    "run_of",
]
