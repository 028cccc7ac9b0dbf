"""What outlives the service: the table, the files and the secrets."""

from aws_cdk import Stack
from constructs import Construct

from agency_lambda_cdk import EmptySecret, Environment, FileBucket, Table


class DataStack(Stack):
    """Keep what is stored when the service is deleted."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(
            scope,
            construct_id,
            env=environment.aws,
            description="agency-lambda: what is stored",
            termination_protection=environment.production,
        )
        self.table = Table(self, "Table", environment=environment)
        self.files = FileBucket(self, "Files", environment=environment)
        self.api_keys = EmptySecret(
            self,
            "ApiKeys",
            description="owner:sha256hex pairs of who may call; `make key` adds one",
            environment=environment,
        )
        self.model_key = EmptySecret(
            self,
            "OpenAiKey",
            description="the key of the model's provider; empty: the offline model",
            environment=environment,
        )
