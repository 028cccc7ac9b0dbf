"""Files that a provider's code interpreter has written, as files of the caller: the provider forgets them soon."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agency_lambda.errors import ServiceError
from agency_lambda.framework.models import FetchFile
from agency_lambda.framework.public_items import container_citations
from agency_lambda.protocol.ids import new_id
from agency_lambda.protocol.journal_keys import Row

if TYPE_CHECKING:
    from agency_lambda.framework.context import RunContext

logger = logging.getLogger(__name__)
_MOST = 10  # files of an answer
_SECONDS = 20.0  # for all of them


async def save_cited(run: "RunContext", call: str, items: Sequence[Any], fetch: FetchFile) -> Mapping[str, Any]:
    """Return what is stored, by the provider's ids; a file that cannot be had is left out. call: its key."""
    if not run.files.available:
        return {}
    cited = {each.file_id: each for each in container_citations(items)}
    saved = dict[str, Any]()
    try:
        async with asyncio.timeout(_SECONDS):
            for number, (file_id, each) in enumerate([*cited.items()][:_MOST], 1):
                if file := await _saved(run, Row.FILE.key(call, number), each, fetch):
                    saved[file_id] = file
    except (ServiceError, TimeoutError) as error:
        logger.warning("not all files of a container were stored: %s", type(error).__name__)
    return saved


async def _saved(run: "RunContext", row_key: str, cited: Any, fetch: FetchFile) -> Any:
    row = run.journal.find_row(row_key)
    if row and (file := await run.files.find(row["id"])):
        return file
    content = await fetch(cited.container_id, cited.file_id)
    if content is None:
        return None
    if row is None:
        row = await run.journal.add_row(row_key, {"id": new_id("file"), "name": cited.filename})
    return await run.files.save(row["id"], cited.filename, content, None, cited.container_id)
