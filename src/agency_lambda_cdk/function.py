"""A Lambda function as every one here is: a role of its own, JSON logs that end, a version, and the alias `live`."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from agency_lambda_cdk import bundle
from agency_lambda_cdk.validation import LOG_DAYS
from infra.environments import Environment


class AgencyFunction(Construct):
    """live: what events are sent to. role: may write its own log, and what is granted to it.

    streams: it answers piece by piece, so only a route that streams may lead to it.
    """

    def __init__(
        self,
        scope: Construct,
        logical_id: str,
        *,
        environment: Environment,
        handler: str,
        seconds: int,
        memory_mb: int,
        variables: Mapping[str, str],
        streams: bool = False,
        snap_start: bool = False,
        provisioned: int = 0,
        reserved: int | None = None,
    ) -> None:
        super().__init__(scope, f"{logical_id}Parts")
        self.name, self.streams = logical_id, streams
        self.log = log_group(self, "Log", environment=environment)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log.grant_write(self.role)
        self.function = lambda_.Function(
            self,
            "Function",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64
            if environment.architecture == "arm64"
            else lambda_.Architecture.X86_64,
            handler=handler,
            code=lambda_.Code.from_asset(str(bundle.zipped(environment.architecture))),
            role=self.role,
            memory_size=memory_mb,
            timeout=Duration.seconds(seconds),
            environment=dict(variables),
            log_group=self.log,
            logging_format=lambda_.LoggingFormat.JSON,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start else None,
            reserved_concurrent_executions=reserved,
            # A run may be handed over more than 16 times, and wait in line for another: Lambda's own guard would take
            # that for an endless loop and stop it. What ends it here is the number of attempts.
            recursive_loop=lambda_.RecursiveLoop.ALLOW,
        )
        # A short, stable name, so that `sam local invoke ApiFunction` reads well.
        resource = self.function.node.default_child
        assert isinstance(resource, lambda_.CfnFunction)
        resource.override_logical_id(logical_id)
        self.live = lambda_.Alias(
            self,
            "Live",
            alias_name="live",
            version=self.function.current_version,
            provisioned_concurrent_executions=provisioned or None,
        )
        Validations.of(self.function).acknowledge(
            Acknowledgment(id="AwsSolutions::AwsSolutions-L1", reason="every pin is tested on Python 3.13"),
            Acknowledgment(id="Annotation::@aws-cdk/aws-lambda:snapStartRequirePublish", reason="`live` is a version"),
        )

    def allow(self, *actions: str, on: str, conditions: Mapping[str, Any] | None = None) -> None:
        """Let it do these on one resource."""
        statement = iam.PolicyStatement(actions=list(actions), resources=[on], conditions=conditions)
        self.role.add_to_policy(statement)


def log_group(scope: Construct, construct_id: str, *, environment: Environment) -> logs.LogGroup:
    """Of this environment's retention."""
    return logs.LogGroup(
        scope,
        construct_id,
        retention=logs.RetentionDays[LOG_DAYS[environment.log_days]],
        removal_policy=RemovalPolicy.RETAIN if environment.production else RemovalPolicy.DESTROY,
    )
