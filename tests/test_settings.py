"""Settings: typed, frozen, and refused by name."""

import pytest
from pydantic import ValidationError

from handler.settings import ConfigurationError, get_settings


def test_the_defaults_are_embedded_and_offline(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.delenv("STORE")
    settings = get_settings()
    assert (settings.event_loop, settings.offline, settings.store) == ("patch", True, "sqlite:///.data/agency.db")
    with pytest.raises(ValidationError):
        settings.model = "x"  # type: ignore[misc]


def test_on_lambda_only_tmp_is_written(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.delenv("STORE")
    clean_environment.setenv("AWS_LAMBDA_FUNCTION_NAME", "api")
    assert get_settings().store == "sqlite:////tmp/agency.db"


def test_an_empty_variable_is_not_set(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("OPENAI_API_KEY", "")
    assert get_settings().offline


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENT_LOOP", "fast"),
        ("MODEL_API", "completions"),
        ("STORE", "postgres://x"),
        ("STORE", "sqlite:///"),
        ("OPENAI_BASE_URL", "localhost:8000"),
        ("OPENAI_BASE_URL", "http://localhost:8000"),
    ],
)
def test_what_is_wrong_or_half_set_is_named(clean_environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    clean_environment.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        get_settings()


def test_the_key_is_never_shown(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("OPENAI_API_KEY", "sk-live-1234")
    assert "sk-live" not in repr(get_settings())
