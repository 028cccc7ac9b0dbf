"""Constructs for AWS CDK that deploy an agency, and the bundle that they deploy."""

# Names are imported when they are first read: aws_cdk starts Node when it is imported, and the bundle needs none.

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agency_lambda_cdk.bundle import BundleError
    from agency_lambda_cdk.data import EmptySecret, FileBucket, Table
    from agency_lambda_cdk.environment import Environment
    from agency_lambda_cdk.firewall import Firewall
    from agency_lambda_cdk.function import AgencyFunction
    from agency_lambda_cdk.functions import Functions
    from agency_lambda_cdk.gradual import GradualDeployment
    from agency_lambda_cdk.monitoring import Monitoring
    from agency_lambda_cdk.network import Network
    from agency_lambda_cdk.rest_api import RestApi
    from agency_lambda_cdk.run_queue import RunQueue
    from agency_lambda_cdk.synthesis import synthesize
    from agency_lambda_cdk.validation import DeploymentError

__all__ = [
    "AgencyFunction",
    "BundleError",
    "DeploymentError",
    "EmptySecret",
    "Environment",
    "FileBucket",
    "Firewall",
    "Functions",
    "GradualDeployment",
    "Monitoring",
    "Network",
    "RestApi",
    "RunQueue",
    "Table",
    "synthesize",
]

_MODULES = {
    "AgencyFunction": "function",
    "BundleError": "bundle",
    "DeploymentError": "validation",
    "EmptySecret": "data",
    "FileBucket": "data",
    "GradualDeployment": "gradual",
    "RestApi": "rest_api",
    "RunQueue": "run_queue",
    "Table": "data",
    "synthesize": "synthesis",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, name.lower())}"), name)
