"""Counter records as DynamoDB items: an attribute `sum/NAME` (N) for each, and no body."""

from typing import Any

from agency_lambda.store import Add

_PREFIX = "sum/"


def is_counter(item: dict[str, Any]) -> bool:
    return "body" not in item and "parts" not in item


def sums_of(item: dict[str, Any]) -> dict[str, int]:
    return {name.removeprefix(_PREFIX): int(value["N"]) for name, value in item.items() if name.startswith(_PREFIX)}


def update(add: Add, now: int) -> dict[str, Any]:
    names, values = {"#version": "version", "#expires": "expires"}, {":version": {"S": add.version}}
    values[":now"] = {"N": str(now)}
    # DynamoDB may keep an expired item for days: its sums do not count.
    conditions = ["(attribute_not_exists(#expires) OR #expires > :now)"]
    for number, name in enumerate({**add.amounts, **add.at_most}):
        names[f"#{number}"], amount = f"{_PREFIX}{name}", add.amounts.get(name, 0)
        if name in add.amounts:
            values[f":amount{number}"] = {"N": str(amount)}
        if (most := add.at_most.get(name)) is not None:
            values[f":most{number}"] = {"N": str(most - amount)}
            fits = f"#{number} <= :most{number}"
            conditions.append(f"(attribute_not_exists(#{number}) OR {fits})" if amount <= most else fits)
    if add.expires is not None:
        values[":expires"] = {"N": str(add.expires)}
    return {
        "UpdateExpression": _expression(add),
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


def _expression(add: Add) -> str:
    additions = ", ".join(f"#{number} :amount{number}" for number in range(len(add.amounts)))
    expiry = " REMOVE #expires" if add.expires is None else ", #expires = :expires"
    return f"SET #version = :version{expiry}" + (f" ADD {additions}" if additions else "")
