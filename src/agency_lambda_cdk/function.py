"""A Lambda function with a role of its own, JSON logs that expire, a version, and the alias `live`."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Acknowledgment, RemovalPolicy, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from agency_lambda_cdk.environment import Environment
from agency_lambda_cdk.network import Network
from agency_lambda_cdk.validation import LOG_DAYS

_ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


class AgencyFunction(Construct):
    """Make a function, its role, and its alias `live`, which events are sent to.

    streams: whether it answers piece by piece. properties: of `aws_lambda.Function`.
    """

    def __init__(
        self,
        scope: Construct,
        logical_id: str,
        *,
        environment: Environment,
        network: Network | None = None,
        variables: Mapping[str, str],
        streams: bool = False,
        provisioned: int = 0,
        **properties: Any,
    ) -> None:
        super().__init__(scope, f"{logical_id}Parts")
        self.name, self.streams = logical_id, streams  # short and stable: `sam local invoke ApiFunction`
        self.log = log_group(self, "Log", environment=environment)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log.grant_write(self.role)
        properties |= {"environment": dict(variables), "architecture": _ARCHITECTURES[environment.architecture]}
        self.function = self._function(environment.xray, **properties, **(network.place(self.role) if network else {}))
        self.live = self._alias(provisioned)
        if environment.xray:
            reason = "X-Ray's actions name no resource"
            acknowledgment = Acknowledgment(id="AwsSolutions::AwsSolutions-IAM5[Resource::*]", reason=reason)
            Validations.of(self.role).acknowledge(acknowledgment)

    def allow(self, *actions: str, on: str, conditions: Mapping[str, Any] | None = None) -> None:
        """Let the function's role do `actions` on one resource."""
        statement = iam.PolicyStatement(actions=list(actions), resources=[on], conditions=conditions)
        self.role.add_to_policy(statement)

    def _function(self, traces: bool, **properties: Any) -> lambda_.Function:
        function = lambda_.Function(
            self,
            "Function",
            runtime=lambda_.Runtime.PYTHON_3_13,
            role=self.role,
            log_group=self.log,
            logging_format=lambda_.LoggingFormat.JSON,
            # A run may be handed over more than 16 times, which Lambda would stop as an endless loop. The number of
            # attempts ends it here.
            recursive_loop=lambda_.RecursiveLoop.ALLOW,
            tracing=lambda_.Tracing.ACTIVE if traces else lambda_.Tracing.DISABLED,
            **properties,
        )
        resource = function.node.default_child
        assert isinstance(resource, lambda_.CfnFunction)
        resource.override_logical_id(self.name)
        Validations.of(function).acknowledge(
            Acknowledgment(id="AwsSolutions::AwsSolutions-L1", reason="every pin is tested on Python 3.13"),
            Acknowledgment(id="Annotation::@aws-cdk/aws-lambda:snapStartRequirePublish", reason="`live` is a version"),
        )
        return function

    def _alias(self, provisioned: int) -> lambda_.Alias:
        return lambda_.Alias(
            self,
            "Live",
            alias_name="live",
            version=self.function.current_version,
            provisioned_concurrent_executions=provisioned or None,
        )


def log_group(scope: Construct, construct_id: str, *, environment: Environment) -> logs.LogGroup:
    """Return a log group that keeps its events for the environment's `log_days`."""
    return logs.LogGroup(
        scope,
        construct_id,
        retention=logs.RetentionDays[LOG_DAYS[environment.log_days]],
        removal_policy=RemovalPolicy.RETAIN if environment.production else RemovalPolicy.DESTROY,
    )
