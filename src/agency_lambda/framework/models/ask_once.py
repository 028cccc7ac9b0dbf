from contextlib import suppress
from typing import Any

from agents import Model, ModelSettings, ModelTracing
from openai.types.responses import ResponseOutputMessage

from agency_lambda.errors import StoreUnavailable
from agency_lambda.framework import worst_case
from agency_lambda.framework.models.calls import ModelRequest
from agency_lambda.framework.models.failures import ModelUnavailable, provider_failures
from agency_lambda.framework.models.meter import Meter
from agency_lambda.framework.spending import Spending
from agency_lambda.protocol.items import text_of


async def ask_once(model: Model, instructions: str, text: str, meter: Meter, spending: Spending | None = None) -> str:
    """Return a model's answer to one text, without tools or history. `meter` counts the call.

    Raises:
        ModelUnavailable: the model did not answer.
        BudgetExceeded, UnboundedCost: the call does not fit into `spending`.
    """
    request = ModelRequest(instructions, text, meter.begin_call(ModelSettings()), [], None)
    server_state: dict[str, Any] = {"previous_response_id": None, "conversation_id": None, "prompt": None}
    reservation = None
    if spending:
        request = worst_case.limited(request, spending)
        reservation = await spending.reserve(worst_case.of_call(spending, model, request))
    settings = request.settings
    with provider_failures():
        answer = await model.get_response(
            instructions, text, settings, [], None, [], ModelTracing.DISABLED, **server_state
        )
    meter.add(answer.usage)
    if reservation:
        with suppress(StoreUnavailable):  # what was reserved counts as spent
            await reservation.write_settled(answer.usage)
    messages = [item for item in answer.output if isinstance(item, ResponseOutputMessage)]
    answer_text = "".join(text_of([part.model_dump() for part in message.content]) for message in messages)
    if not answer_text:
        raise ModelUnavailable
    return answer_text
