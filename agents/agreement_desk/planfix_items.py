"""Numbered items in a partition of a DynamoDB table, whose keys are `partition` and `sort` (S).

GetItem, Query and PutItem are all that it takes. Nothing is ever removed, so ids have no gaps, and whoever finds an id
taken takes the next.
"""

import random
import time
import uuid
from collections.abc import Iterator
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from agreement_desk.task import PlanfixError

PARTITION = "board"  # in the service's own table too: its partitions are `running`, or have a slash
ATTEMPTS = 200  # at an id or a version that another one was quicker to write
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4})

type Item = dict[str, Any]


class Items:
    def __init__(self, table: str) -> None:
        self._table = table

    def get(self, kind: str, number: int) -> Item | None:
        answer: Item = client().get_item(TableName=self._table, Key=_key(kind, number), ConsistentRead=True)
        return answer.get("Item")

    def all(self, kind: str, **more: Any) -> Iterator[Item]:
        """By id."""
        pages = (
            client()
            .get_paginator("query")
            .paginate(
                TableName=self._table,
                ConsistentRead=True,
                KeyConditionExpression="#partition = :partition AND begins_with(#sort, :kind)",
                ExpressionAttributeNames={"#partition": "partition", "#sort": "sort"},
                ExpressionAttributeValues={":partition": {"S": PARTITION}, ":kind": {"S": f"{kind}/"}},
                **more,
            )
        )
        for page in pages:
            yield from page["Items"]

    def add(self, kind: str, attributes: Item) -> int:
        """Under the first free id, which is returned."""
        newest = next(self.all(kind, ScanIndexForward=False, PaginationConfig={"PageSize": 1}), None)
        first = id_of(newest) + 1 if newest else 1
        for number in range(first, first + ATTEMPTS):
            if self._put({**_key(kind, number), **attributes}, over=None):
                return number
        raise _busy()

    def change(self, kind: str, number: int, attributes: Item) -> bool:
        """Replace some attributes; False: there is no such item."""
        for _ in range(ATTEMPTS):
            if (there := self.get(kind, number)) is None:
                return False
            if self._put({**there, **attributes}, over=there["version"]):
                return True
            time.sleep(random.uniform(0, 0.01))
        raise _busy()

    def _put(self, item: Item, over: Item | None) -> bool:
        """Write it over this version, or over nothing; False: there is something else.

        Our own version there is no refusal: botocore repeats a request whose answer was lost.
        """
        version = {"S": uuid.uuid4().hex}
        condition: Item = {"ConditionExpression": "attribute_not_exists(#version)"}
        if over is not None:
            values = {":version": over}
            condition = {"ConditionExpression": "#version = :version", "ExpressionAttributeValues": values}
        try:
            client().put_item(
                TableName=self._table,
                Item={**item, "version": version},
                ExpressionAttributeNames={"#version": "version"},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **condition,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return bool(error.response.get("Item", {}).get("version") == version)
        return True


@cache
def client() -> Any:
    """Made when first used; threads may share it."""
    return boto3.session.Session().client("dynamodb", config=CONFIG)


def id_of(item: Item) -> int:
    return int(item["sort"]["S"].partition("/")[2])


def _key(kind: str, number: int) -> Item:
    return {"partition": {"S": PARTITION}, "sort": {"S": f"{kind}/{number:012}"}}


def _busy() -> PlanfixError:
    return PlanfixError("The board's table is changed by too many at once")
