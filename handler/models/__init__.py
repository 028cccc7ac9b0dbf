"""The model seam: which model answers for each agent, what all of them used, and when none could be asked."""

from handler.models.environment import Models, offline_script
from handler.models.failures import ModelUnavailable, caused_by, is_upstream_failure, provider_failures
from handler.models.meter import Meter, ModelCallLimit, OutputTokenLimit, RunLimit
from handler.models.metering import Adapt, Answered, Heard, MeteredModel, Question, Running, WrappedModel, running
from handler.models.resolution import UserRunConfig, belong, run_of

__all__ = [
    "Adapt",
    "Answered",
    "Heard",
    "Meter",
    "MeteredModel",
    "ModelCallLimit",
    "ModelUnavailable",
    "Models",
    "OutputTokenLimit",
    "Question",
    "RunLimit",
    "Running",
    "UserRunConfig",
    "WrappedModel",
    "belong",
    "caused_by",
    "is_upstream_failure",
    "offline_script",
    "provider_failures",
    "run_of",
    "running",
]
