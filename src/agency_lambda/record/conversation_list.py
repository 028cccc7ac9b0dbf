from typing import Any

from agency_lambda.history.conversations import conversation_index
from agency_lambda.record.index_pages import PageQuery, entries, page
from agency_lambda.store import Store


async def list_conversations(store: Store, owner: str, query: PageQuery) -> dict[str, Any]:
    data = list[dict[str, Any]]()
    async for record in entries(store, [conversation_index(owner)], query, at_once=query.limit + 1):
        if len(data) == query.limit:
            return page(data, query, last_read=data[-1]["id"])
        data.append(record.body)
    return page(data, query, last_read=None)
