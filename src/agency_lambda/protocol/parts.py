"""Parts of messages and of outputs; imported when a client sends items.

Accepted are content in the request, ids of the caller's files, and links that the model's server may fetch, which are
checked later.
"""

import binascii
from collections.abc import Mapping
from typing import Any

from agency_lambda.errors import InvalidRequest, UnsupportedParameter
from agency_lambda.protocol.bounds import FileReference, InputBudget
from agency_lambda.protocol.item_types import type_label, validate
from agency_lambda.protocol.lazy_types import without_nulls
from agency_lambda.protocol.types import Item

#: A part's type -> its model in openai.types.responses.
OUTPUT_PARTS = {"output_text": "ResponseOutputText", "refusal": "ResponseOutputRefusal"}
INPUT_PARTS = {
    "input_text": "ResponseInputText",
    "input_image": "ResponseInputImage",
    "input_file": "ResponseInputFile",
}
_DEFAULTS: dict[str, Item] = {"input_image": {"detail": "auto"}, "output_text": {"annotations": []}}
#: A part's type -> its field with a link.
LINK_FIELDS = {"input_image": "image_url", "input_file": "file_url"}
_FILE_DETAIL = "auto"  # the pinned openai package does not know it, and it is the default


def parse_parts(parts: list[Any], kinds: Mapping[str, str], param: str, budget: InputBudget) -> list[Item]:
    """Raises InvalidRequest, UnsupportedParameter."""
    budget.take_parts(len(parts), param)
    return [_parse_part(part, kinds, f"{param}[{number}]", budget) for number, part in enumerate(parts)]


def as_output_text(part: Item) -> Item:
    """Return an assistant's part as Chat Completions has it, which knows no other one with a text."""
    return {**_DEFAULTS["output_text"], **part, "type": "output_text"} if "text" in part else part


def _parse_part(part: Any, kinds: Mapping[str, str], param: str, budget: InputBudget) -> Item:
    part = without_nulls(part)
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise UnsupportedParameter(f"Content of type {type_label(kind)} is not supported here.", param=f"{param}.type")
    if kind == "input_file" and part.get("detail") == _FILE_DETAIL:
        part = {name: value for name, value in part.items() if name != "detail"}
    valid = validate(kinds[kind], {**_DEFAULTS.get(kind, {}), **part}, param)
    if valid.get("file_id") is not None:
        return _with_file(valid, param, budget)
    if url := valid.get(LINK_FIELDS.get(kind, "")):
        return _with_link(valid, url, param, budget)
    if kind == "input_image":
        raise InvalidRequest("An image has an image_url, or a file_id.", param=f"{param}.image_url")
    if kind == "input_file":
        if not str(valid.get("file_data")).startswith("data:"):
            raise InvalidRequest("A file is sent as file_data, a data URL.", param=f"{param}.file_data")
        _check_data_url(valid["file_data"], f"{param}.file_data")
    return valid


def _check_data_url(url: str, param: str) -> None:
    """Raises InvalidRequest: it has no content in base64. What the content is the model's provider decides."""
    head, _, text = url.partition(",")
    content = "".join(text.split()).rstrip("=")  # some encoders break lines, or leave out the end
    try:
        binascii.a2b_base64(content + "=" * (-len(content) % 4), strict_mode=True)
    except ValueError:
        content = ""
    if not content or not head.endswith(";base64"):
        raise InvalidRequest("A data URL is data:TYPE;base64,CONTENT, with content in base64.", param=param)


def _with_link(part: Item, url: str, param: str, budget: InputBudget) -> Item:
    field = LINK_FIELDS[part["type"]]
    if part["type"] == "input_image" and url.startswith("data:image/"):
        _check_data_url(url, f"{param}.{field}")
        return part
    if part.get("file_data") is not None:
        raise InvalidRequest("Send either file_url or file_data, not both.", param=f"{param}.file_url")
    from agency_lambda.protocol.links import check_link  # few requests have one

    check_link(url, f"{param}.{field}")
    budget.take_link(f"{param}.{field}")
    return part


def _with_file(part: Item, param: str, budget: InputBudget) -> Item:
    for name in ("file_data", "image_url", "file_url"):
        if part.get(name) is not None:
            raise InvalidRequest(f"Send either file_id or {name}, not both.", param=f"{param}.{name}")
    budget.take_file(FileReference(part["file_id"], part["type"], f"{param}.file_id"))
    return part
