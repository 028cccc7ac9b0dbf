"""The context object of an invocation."""

import json
import os
import time
from types import SimpleNamespace
from typing import Any

from lambda_loop.runtime.api import Event

_CLIENT = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class Context:
    """Has the attributes of docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

    def __init__(self, event: Event) -> None:
        header, variable = event.headers.get, os.environ.get
        self.aws_request_id = event.request_id
        self.invoked_function_arn = header("lambda-runtime-invoked-function-arn")
        self.tenant_id = header("lambda-runtime-aws-tenant-id")
        self.trace_id = header("lambda-runtime-trace-id")
        self.function_name = variable("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = variable("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = variable("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = variable("AWS_LAMBDA_LOG_STREAM_NAME")
        self.client_context = _client_context(header("lambda-runtime-client-context"))
        identity = json.loads(header("lambda-runtime-cognito-identity") or "{}")
        self.identity = SimpleNamespace(
            cognito_identity_id=identity.get("cognitoIdentityId"),
            cognito_identity_pool_id=identity.get("cognitoIdentityPoolId"),
        )
        self._deadline_ms = int(event.headers["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._deadline_ms - int(1000 * time.time()))


def _client_context(text: str | None) -> Any:
    if not text:
        return None
    values = json.loads(text)
    client = values.get("client")
    if client is not None:
        client = SimpleNamespace(**{name: client.get(name) for name in _CLIENT})
    return SimpleNamespace(client=client, custom=values.get("custom"), env=values.get("env"))
