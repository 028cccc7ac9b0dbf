import time
from collections.abc import Sequence
from dataclasses import replace

from agency_lambda.store import Conflict, Store
from agency_lambda.webhooks.model import Endpoint, delete_endpoint, find_endpoint, no_webhook
from agency_lambda.webhooks.signatures import new_secret

_OVERLAP = 24 * 3600  # seconds in which the secret before signs too


async def get_endpoint(store: Store, owner: str) -> Endpoint:
    """Raises NotFound."""
    found = await find_endpoint(store, owner)
    if found is None:
        raise no_webhook()
    return found


async def remove_endpoint(store: Store, owner: str) -> None:
    """Raises NotFound."""
    await get_endpoint(store, owner)
    await store.write(delete_endpoint(owner))


async def save_endpoint(
    store: Store, owner: str, url: str, events: Sequence[str], *, rotates_secret: bool
) -> tuple[Endpoint, bool]:
    """Store the owner's endpoint; returns it, and whether its secret is new."""
    while True:
        before = await find_endpoint(store, owner)
        is_new = before is None or rotates_secret
        after = _changed(before, new_secret() if is_new else None, url=url, events=events)
        try:
            await store.write(after.put(owner))
        except Conflict:
            continue
        return after, is_new


def _changed(before: Endpoint | None, secret: str | None, *, url: str, events: Sequence[str]) -> Endpoint:
    """secret: a new one."""
    now = int(time.time())
    if before is None:
        return Endpoint(url=url, events=events, secret=str(secret), created_at=now)
    after = replace(before, url=url, events=events)
    if secret is None:
        return after
    return replace(after, secret=secret, previous_secret=before.secret, previous_until=now + _OVERLAP)
