"""Secrets Manager on loopback, behind a relay that breaks it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import boto3

from agency_lambda.testing.aws import Relay, moto, relay_before, serving


class Vault:
    """environment: boto3's. `relay.operations()`: the requests that it got."""

    def __init__(self, client: Any, relay: Relay, environment: dict[str, str]) -> None:
        self.client, self.relay, self.environment = client, relay, environment

    def create(self, text: str | None = None) -> str:
        """Create a secret. Returns its ARN."""
        value = {} if text is None else {"SecretString": text}
        return str(self.client.create_secret(Name=f"test-{uuid4().hex}", **value)["ARN"])

    def put(self, secret: str, text: str) -> None:
        self.client.put_secret_value(SecretId=secret, SecretString=text)

    def get(self, secret: str) -> str:
        return str(self.client.get_secret_value(SecretId=secret)["SecretString"])

    def readings(self) -> int:
        return self.relay.operations().count("GetSecretValue")


@contextmanager
def secrets_manager() -> Iterator[Vault]:
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *arguments: Any) -> None: ...

    server = make_server("127.0.0.1", 0, moto(), threaded=True, request_handler=Quiet)
    account = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1"}
    with serving(server), relay_before(f"http://127.0.0.1:{server.server_port}") as (relay, url):
        client = boto3.session.Session().client(
            "secretsmanager",
            endpoint_url=f"http://127.0.0.1:{server.server_port}",
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        try:
            yield Vault(client, relay, {**account, "AWS_ENDPOINT_URL": url, "AWS_EC2_METADATA_DISABLED": "true"})
        finally:
            client.close()
