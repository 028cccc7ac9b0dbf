"""Files that a request names as input."""

import asyncio
from collections.abc import Sequence

from agency_lambda.errors import NO_FILES, FilesNotConfigured, UnsupportedParameter
from agency_lambda.files.model import StoredFile, not_found
from agency_lambda.files.service import Files
from agency_lambda.protocol import bounds
from agency_lambda.protocol.bounds import FileReference
from agency_lambda.protocol.ids import is_file_id

#: A kind of file -> the part of an input that it is sent as.
PARTS = {"image": "input_image", "pdf": "input_file", "text": "input_file"}


async def check_inputs(files: Files | None, owner: str, named: Sequence[FileReference]) -> None:
    """Raises NotFound, UnsupportedParameter, InvalidRequest."""
    for each in named:
        if not is_file_id(each.id):
            raise not_found(each.id, each.param)
    if files is None:
        raise FilesNotConfigured(NO_FILES, param=named[0].param)
    params = {each.id: each.param for each in reversed(named)}
    found = await asyncio.gather(*(files.get(owner, file_id, param) for file_id, param in params.items()))
    known, left = {file.id: file for file in found}, bounds.MODEL_FILES
    for each in named:
        _check_kind(known[each.id], each)
        left -= known[each.id].size
        if left < 0:
            raise bounds.over_limit(each.param, "bytes of files in all items", bounds.MODEL_FILES)


def _check_kind(file: StoredFile, named: FileReference) -> None:
    part = PARTS.get(file.kind)
    if part is None:
        message = f"{file.name!r} ({file.media_type}) cannot be an input: PNG, JPEG, GIF, WebP, PDF and text can."
        raise UnsupportedParameter(message, param=named.param)
    if part != named.kind:
        raise UnsupportedParameter(f"{file.name!r} ({file.media_type}) is sent as {part!r}.", param=named.param)
