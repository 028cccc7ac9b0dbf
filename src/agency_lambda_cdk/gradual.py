"""Gradual deployment with CodeDeploy."""

from collections.abc import Sequence

from aws_cdk import Acknowledgment, Validations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from constructs import Construct

from agency_lambda_cdk.environment import Environment
from agency_lambda_cdk.functions import Functions

_ROLE_POLICY = "Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited"


class GradualDeployment(Construct):
    """Shift callers to a new version in the steps of `environment.gradual`; one of `alarms` rolls it back."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: Environment,
        functions: Functions,
        alarms: Sequence[cloudwatch.IAlarm],
    ) -> None:
        super().__init__(scope, construct_id)
        application = codedeploy.LambdaApplication(self, "Application")
        role = self._role()
        steps = getattr(codedeploy.LambdaDeploymentConfig, environment.gradual.upper())
        for function in functions.running:
            codedeploy.LambdaDeploymentGroup(
                self,
                function.name,
                application=application,
                alias=function.live,
                alarms=list(alarms),
                deployment_config=steps,
                role=role,
            )

    def _role(self) -> iam.Role:
        policy = iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AWSCodeDeployRoleForLambdaLimited")
        principal = iam.ServicePrincipal("codedeploy.amazonaws.com")
        role = iam.Role(self, "Role", assumed_by=principal, managed_policies=[policy])
        reason = "AWS's own policy, for CodeDeploy's own role"
        Validations.of(role).acknowledge(
            Acknowledgment(id=f"AwsSolutions::AwsSolutions-IAM4[{_ROLE_POLICY}]", reason=reason)
        )
        return role
