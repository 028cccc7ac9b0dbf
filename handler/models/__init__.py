"""The model seam: which model answers for each agent, what all of them used, and when none could be asked."""

from handler.models.calls import Adapt, Answered, Heard, Question, Running, running
from handler.models.environment import Models, offline_script
from handler.models.failures import (
    AnswerIncomplete,
    ModelUnavailable,
    RunLimit,
    cause,
    caused_by,
    is_upstream_failure,
    provider_failures,
)
from handler.models.meter import Meter, ModelCallLimit, OutputTokenLimit
from handler.models.metering import MeteredModel
from handler.models.resolution import UserRunConfig, belong, run_of
from handler.models.sdk_patches import Reason
from handler.models.wrapped import WrappedModel

__all__ = [
    "Adapt",
    "AnswerIncomplete",
    "Answered",
    "Heard",
    "Meter",
    "MeteredModel",
    "ModelCallLimit",
    "ModelUnavailable",
    "Models",
    "OutputTokenLimit",
    "Question",
    "Reason",
    "RunLimit",
    "Running",
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
