"""The table and the secrets."""

from aws_cdk import Acknowledgment, RemovalPolicy, Validations
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from agency_lambda_cdk.environment import Environment


class Table(dynamodb.Table):
    """Store everything of every owner. In production it outlives its stack."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(
            scope,
            construct_id,
            partition_key=dynamodb.Attribute(name="partition", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sort", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,  # costs nothing while nobody asks
            time_to_live_attribute="expires",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            deletion_protection=environment.production,
            removal_policy=_removal(environment),
        )


class EmptySecret(secretsmanager.CfnSecret):
    """A secret without a value: one that CloudFormation wrote could be read in the template."""

    def __init__(self, scope: Construct, construct_id: str, *, description: str, environment: Environment) -> None:
        super().__init__(scope, construct_id, description=description)
        self.apply_removal_policy(_removal(environment))
        Validations.of(self).acknowledge(
            Acknowledgment(id="AwsSolutions::AwsSolutions-SMG4", reason="nothing can issue these anew but their owner")
        )

    @property
    def arn(self) -> str:
        return self.ref


def _removal(environment: Environment) -> RemovalPolicy:
    return RemovalPolicy.RETAIN if environment.production else RemovalPolicy.DESTROY
