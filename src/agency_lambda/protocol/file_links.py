"""Files that an answer cites, for protocols that know links only."""

from collections.abc import Iterator
from dataclasses import dataclass

from agency_lambda.protocol.ids import is_file_id
from agency_lambda.protocol.types import Item


@dataclass(frozen=True)
class FileLinks:
    """Where files are read. base_url: of the service, None where it has no route for files."""

    base_url: str | None = None

    def citations(self, message: Item) -> Iterator[Item]:
        """Yield the annotations that cite a file of the caller, each with its `url`."""
        for part in message["content"] if self.base_url is not None else ():
            for each in part.get("annotations") or ():
                if is_file_id(each.get("file_id")):
                    yield {**each, "url": f"{self.base_url}/v1/files/{each['file_id']}/content"}
