from typing import Any

from agents import Model, ModelResponse, ModelSettings, ModelTracing
from openai.types.responses import ResponseOutputMessage

from agency_lambda.framework.models.calls import ModelRequest
from agency_lambda.framework.models.failures import ModelUnavailable, provider_failures
from agency_lambda.framework.models.meter import Meter
from agency_lambda.framework.reserved_call import ReservedCall
from agency_lambda.framework.spending import Spending
from agency_lambda.protocol.items import text_of

_STATELESS: dict[str, Any] = {"previous_response_id": None, "conversation_id": None, "prompt": None}


async def ask_once(model: Model, instructions: str, text: str, meter: Meter, spending: Spending | None = None) -> str:
    """Return a model's answer to one text, without tools or history. `meter` counts the call.

    Raises:
        ModelUnavailable: the model did not answer.
        BudgetExceeded, UnboundedCost: the call does not fit into `spending`.
    """
    request = ModelRequest(instructions, text, meter.begin_call(ModelSettings()), [], None)
    reserved = ReservedCall(spending)
    settings = (await reserved.reserve(model, request)).settings
    try:
        with provider_failures():
            answer = await model.get_response(
                instructions, text, settings, [], None, [], ModelTracing.DISABLED, **_STATELESS
            )
    except ModelUnavailable:
        await reserved.release_if_free()
        raise
    meter.add(answer.usage)
    if reserved.reservation:
        await reserved.reservation.write_settled(answer.usage)
    if answer_text := _text(answer):
        return answer_text
    raise ModelUnavailable


def _text(answer: ModelResponse) -> str:
    messages = [item for item in answer.output if isinstance(item, ResponseOutputMessage)]
    return "".join(text_of([part.model_dump() for part in message.content]) for message in messages)
