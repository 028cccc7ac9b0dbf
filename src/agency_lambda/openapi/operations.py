"""What the document says of each of the service's routes: its name in clients, and the types of its answers."""

from dataclasses import dataclass
from typing import Any

from agency_lambda.openapi.ag_ui import AgUiEvent, AgUiRunInput
from agency_lambda.openapi.agencies import AgencyList, CallerResource, Health, Model, ModelList
from agency_lambda.openapi.approvals import Approval, ApprovalList
from agency_lambda.openapi.chat import ChatCompletion, ChatCompletionEvent, ChatFailureAnswer
from agency_lambda.openapi.events import ResponseStreamEvent
from agency_lambda.openapi.files import DeletedFile, File, FileList, Upload, UploadPart
from agency_lambda.openapi.items import Item
from agency_lambda.openapi.lists import (
    CancelledResponseList,
    Conversation,
    ConversationList,
    DeletedConversation,
    ItemList,
    ResponseList,
    ResponseListOfOwners,
)
from agency_lambda.openapi.mcp import McpBody, McpFailure, McpMessage, ProtectedResource
from agency_lambda.openapi.response import (
    CompactedResponse,
    DeletedResponse,
    InputTokens,
    ResponseOfOwner,
    ResponseResource,
    UnfinishedCompletion,
)
from agency_lambda.openapi.run_fastapi import CancelledSwarm, SwarmAnswer, SwarmEvent, SwarmMetadata
from agency_lambda.openapi.trace import Trace, TraceOfOwner
from agency_lambda.openapi.usage import OwnersBudget, UsagePage, UsagePageOfOwners
from agency_lambda.openapi.webhooks import DeletedWebhook, WebhookDelivery, WebhookDeliveryList, WebhookEndpoint


@dataclass(frozen=True)
class Operation:
    """name: in clients. body: of the 200, None if the route says it. event: of a stream. accepted: of the 202.

    downloads: the 200 has the bytes of a file. request: the body, of a route that does not say it.
    failure: in place of what routes answer otherwise.
    """

    name: str
    body: Any = None
    event: Any = None
    accepted: Any = None
    downloads: bool = False
    request: Any = None
    failure: Any = None


