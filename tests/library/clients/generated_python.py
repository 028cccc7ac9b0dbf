"""With the client that openapi-python-client makes of the document: a response, a stream, and the pages of a list."""

import importlib
import json
import os
import pkgutil

import made
from made import AuthenticatedClient
from made.api.responses import create_response, list_responses
from made.models import (
    CreateResponse,
    ListResponsesOrder,
    OpenAIFailureAnswer,
    OutputMessage,
    OutputText,
    ResponseCompletedEvent,
    ResponseResource,
    ResponseTextDeltaEvent,
)

for module in pkgutil.walk_packages(made.__path__, "made."):
    importlib.import_module(module.name)

client = AuthenticatedClient(os.environ["URL"], os.environ["API_KEY"], raise_on_unexpected_status=True)
question = CreateResponse(model=os.environ["MODEL"], input_=os.environ["QUESTION"])
response = create_response.sync(client=client, body=question)
assert isinstance(response, ResponseResource)
(message,) = [item for item in response.output if isinstance(item, OutputMessage)]
assert isinstance(message.content[0], OutputText)

refused = create_response.sync(client=client, body=CreateResponse(model="nobody", input_="?"))
assert isinstance(refused, OpenAIFailureAnswer)
assert refused.error.code == "model_not_found"

question.stream = True
arguments = create_response._get_kwargs(body=question)
with client.get_httpx_client().stream(**arguments) as stream:
    lines = [line.removeprefix("data: ") for line in stream.iter_lines() if line.startswith("data: {")]
deltas = [ResponseTextDeltaEvent.from_dict(json.loads(line)) for line in lines if "output_text.delta" in line]
last = ResponseCompletedEvent.from_dict(json.loads(lines[-1]))
(message,) = [item for item in last.response.output if isinstance(item, OutputMessage)]
assert "".join(each.delta for each in deltas) == message.content[0].text

first = list_responses.sync(client=client, limit=1, order=ListResponsesOrder.DESC)
second = list_responses.sync(client=client, limit=1, after=first.last_id)
assert [each.id for page in (first, second) for each in page.data] == [last.response.id, response.id]
