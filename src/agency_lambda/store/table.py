"""A DynamoDB table as the store uses it: consistent reads, conditional writes, and which failures are none.

Its keys are `partition` and `sort` (S), its time to live is `expires` (N); what is written under a condition has a
`version` (S), which is new with each write.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from agency_lambda.store import ABSENT, Conflict

FAILURES = (BotoCoreError, ClientError, ResponseParserError)
CONNECTIONS = 16
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 4},  # silence is given up after 20 s: the gateway waits for 29
    max_pool_connections=CONNECTIONS,
)
_HEAD = {
    "ProjectionExpression": "#version, #parts",
    "ExpressionAttributeNames": {"#version": "version", "#parts": "parts"},
}
_ATTEMPTS = 8
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}

type Item = dict[str, Any]


class Table:
    """Raises Conflict and FAILURES. The client is made on first use, and again after `close()`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._client: Any = None
        self._lock = Lock()

    def close(self) -> None:
        client, self._client = self._client, None
        if client:
            client.close()

    @property
    def client(self) -> Any:
        with self._lock:  # a client may be used by several threads, but not made by them
            if self._client is None:
                self._client = boto3.session.Session().client("dynamodb", config=_CONFIG)
                self._client.meta.events.register("after-call.dynamodb", _is_from_dynamodb)
            return self._client

    def get(self, key: Item) -> Item | None:
        found: Item = self.client.get_item(TableName=self._name, Key=key, ConsistentRead=True)
        return found.get("Item")

    def query(
        self, partition: str, after: str = "", before: str | None = None, limit: int | None = None
    ) -> Iterator[Item]:
        """In as many pages as the caller goes through: a page has 1 MB at most, and `limit` items."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self._name,
            ConsistentRead=True,
            PaginationConfig={"PageSize": limit},
            **_range(partition, after, before),
        )
        for page in pages:
            yield from (item for item in page["Items"] if item["sort"]["S"] not in (after, before))

    def heads(self, keys: Sequence[Item]) -> list[Item]:
        """`version` and `parts` of those that are there."""
        found: list[Item] = []
        wanted: Item = {self._name: {"Keys": keys, "ConsistentRead": True, **_HEAD}} if keys else {}
        while wanted:  # DynamoDB answers at least one, or with an error
            answer = self.client.batch_get_item(RequestItems=wanted)
            found += answer["Responses"].get(self._name, [])
            wanted = answer.get("UnprocessedKeys", {})
        return found

    def put(self, item: Item, expected: str | None = None) -> Item:
        """Returns what was there, {} for nothing."""
        request = {"TableName": self._name, "Item": item, **_condition(expected)}
        return self._persist(lambda: self.client.put_item(**request, ReturnValues="ALL_OLD"), [item])

    def delete(self, key: Item) -> Item:
        """Returns what was there, {} for nothing."""
        request = {"TableName": self._name, "Key": key}
        return self._persist(lambda: self.client.delete_item(**request, ReturnValues="ALL_OLD"), [])

    def write(self, changes: Sequence[tuple[Item, str | None]]) -> None:
        """All or none of (item, expected); an item that is but a key is to be deleted."""
        requests = [
            {kind: {"TableName": self._name, what: item, **_condition(expected)}}
            for item, expected in changes
            for kind, what in [("Put", "Item") if "version" in item else ("Delete", "Key")]
        ]
        puts = [item for item, _ in changes if "version" in item]
        self._persist(lambda: self.client.transact_write_items(TransactItems=requests), puts)

    def _persist(self, send: Callable[[], Item], puts: Sequence[Item]) -> Item:
        """Send again while what is in the way passes.

        A refusal is none where our own versions are what is there: botocore repeats a request whose answer was lost,
        and a caller may repeat a write that failed, though it was carried out.
        """
        attempt = 0
        while True:
            try:
                return send().get("Attributes", {})  # type: ignore[no-any-return]
            except ClientError as error:
                attempt += 1
                codes = _codes(error)
                if "ConditionalCheckFailed" in codes:
                    if self._are_there(puts):
                        return {}
                    raise Conflict from error
                if attempt == _ATTEMPTS or not codes & _PASSING:
                    raise
            time.sleep(random.uniform(0, 0.02 * 2**attempt))

    def _are_there(self, puts: Sequence[Item]) -> bool:
        versions = [head["version"] for head in self.heads([key_of(item) for item in puts])]
        return any(item["version"] in versions for item in puts)


def _is_from_dynamodb(parsed: Item, **more: Any) -> None:
    """To botocore any page with status 200, such as a proxy's, is an answer that holds nothing."""
    metadata = parsed["ResponseMetadata"]
    if metadata["HTTPStatusCode"] == 200 and "RequestId" not in metadata:
        raise ResponseParserError("The answer has no request id.")


def key_of(item: Item) -> Item:
    return {name: item[name] for name in ("partition", "sort")}


def _codes(error: ClientError) -> set[str]:
    """Why a request was refused; a transaction has a reason for each of its changes."""
    reasons = error.response.get("CancellationReasons", [error.response["Error"]])
    return {reason["Code"].removesuffix("Exception") for reason in reasons}


def _condition(expected: str | None) -> Item:
    """A record whose time is over is not there, though DynamoDB may keep it for days."""
    if expected is None:
        return {}
    values = {":now": {"N": str(int(time.time()))}}
    if expected == ABSENT:
        condition = "attribute_not_exists(#version) OR #expires <= :now"
    else:
        condition = "#version = :version AND (attribute_not_exists(#expires) OR #expires > :now)"
        values[":version"] = {"S": expected}
    return {
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {"#version": "version", "#expires": "expires"},
        "ExpressionAttributeValues": values,
    }


def _range(partition: str, after: str, before: str | None) -> Item:
    """DynamoDB has no range that is open at both ends: `query` drops the ends of BETWEEN."""
    condition = "#partition = :partition"
    if after and before:
        condition += " AND #sort BETWEEN :after AND :before"
    elif after:
        condition += " AND #sort > :after"
    elif before:
        condition += " AND #sort < :before"
    values = {":partition": partition, ":after": after, ":before": before}
    return {
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": {"#partition": "partition"} | ({"#sort": "sort"} if "#sort" in condition else {}),
        "ExpressionAttributeValues": {name: {"S": value} for name, value in values.items() if value},
    }
