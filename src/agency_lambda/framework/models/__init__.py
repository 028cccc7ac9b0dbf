"""The model seam: which model answers for each agent, what all of them used, and when none could be asked."""

from agency_lambda.framework.models.calls import (
    Adapt,
    ModelAnswer,
    ModelCallProtocol,
    ModelRequest,
    RunProtocol,
    running,
)
from agency_lambda.framework.models.failures import (
    AnswerIncomplete,
    ModelUnavailable,
    RunLimit,
    cause,
    caused_by,
    is_upstream_failure,
    provider_failures,
)
from agency_lambda.framework.models.meter import Meter, ModelCallLimit, OutputTokenLimit
from agency_lambda.framework.models.metering import MeteredModel
from agency_lambda.framework.models.resolution import UserRunConfig, belong, run_of
from agency_lambda.framework.models.selection import Models, offline_script
from agency_lambda.framework.models.wrapped import WrappedModel
from agency_lambda.framework.patches import Reason

__all__ = [
    "Adapt",
    "AnswerIncomplete",
    "Meter",
    "MeteredModel",
    "ModelAnswer",
    "ModelCallLimit",
    "ModelCallProtocol",
    "ModelRequest",
    "ModelUnavailable",
    "Models",
    "OutputTokenLimit",
    "Reason",
    "RunLimit",
    "RunProtocol",
    "UserRunConfig",
    "WrappedModel",
    "belong",
    "cause",
    "caused_by",
    "is_upstream_failure",
    "offline_script",
    "provider_failures",
    "run_of",
    "running",
]
