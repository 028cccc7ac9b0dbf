"""What is deferred by default: an agency's framework and what comes with it."""

# A name that a release no longer has changes nothing but the time that a start takes.

#: whose modules import what they take from one another at the first use
PACKAGES = frozenset(
    (
        *("agency_swarm", "agents", "anyio", "aws_lambda_powertools", "boto3", "botocore", "click"),
        *("datamodel_code_generator", "dateutil", "email_validator", "fastapi", "fastmcp", "griffe"),
        *("httpx", "jmespath", "jsonref", "mangum", "mcp", "openai", "opentelemetry", "pydantic_settings"),
        *("requests", "rich", "s3transfer", "sse_starlette", "starlette", "urllib3", "uvicorn", "websockets"),
    )
)

_RESULTS = ("CallToolResult", "GetPromptResult", "ListPromptsResult", "ReadResourceResult")
_LISTS = ("ListResourcesResult", "ListResourceTemplatesResult")

#: module -> names that its functions and classes use in annotations alone, and whose import takes long
ANNOTATIONS: dict[str, tuple[str, ...]] = {
    "fastapi.params": ("Example",),
    "fastapi.param_functions": ("Example",),
    "fastapi.security.base": ("SecurityBaseModel",),
    "agency_swarm.mcp.oauth": ("OAuthClientInformationFull", "OAuthClientProvider", "OAuthToken"),
    "agency_swarm.mcp.oauth_client": ("MCPTool", "OAuthClientProvider", *_RESULTS, *_LISTS),
    "agency_swarm.mcp.oauth_config": ("OAuthClientInformationFull", "OAuthClientMetadata", "TokenStorage"),
    "mcp.shared.message": ("JSONRPCMessage", "RequestId"),
    "mcp.client.streamable_http": ("JSONRPCError", "JSONRPCMessage", "JSONRPCResponse", "RequestId"),
    "agents.sandbox.capabilities.capability": ("Manifest",),
    "agents.sandbox.session.base_sandbox_session": ("SandboxSessionState",),
}

#: module -> classes that are made when they are first read: a default value in them asks for what takes long
CLASSES: dict[str, tuple[str, ...]] = {
    "fastapi.security.oauth2": ("OAuth2", "OAuth2PasswordBearer", "OAuth2AuthorizationCodeBearer"),
}

#: modules of many pydantic models, of which a run needs few: each is completed at its first use (`defer_build`)
MODELS = frozenset({"fastapi.openapi.models", "mcp.types"})

#: builtins that programs and tests put their own in place of; a module looks for these each time
REPLACED = frozenset({"input", "open", "print"})