#: tag -> "METHOD path" -> what
OPERATIONS: dict[str, dict[str, Operation]] = {
    "responses": {
        "POST /v1/responses": Operation("createResponse", ResponseResource, ResponseStreamEvent, ResponseResource),
        "GET /v1/responses": Operation("listResponses", ResponseList),
        "POST /v1/responses/cancel": Operation("cancelResponses", CancelledResponseList),
        "POST /v1/responses/compact": Operation("compactResponse", CompactedResponse),
        "POST /v1/responses/input_tokens": Operation("countInputTokens", InputTokens),
        "GET /v1/responses/{response_id}": Operation("getResponse", ResponseResource, ResponseStreamEvent),
        "DELETE /v1/responses/{response_id}": Operation("deleteResponse", DeletedResponse),
        "POST /v1/responses/{response_id}/cancel": Operation(
            "cancelResponse", ResponseResource, accepted=ResponseResource
        ),
        "GET /v1/responses/{response_id}/input_items": Operation("listInputItems", ItemList),
        "GET /v1/responses/{response_id}/trace": Operation("getTrace", Trace),
    },
    "chat": {
        "POST /v1/chat/completions": Operation(
            "createChatCompletion", ChatCompletion, ChatCompletionEvent, failure=ChatFailureAnswer
        ),
    },
    "conversations": {
        "POST /v1/conversations": Operation("createConversation", Conversation),
        "GET /v1/conversations": Operation("listConversations", ConversationList),
        "GET /v1/conversations/{conversation_id}": Operation("getConversation", Conversation),
        "POST /v1/conversations/{conversation_id}": Operation("updateConversation", Conversation),
        "DELETE /v1/conversations/{conversation_id}": Operation("deleteConversation", DeletedConversation),
        "GET /v1/conversations/{conversation_id}/items": Operation("listConversationItems", ItemList),
        "POST /v1/conversations/{conversation_id}/items": Operation("createConversationItems", ItemList),
        "GET /v1/conversations/{conversation_id}/items/{item_id}": Operation("getConversationItem", Item),
        "DELETE /v1/conversations/{conversation_id}/items/{item_id}": Operation("deleteConversationItem", Conversation),
    },
    "approvals": {
        "GET /v1/approvals": Operation("listApprovals", ApprovalList),
        "GET /v1/approvals/{approval_id}": Operation("getApproval", Approval),
        "POST /v1/approvals/{approval_id}": Operation("decideApproval", Approval),
    },
    "webhooks": {
        "PUT /v1/webhooks": Operation("setWebhook", WebhookEndpoint),
        "GET /v1/webhooks": Operation("getWebhook", WebhookEndpoint),
        "DELETE /v1/webhooks": Operation("deleteWebhook", DeletedWebhook),
        "GET /v1/webhooks/deliveries": Operation("listWebhookDeliveries", WebhookDeliveryList),
        "POST /v1/webhooks/deliveries/{delivery_id}/redeliver": Operation("redeliverWebhookEvent", WebhookDelivery),
    },
    "files": {
        "POST /v1/files": Operation("createFile", File),
        "GET /v1/files": Operation("listFiles", FileList),
        "GET /v1/files/{file_id}": Operation("getFile", File),
        "DELETE /v1/files/{file_id}": Operation("deleteFile", DeletedFile),
        "GET /v1/files/{file_id}/content": Operation("downloadFile", downloads=True),
        "GET /v1/containers/{container_id}/files/{file_id}/content": Operation("downloadContainerFile", downloads=True),
        "POST /v1/uploads": Operation("createUpload", Upload),
        "POST /v1/uploads/{upload_id}/parts": Operation("addUploadPart", UploadPart),
        "POST /v1/uploads/{upload_id}/complete": Operation("completeUpload", Upload),
        "POST /v1/uploads/{upload_id}/cancel": Operation("cancelUpload", Upload),
    },
    "agencies": {
        "GET /agencies": Operation("listAgencies", AgencyList),
        "GET /v1/caller": Operation("getCaller", CallerResource),
        "GET /v1/models": Operation("listModels", ModelList),
        "GET /v1/models/{model}": Operation("getModel", Model),
        "POST /completion": Operation("createCompletion", accepted=UnfinishedCompletion),
        "GET /health": Operation("getHealth", Health),
    },
    "agency-swarm": {
        "POST /{agency}/get_response": Operation("getSwarmResponse", SwarmAnswer, accepted=SwarmAnswer),
        "POST /{agency}/get_response_stream": Operation("streamSwarmResponse", event=SwarmEvent),
        "POST /{agency}/cancel_response_stream": Operation("cancelSwarmResponse", CancelledSwarm),
        "GET /{agency}/get_metadata": Operation("getSwarmMetadata", SwarmMetadata),
    },
    "mcp": {
        "POST /mcp": Operation("sendMcpMessage", McpBody, McpMessage, request=McpBody, failure=McpFailure),
        "GET /.well-known/oauth-protected-resource": Operation("getProtectedResource", ProtectedResource),
        "GET /.well-known/oauth-protected-resource/mcp": Operation("getProtectedMcpResource", ProtectedResource),
    },
    "usage": {
        "GET /v1/usage": Operation("getUsage", UsagePage),
    },
    "ag-ui": {
        "POST /ag-ui/{agency}": Operation("runAgency", event=AgUiEvent, request=AgUiRunInput),
        "POST /ag-ui/{agency}/{agent}": Operation("runAgent", event=AgUiEvent, request=AgUiRunInput),
    },
    "operators": {
        "GET /v1/admin/responses": Operation("listResponsesOfOwners", ResponseListOfOwners),
        "POST /v1/admin/responses/cancel": Operation("cancelResponsesOfOwner", CancelledResponseList),
        "GET /v1/admin/responses/{response_id}": Operation("getResponseOfOwner", ResponseOfOwner),
        "GET /v1/admin/responses/{response_id}/trace": Operation("getTraceOfOwner", TraceOfOwner),
        "POST /v1/admin/responses/{response_id}/cancel": Operation(
            "cancelResponseOfOwner", ResponseResource, accepted=ResponseResource
        ),
        "GET /v1/admin/usage": Operation("getUsageOfOwners", UsagePageOfOwners),
        "GET /v1/admin/budgets/{owner}": Operation("getBudget", OwnersBudget),
        "PUT /v1/admin/budgets/{owner}": Operation("setBudget", OwnersBudget),
        "DELETE /v1/admin/budgets/{owner}": Operation("resetBudget", OwnersBudget),
    },
}
