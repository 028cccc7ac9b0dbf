"""The deployed queue, in Amazon SQS."""

import asyncio
import logging
from collections.abc import Sequence
from itertools import batched
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from agency_lambda.owner_digest import owner_digest
from agency_lambda.queue.messages import Message, dump, owner_of

logger = logging.getLogger(__name__)
_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4})
_RETRY_DELAY = 5  # seconds
_MAX_ENTRIES = 10  # messages of one request
_MAX_DELAY = 900  # seconds; more than that SQS does not take


class SQSQueue:
    durable = True

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Any = None

    async def send(self, message: Message, delay: float = 0.0, *, owner: str = "") -> None:
        seconds, owner = min(round(delay), _MAX_DELAY), owner_of(message, owner)
        await asyncio.to_thread(self._send, dump(message), seconds, owner_digest(owner) if owner else "")

    async def send_runs(self, run_ids: Sequence[str], *, owner: str) -> None:
        for some in batched(run_ids, _MAX_ENTRIES, strict=False):
            await asyncio.to_thread(self._send_runs, some, owner_digest(owner))

    async def retry_soon(self, receipt: str) -> None:
        try:
            await asyncio.to_thread(self._make_visible, receipt)
        except (BotoCoreError, ClientError):
            logger.exception("a message that failed comes again only after its visibility timeout")

    @property
    def _sqs(self) -> Any:
        if self._client is None:
            self._client = boto3.session.Session().client("sqs", config=_CONFIG)
        return self._client

    def _send(self, body: str, delay: int, group: str) -> None:
        # A group makes the queue a fair one: what one group has sent does not delay the others' messages.
        fair = {"MessageGroupId": group} if group else {}
        self._sqs.send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=delay, **fair)

    def _send_runs(self, run_ids: Sequence[str], group: str) -> None:
        entries = [{"Id": each, "MessageBody": dump(each), "MessageGroupId": group} for each in run_ids]
        if failed := self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries).get("Failed"):
            logger.error("the queue did not take %d of %d runs: the sweep sends them", len(failed), len(entries))

    def _make_visible(self, receipt: str) -> None:
        self._sqs.change_message_visibility(QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=_RETRY_DELAY)

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()
