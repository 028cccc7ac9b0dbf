"""What outlives the service: the table and the secrets."""

from aws_cdk import Acknowledgment, RemovalPolicy, Stack, Validations
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.environments import Environment


class DataStack(Stack):
    """table: all that is stored, of every owner. api_keys, openai_key: secrets, empty until somebody fills them."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(
            scope,
            construct_id,
            description="agency-lambda: what is stored",
            termination_protection=environment.production,
        )
        keep = RemovalPolicy.RETAIN if environment.production else RemovalPolicy.DESTROY
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="partition", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sort", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,  # nothing is paid while nobody asks
            time_to_live_attribute="expires",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            deletion_protection=environment.production,
            removal_policy=keep,
        )
        self.api_keys = self._secret("ApiKeys", "owner:sha256hex pairs of who may call; `make key` adds one", keep)
        self.openai_key = self._secret("OpenAiKey", "the key of the model's provider; empty: the offline model", keep)

    def _secret(self, construct_id: str, description: str, keep: RemovalPolicy) -> secretsmanager.ISecret:
        """Without a value: what CloudFormation writes there could be read in the template."""
        secret = secretsmanager.CfnSecret(self, construct_id, description=description)
        secret.apply_removal_policy(keep)
        Validations.of(secret).acknowledge(
            Acknowledgment(id="AwsSolutions::AwsSolutions-SMG4", reason="nothing can issue these anew but their owner")
        )
        return secretsmanager.Secret.from_secret_complete_arn(self, f"{construct_id}Secret", secret.ref)
