"""The buffered function: one event in, one answer out."""

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra import bundle


class ApiFunction(Construct):
    """Handler `handler.api.handler`, with a role that may write its own log and nothing else."""

    def __init__(self, scope: Construct, construct_id: str, *, architecture: bundle.Architecture) -> None:
        super().__init__(scope, construct_id)
        log = logs.LogGroup(self, "Log", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY)
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        log.grant_write(role)
        self.function = lambda_.Function(
            self,
            "Function",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64 if architecture == "arm64" else lambda_.Architecture.X86_64,
            handler="handler.api.handler",
            code=lambda_.Code.from_asset(str(bundle.build(architecture))),
            role=role.without_policy_updates(),
            memory_size=1769,  # one whole vCPU: importing the framework is CPU, and a cold start is mostly that
            timeout=Duration.seconds(29),  # the longest that API Gateway waits for a buffered answer
            log_group=log,
        )
        Validations.of(self.function).acknowledge(
            Acknowledgment(id="AwsSolutions::AwsSolutions-L1", reason="every pin is tested on Python 3.13")
        )
        # A short, stable name, so that `sam local invoke ApiFunction` reads well.
        resource = self.function.node.default_child
        assert isinstance(resource, lambda_.CfnFunction)
        resource.override_logical_id("ApiFunction")
