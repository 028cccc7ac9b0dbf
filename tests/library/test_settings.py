"""Settings: typed, frozen, and refused by name."""

import pytest
from pydantic import ValidationError

from agency_lambda.settings import ConfigurationError, get_settings

HASH, OTHER = "0a" * 32, "1B" * 32


def test_the_defaults_are_embedded_and_offline(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.delenv("STORE")
    settings = get_settings()
    assert (settings.event_loop, settings.openai_api_key) == ("patch", None)
    assert settings.store == "sqlite:///.data/agency.db"
    assert (settings.auth, settings.api_keys, settings.cors_origins) == ("none", (), ())
    assert (settings.approvers, settings.approval_days) == ("both", 30)
    assert (settings.max_model_calls, settings.max_output_tokens) == (50, 100_000)
    with pytest.raises(ValidationError):
        settings.model = "x"  # type: ignore[misc]


def test_on_lambda_only_tmp_is_written(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.delenv("STORE")
    clean_environment.setenv("AWS_LAMBDA_FUNCTION_NAME", "api")
    clean_environment.setenv("API_KEYS", f"alice:{HASH}")
    assert get_settings().store == "sqlite:////tmp/agency.db"


def test_an_empty_variable_is_not_set(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("OPENAI_API_KEY", "")
    assert get_settings().openai_api_key is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENT_LOOP", "fast"),
        ("MODEL_API", "completions"),
        ("STORE", "postgres://x"),
        ("STORE", "sqlite:///"),
        ("STORE", "dynamodb://"),
        ("STORE", "dynamodb://ab"),
        ("STORE", "dynamodb://" + "a" * 256),
        ("STORE", "dynamodb://a/b"),
        ("STORE", "dynamodb://table\n"),
        ("QUEUE", "sqs"),
        ("QUEUE", "sqs://queue"),
        ("AUTH", "key"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://app.example.com, *"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("CORS_ORIGINS", "app.example.com"),
        ("CORS_ORIGINS", "https://app.example.com/"),
        ("CORS_ORIGINS", "https://app.example.com/path"),
        ("CORS_ORIGINS", "https://me@app.example.com"),
        ("CORS_ORIGINS", "ftp://app.example.com"),
        ("CORS_ORIGINS", "null"),
        ("PROTOCOLS", "chat"),
        ("PROTOCOLS", "mcp, MCP"),
        ("PROTOCOLS", " , "),
        ("APPROVERS", "nobody"),
        ("APPROVAL_DAYS", "0"),
        ("APPROVAL_DAYS", "366"),
        ("MAX_MODEL_CALLS", "0"),
        ("MAX_MODEL_CALLS", "many"),
        ("MAX_OUTPUT_TOKENS", "15"),
        ("MAX_OUTPUT_TOKENS", "1e9x"),
        ("OPENAI_BASE_URL", "localhost:8000"),
        ("OPENAI_BASE_URL", "http://localhost:8000"),
    ],
)
def test_what_is_wrong_or_half_set_is_named(clean_environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    clean_environment.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        get_settings()


ALL = ("chat-completions", "ag-ui", "agency-swarm", "mcp", "files")


@pytest.mark.parametrize(
    ("value", "on"),
    [
        ("", ALL),
        ("responses", ()),
        (" mcp ,ag-ui,", ("ag-ui", "mcp")),
        ("responses,files", ("files",)),
        (",".join(ALL), ALL),
    ],
)
def test_protocols_are_a_list_of_names(clean_environment: pytest.MonkeyPatch, value: str, on: tuple[str, ...]) -> None:
    clean_environment.setenv("PROTOCOLS", value)
    assert get_settings().protocols == on


def test_the_key_is_never_shown(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("OPENAI_API_KEY", "sk-live-1234")
    assert "sk-live" not in repr(get_settings())


@pytest.mark.parametrize("url", ["sqlite:///x", "dynamodb://abc", "dynamodb://A.b_c-9" + "x" * 246])
def test_two_kinds_of_stores(clean_environment: pytest.MonkeyPatch, url: str) -> None:
    clean_environment.setenv("STORE", url)
    assert get_settings().store == url


def test_keys_are_pairs_and_an_owner_may_have_several(clean_environment: pytest.MonkeyPatch) -> None:
    pairs = f" alice:{HASH},\n alice:{OTHER}\tb.o_b-1@x:{'2c' * 32},"
    clean_environment.setenv("API_KEYS", pairs)
    digests = [bytes.fromhex(text) for text in (HASH, OTHER, "2c" * 32)]
    assert get_settings().api_keys == tuple(zip(("alice", "alice", "b.o_b-1@x"), digests, [False] * 3, strict=True))
    assert get_settings().auth == "keys"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (HASH, "64 hexadecimal digits"),
        (f":{HASH}", "owner:sha256hex"),
        (f"a/b:{HASH}", "owner:sha256hex"),
        (f"sha256-x:{OTHER}", "begins the names of owners"),
        ("x" * 65 + f":{HASH}", "owner:sha256hex"),
        (f"bob:{OTHER}0", "64 hexadecimal digits"),
        (f"bob:{OTHER[:-1]}", "64 hexadecimal digits"),
        (f"{OTHER}:bob", "64 hexadecimal digits"),
        (f"bob:{OTHER}:{OTHER}", "only :operator may follow"),
        ("bob:al_0123456789abcdef", "64 hexadecimal digits"),
        (f"bob:{HASH}", "another owner has this key"),
        (f"alice:{HASH}:operator", "another role"),
        (f"bob:{OTHER}:", "only :operator may follow"),
        (f"bob:{OTHER}:admin", "only :operator may follow"),
        (f"bob:{OTHER}:operator:x", "only :operator may follow"),
    ],
)
def test_a_wrong_pair_is_named_by_its_place_and_not_shown(
    clean_environment: pytest.MonkeyPatch, wrong: str, said: str
) -> None:
    clean_environment.setenv("API_KEYS", f"alice:{HASH}, {wrong}")
    with pytest.raises(ConfigurationError, match=r"^API_KEYS pair 2: ") as caught:
        get_settings()
    assert said in str(caught.value)
    for shown in (HASH[:10], OTHER[:10], "al_0", ";", "AUTH"):  # nothing secret, and nothing that only follows from it
        assert shown not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "auth"),
    [
        ({}, "none"),
        ({"API_KEYS": f"alice:{HASH}"}, "keys"),
        ({"API_KEYS": f"alice:{HASH}", "AUTH": "none"}, "none"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "api", "API_KEYS": f"alice:{HASH}"}, "keys"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "worker"}, "keys"),  # and there are none: for nobody, it is the worker
        ({"API_KEYS_SECRET": "keys"}, "keys"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "api", "AUTH": "iam"}, "iam"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "api", "AWS_SAM_LOCAL": "true"}, "none"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "api", "AWS_SAM_LOCAL": "true", "AUTH": "none"}, "none"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "api", "AWS_SAM_LOCAL": "true", "API_KEYS": f"alice:{HASH}"}, "keys"),
    ],
)
def test_who_needs_a_key(clean_environment: pytest.MonkeyPatch, variables: dict[str, str], auth: str) -> None:
    for name, value in variables.items():
        clean_environment.setenv(name, value)
    assert get_settings().auth == auth


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AWS_LAMBDA_FUNCTION_NAME": "api", "AWS_SAM_LOCAL": "false", "AUTH": "none"}, "AUTH=none"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "api", "AUTH": "none"}, "AUTH=none would let everybody call"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "api", "AUTH": "none", "API_KEYS": f"alice:{HASH}"}, "AUTH=none"),
        ({"API_KEYS": ", ,"}, "API_KEYS pair 1"),
        ({"API_KEYS": " "}, "API_KEYS pair 1"),
        ({"AUTH": "iam"}, "AUTH=iam needs API Gateway"),
        ({"AUTH": "iam", "AWS_LAMBDA_FUNCTION_NAME": "api", "AWS_SAM_LOCAL": "true"}, "AUTH=iam needs API Gateway"),
        ({"AUTH": "jwt"}, "JWT_ISSUER is needed"),
        ({"AUTH": "jwt", "JWT_ISSUER": "https://issuer.example"}, "JWT_AUDIENCE is needed"),
        ({"AUTH": "jwt", "JWT_AUDIENCE": "agency"}, "JWT_ISSUER is needed"),
        ({"JWT_ISSUER": "https://issuer.example"}, "JWT_ISSUER is needed"),
        ({"JWT_AUDIENCE": "agency", "API_KEYS": f"alice:{HASH}"}, "JWT_AUDIENCE is needed"),
        ({"API_KEYS": f"alice:{HASH}", "API_KEYS_SECRET": "keys"}, "API_KEYS and API_KEYS_SECRET are both set"),
        ({"OPENAI_API_KEY": "k", "OPENAI_API_KEY_SECRET": "key"}, "OPENAI_API_KEY and OPENAI_API_KEY_SECRET are both"),
    ],
)
def test_nothing_is_open_to_everybody_by_mistake(
    clean_environment: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    for name, value in variables.items():
        clean_environment.setenv(name, value)
    with pytest.raises(ConfigurationError, match=said):
        get_settings()


def test_origins_are_as_a_browser_writes_them(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("CORS_ORIGINS", "https://App.example.com , http://localhost:5173,http://[::1]:80,")
    assert get_settings().cors_origins == ("https://app.example.com", "http://localhost:5173", "http://[::1]:80")


def test_limits_of_a_run(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("MAX_MODEL_CALLS", "1")
    clean_environment.setenv("MAX_OUTPUT_TOKENS", "16")
    assert (get_settings().max_model_calls, get_settings().max_output_tokens) == (1, 16)


@pytest.mark.parametrize(
    ("issuer", "good"),
    [
        ("https://issuer.example/tenant/", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost", True),
        ("http://[::1]:1", True),
        ("http://issuer.example", False),
        ("http://localhost.evil.example", False),
        ("http://localhost@evil.example", False),
        ("https://", False),
        ("issuer.example", False),
        ("ftp://localhost", False),
    ],
)
def test_an_issuer_is_asked_where_nobody_listens(
    clean_environment: pytest.MonkeyPatch, issuer: str, good: bool
) -> None:
    for name, value in {"AUTH": "jwt", "JWT_ISSUER": issuer, "JWT_AUDIENCE": "agency"}.items():
        clean_environment.setenv(name, value)
    if good:
        assert get_settings().jwt_issuer == issuer  # to the letter: it is compared with what is in tokens
    else:
        with pytest.raises(ConfigurationError, match=r"^JWT_ISSUER must be https://"):
            get_settings()


def test_a_server_of_ones_own_may_have_its_key_in_a_secret(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("OPENAI_BASE_URL", "https://models.example/v1")
    clean_environment.setenv("OPENAI_API_KEY_SECRET", "key")
    assert get_settings().openai_api_key_secret == "key"
