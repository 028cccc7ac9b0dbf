"""Planfix's token in AWS Secrets Manager: PLANFIX_TOKEN_SECRET names the secret."""

from functools import cache

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from agreement_desk.task import PlanfixError

_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})


@cache
def token_in(secret: str) -> str:
    """Read when it is first needed, once for the life of the process."""
    try:
        client = boto3.session.Session().client("secretsmanager", config=_CONFIG)
        token: str = client.get_secret_value(SecretId=secret)["SecretString"]
    except ClientError as error:
        raise PlanfixError(f"Planfix's token cannot be read ({error.response['Error']['Code']})") from error
    except (BotoCoreError, KeyError) as error:
        raise PlanfixError(f"Planfix's token cannot be read ({type(error).__name__})") from error
    return token.strip()
