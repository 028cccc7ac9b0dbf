"""The service: a function that answers. It has no address yet, because it has no authentication yet."""

from aws_cdk import Stack
from constructs import Construct

from infra.api_function import ApiFunction
from infra.bundle import Architecture


class ServiceStack(Stack):
    """Reached with `aws lambda invoke` by whoever IAM allows to, and with `sam local invoke ApiFunction`."""

    def __init__(self, scope: Construct, construct_id: str, *, architecture: Architecture) -> None:
        super().__init__(scope, construct_id, description="agency-lambda: an Agency Swarm agency on Lambda")
        ApiFunction(self, "Api", architecture=architecture)
