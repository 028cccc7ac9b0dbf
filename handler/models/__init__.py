"""The model seam: which model answers for each agent, what all of them used, and when none could be asked."""

from handler.models.environment import Models, offline_script
from handler.models.failures import ModelUnavailable, caused_by, is_upstream_failure
from handler.models.metering import Meter, MeteredModel, ModelCallLimit, WrappedModel

__all__ = [
    "Meter",
    "MeteredModel",
    "ModelCallLimit",
    "ModelUnavailable",
    "Models",
    "WrappedModel",
    "caused_by",
    "is_upstream_failure",
    "offline_script",
]
