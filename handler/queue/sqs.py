"""The deployed queue: Amazon SQS."""

import asyncio
import json
from typing import Any

import boto3
from botocore.config import Config

_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4})
_LONGEST = 900  # seconds that SQS delays a message at most


class SQSQueue:
    """Implements `Queue`."""

    durable = True

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Any = None

    async def send(self, run: str, after: float = 0.0) -> None:
        await asyncio.to_thread(self._send, run, min(round(after), _LONGEST))

    def _send(self, run: str, delay: int) -> None:
        if self._client is None:
            self._client = boto3.session.Session().client("sqs", config=_CONFIG)
        self._client.send_message(QueueUrl=self._url, MessageBody=json.dumps({"run": run}), DelaySeconds=delay)

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()
