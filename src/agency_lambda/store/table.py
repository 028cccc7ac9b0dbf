"""A DynamoDB table with `partition` and `sort` (S), `version` (S), and time to live `expires` (N)."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from agency_lambda.store import ABSENT, Add, Conflict, LimitReached
from agency_lambda.store.counters import sums_of, update

FAILURES = (BotoCoreError, ClientError, ResponseParserError)
CONNECTIONS = 16
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 4},  # 20 s of silence in all; the gateway waits for 29
    max_pool_connections=CONNECTIONS,
)
_HEAD = {
    "ProjectionExpression": "#version, #parts",
    "ExpressionAttributeNames": {"#version": "version", "#parts": "parts"},
}
_MAX_ATTEMPTS = 8
_TRANSIENT = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}

type Item = dict[str, Any]


class Table:
    """Consistent reads and conditional writes. Every method may raise FAILURES."""

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
        with self._lock:  # clients are thread-safe, but making one is not
            if self._client is None:
                self._client = boto3.session.Session().client("dynamodb", config=_CONFIG)
                self._client.meta.events.register("after-call.dynamodb", _check_request_id)
            return self._client

    def get(self, key: Item) -> Item | None:
        response: Item = self.client.get_item(TableName=self._name, Key=key, ConsistentRead=True)
        return response.get("Item")

    def query(
        self,
        partition: str,
        after: str = "",
        before: str | None = None,
        limit: int | None = None,
        descending: bool = False,
    ) -> Iterator[Item]:
        """Yield the items with after < sort < before, reading pages of `limit` or 1 MB."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self._name,
            ConsistentRead=True,
            PaginationConfig={"PageSize": limit},
            ScanIndexForward=not descending,
            **_range(partition, after, before),
        )
        for page in pages:
            yield from (item for item in page["Items"] if item["sort"]["S"] not in (after, before))

    def heads(self, keys: Sequence[Item]) -> list[Item]:
        """Return `version` and `parts` of the items that exist."""
        items: list[Item] = []
        unread: Item = {self._name: {"Keys": keys, "ConsistentRead": True, **_HEAD}} if keys else {}
        while unread:  # DynamoDB returns at least one, or an error
            response = self.client.batch_get_item(RequestItems=unread)
            items += response["Responses"].get(self._name, [])
            unread = response.get("UnprocessedKeys", {})
        return items

    def put(self, item: Item, expected: str | None = None) -> Item:
        """Return the replaced item, or {}."""
        request = {"TableName": self._name, "Item": item, **_condition(expected)}
        return self._persist(lambda: self.client.put_item(**request, ReturnValues="ALL_OLD"), [item])

    def delete(self, key: Item) -> Item:
        """Return the deleted item, or {}."""
        request = {"TableName": self._name, "Key": key}
        return self._persist(lambda: self.client.delete_item(**request, ReturnValues="ALL_OLD"), [])

    def write(self, changes: Sequence[tuple[Item, str | None]], adds: Sequence[Add] = ()) -> None:
        """Write all pairs (item, expected version) and counters, or none; an item that is only a key is deleted."""
        requests = [
            {kind: {"TableName": self._name, field: item, **_condition(expected)}}
            for item, expected in changes
            for kind, field in [("Put", "Item") if "version" in item else ("Delete", "Key")]
        ]
        puts = [item for item, _ in changes if "version" in item]
        self._persist(
            lambda: self.client.transact_write_items(TransactItems=[*requests, *self._updates(adds)]), puts, adds
        )

    def _updates(self, adds: Sequence[Add]) -> list[Item]:
        now = int(time.time())
        return [{"Update": {"TableName": self._name, "Key": _key_of(add), **update(add, now)}} for add in adds]

    def _persist(self, send: Callable[[], Item], puts: Sequence[Item], adds: Sequence[Add] = ()) -> Item:
        """Repeat after transient errors. Raises Conflict."""
        attempt = 0
        while True:
            try:
                return send().get("Attributes", {})  # type: ignore[no-any-return]
            except ClientError as error:
                attempt += 1
                codes = _codes(error)
                if "ConditionalCheckFailed" in codes:
                    if self._is_stored(puts):  # by an earlier attempt, whose answer was lost
                        return {}
                    self._check_counters(error, adds)
                elif not codes & _TRANSIENT:
                    raise
                if attempt == _MAX_ATTEMPTS:
                    raise
            time.sleep(random.uniform(0, 0.02 * 2**attempt))

    def _check_counters(self, error: ClientError, adds: Sequence[Add]) -> None:
        """Raise the Conflict that prevented a write; return if it may be repeated."""
        codes = [reason["Code"] for reason in error.response.get("CancellationReasons", [])]
        others = codes[: len(codes) - len(adds)]  # the counters are last
        if not adds or "ConditionalCheckFailed" in others:
            raise Conflict from error
        for add in adds:
            item = self.get(_key_of(add)) or {}
            if "expires" in item and int(item["expires"]["N"]) <= time.time():
                self._delete_expired(_key_of(add))
            elif name := add.exceeded(sums_of(item)):
                raise LimitReached(add, name) from error

    def _delete_expired(self, key: Item) -> None:
        values = {":now": {"N": str(int(time.time()))}}
        condition: Item = {"ConditionExpression": "expires <= :now", "ExpressionAttributeValues": values}
        with suppress(self.client.exceptions.ConditionalCheckFailedException):  # others have begun it anew
            self.client.delete_item(TableName=self._name, Key=key, **condition)

    def _is_stored(self, puts: Sequence[Item]) -> bool:
        versions = [head["version"] for head in self.heads([key_of(item) for item in puts])]
        return any(item["version"] in versions for item in puts)


def _check_request_id(parsed: Item, **_: Any) -> None:
    """Refuse a proxy's page, which botocore takes for an empty answer."""
    metadata = parsed["ResponseMetadata"]
    if metadata["HTTPStatusCode"] == 200 and "RequestId" not in metadata:
        raise ResponseParserError("The answer has no request id.")


def key_of(item: Item) -> Item:
    return {name: item[name] for name in ("partition", "sort")}


def _key_of(add: Add) -> Item:
    return {"partition": {"S": add.partition}, "sort": {"S": add.sort}}


def _codes(error: ClientError) -> set[str]:
    """Return the codes; a transaction has one for each change."""
    reasons = error.response.get("CancellationReasons", [error.response["Error"]])
    return {reason["Code"].removesuffix("Exception") for reason in reasons}


def _condition(expected: str | None) -> Item:
    if expected is None:
        return {}
    # DynamoDB may keep an expired item for days.
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
    # DynamoDB has no range that excludes both ends: `query` drops those of BETWEEN.
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
