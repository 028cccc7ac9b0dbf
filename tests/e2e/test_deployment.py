"""The deployment, really tried: deployed, called, deployed again, destroyed. The tests stand in their order."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from agency_lambda import __version__
from tests.e2e.cloud import STACK, Cloud, wait_until

MARK = "Zaphod"  # a word of the caller's, for which the log is searched
MESSAGE = f"{MARK} asks: what can you do for me?"


class Deployment:
    """What a user holds in hand after `make deploy` and `make key`."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.api = cloud, cloud.api()
        self.key, self.other = self._key("anna"), self._key("ben")
        self.agency = ""

    def _key(self, owner: str) -> str:
        """As the output FirstKey says."""
        command, _, secret = self.cloud.outputs()["FirstKey"].partition(" SECRET=")
        assert command == "make key OWNER=you"
        printed = self.cloud.run("make", "-s", "key", f"OWNER={owner}", f"SECRET={secret}")
        (key,) = re.findall(r"al_\S+", printed)
        return str(key)

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.key if key is None else key}", **headers}
        if key == "":
            del sent["authorization"]
        return httpx.request(method, self.api + path, json=body, headers=sent, timeout=60)

    def first_agency(self) -> str:
        """Return the name of the first agency that is deployed, whichever it is."""
        if not self.agency:
            self.agency = self.call("GET", "/v1/models").json()["data"][0]["id"]
        return self.agency

    def ask(self, **fields: Any) -> dict[str, Any]:
        answer = self.call("POST", "/v1/responses", {"model": self.first_agency(), "input": MESSAGE, **fields})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, response: str, seconds: float = 60) -> dict[str, Any]:
        """The response when it is final."""
        found: dict[str, Any] = {}

        def is_final() -> bool:
            found.update(self.call("GET", f"/v1/responses/{response}").json())
            return found["status"] not in ("queued", "in_progress")

        wait_until(is_final, seconds)
        return found

    @contextmanager
    def nobody_works(self) -> Iterator[None]:
        """No worker gets a message."""
        functions = self.cloud.client("lambda")
        (mapping,) = functions.list_event_source_mappings()["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        try:
            yield
        finally:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    def waiting(self, queue: str) -> int:
        """Messages that are there to be received."""
        found = self.cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"])


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def deployment(cloud: Cloud) -> Deployment:
    cloud.cdk("bootstrap")
    printed = cloud.cdk("deploy", "--all", "--require-approval", "never")
    for output in ("Url", "FirstKey", "ModelKey"):
        assert f"{STACK}.{output} = " in printed
    return Deployment(cloud)


def test_health_needs_no_key(deployment: Deployment) -> None:
    answer = deployment.call("GET", "/health", key="")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": __version__})


def test_the_page_needs_no_key(deployment: Deployment) -> None:
    page = deployment.call("GET", "/", key="")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    (script,) = re.findall(r'src="(page/[0-9a-f]+/main\.js)"', page.text)
    file = deployment.call("GET", f"/{script}", key="")
    assert (file.status_code, file.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert "import" in file.text
    assert deployment.cloud.outputs()["Page"] == f"{deployment.cloud.outputs()['Url']}/"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/agencies", "/v1/models", "/v1/responses/resp_1", "/docs", "/openapi.json")),
        *(("GET", path) for path in ("/v1/approvals", "/v1/approvals/mcpr_1", "/v1/webhooks/deliveries")),
        *(("POST", path) for path in ("/completion", "/v1/responses", "/v1/responses/resp_1/cancel", "/health")),
        *(("POST", "/v1/approvals/mcpr_1"), ("PUT", "/v1/webhooks")),
        ("DELETE", "/v1/responses/resp_1"),
    ],
)
@pytest.mark.parametrize("key", ["", "al_wrong"])
def test_everything_else_does(deployment: Deployment, method: str, path: str, key: str) -> None:
    answer = deployment.call(method, path, {} if method == "POST" else None, key=key)
    assert answer.status_code == 401 or (method, path) == ("POST", "/health")
    assert answer.status_code in (401, 403, 404, 405)


def test_the_agency_answers(deployment: Deployment) -> None:
    answer = deployment.call("POST", "/completion", {"message": MESSAGE})
    assert answer.status_code == 200, answer.text
    assert "[offline model]" in answer.json()["response"]
    assert answer.json()["usage"]["model_calls"] >= 1
    table = deployment.cloud.client("dynamodb")
    (name,) = table.list_tables()["TableNames"]  # where every function sees it
    stored = json.dumps(table.scan(TableName=name, ConsistentRead=True)["Items"], default=str)
    assert answer.json()["run_id"] in stored


def test_a_response_is_made_kept_and_only_its_owners(deployment: Deployment) -> None:
    response = deployment.ask()
    assert response["status"] == "completed"
    path = f"/v1/responses/{response['id']}"
    assert deployment.call("GET", path).json() == response
    assert deployment.call("GET", path, key=deployment.other).status_code == 404
    assert deployment.call("DELETE", path).status_code == 200
    assert deployment.call("GET", path).status_code == 404


def test_a_stream_comes_whole_where_nothing_streams_yet(deployment: Deployment) -> None:
    body = {"model": deployment.first_agency(), "input": MESSAGE, "stream": True}
    answer = deployment.call("POST", "/v1/responses", body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "event: response.completed" in answer.text


def test_in_the_background_a_worker_makes_it(deployment: Deployment) -> None:
    with deployment.nobody_works():
        response = deployment.ask(background=True)
        assert response["status"] == "queued"
    made = deployment.ended(response["id"])
    assert made["status"] == "completed"
    assert "[offline model]" in json.dumps(made["output"])


def test_a_run_can_be_cancelled(deployment: Deployment) -> None:
    with deployment.nobody_works():
        response = deployment.ask(background=True)
        answer = deployment.call("POST", f"/v1/responses/{response['id']}/cancel")
        assert answer.status_code == 200, answer.text
    assert deployment.ended(response["id"])["status"] == "cancelled"


def test_routes_of_approvals_and_webhooks_are_let_through(deployment: Deployment) -> None:
    waiting = deployment.call("GET", "/v1/approvals")
    assert (waiting.status_code, waiting.json()["data"]) == (200, [])
    nobody = deployment.call("POST", "/v1/approvals/mcpr_1", {"approve": True})
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (404, "not_found")
    hook = {"url": "https://example.com/hook", "events": ["response.completed"]}
    made = deployment.call("PUT", "/v1/webhooks", hook)
    assert (made.status_code, made.json()["secret"][:6]) == (200, "whsec_")
    deliveries = deployment.call("GET", "/v1/webhooks/deliveries")
    assert (deliveries.status_code, deliveries.json()["data"]) == (200, [])
    assert deployment.call("DELETE", "/v1/webhooks").status_code == 200
    refused = deployment.call("PUT", "/v1/webhooks", {**hook, "url": "http://169.254.169.254/latest"})
    assert refused.status_code == 400


def test_a_conversation_goes_on(deployment: Deployment) -> None:
    conversation = deployment.call("POST", "/v1/conversations", {}).json()["id"]
    for _ in range(2):
        deployment.ask(conversation=conversation)
    items = deployment.call("GET", f"/v1/conversations/{conversation}/items?limit=100").json()["data"]
    assert sum(item["type"] == "message" and item["role"] == "user" for item in items) == 2
    assert deployment.call("GET", f"/v1/conversations/{conversation}", key=deployment.other).status_code == 404


def test_the_same_request_again_is_the_same_run(deployment: Deployment) -> None:
    body = {"model": deployment.first_agency(), "input": MESSAGE}
    first, second = (
        deployment.call("POST", "/v1/responses", body, **{"idempotency-key": "order-1"}).json() for _ in range(2)
    )
    assert first["id"] == second["id"]
    other = deployment.call("POST", "/v1/responses", {**body, "input": "else"}, **{"idempotency-key": "order-1"})
    assert other.status_code in (409, 422)


def test_a_run_whose_message_is_lost_is_found_by_the_sweep(deployment: Deployment) -> None:
    cloud = deployment.cloud
    queue = cloud.resource("AWS::SQS::Queue", "QueueRuns")
    with deployment.nobody_works():
        response = deployment.ask(background=True)
        cloud.client("sqs").purge_queue(QueueUrl=queue)
    assert deployment.ended(response["id"], 100)["status"] == "completed"


def test_a_message_that_nobody_understands_ends_among_the_dead_letters(deployment: Deployment) -> None:
    cloud = deployment.cloud
    queue, dead = (cloud.resource("AWS::SQS::Queue", name) for name in ("QueueRuns", "QueueDeadLetters"))
    with deployment.nobody_works():
        response = deployment.ask(background=True)
        cloud.client("sqs").send_message(QueueUrl=queue, MessageBody="not ours")
    wait_until(lambda: deployment.waiting(dead) == 1, 100)
    assert deployment.ended(response["id"])["status"] == "completed"


def test_make_ask_prints_the_answer(deployment: Deployment) -> None:
    cloud = deployment.cloud
    printed = cloud.run("make", "-s", "ask", URL=deployment.api, KEY=deployment.key, MESSAGE=MESSAGE)
    assert "[offline model]" in printed
    streamed = cloud.run("make", "-s", "stream", URL=deployment.api, KEY=deployment.key, MESSAGE=MESSAGE)
    assert re.search(r"^\w+: .*\[offline model\]", streamed, re.MULTILINE)
    with pytest.raises(AssertionError, match="No answer: "):
        cloud.run("make", "-s", "ask", URL=deployment.api, KEY="al_wrong", MESSAGE=MESSAGE)


def test_make_logs_follows_what_the_functions_write(deployment: Deployment) -> None:
    for _ in range(2):
        deployment.ask()
    with deployment.cloud.start("make", "-s", "logs") as following:
        assert following.stdout
        lines = [line for _, line in zip(range(3), following.stdout, strict=False)]
        deployment.cloud.end(following)
    assert any(re.search(r"ApiFunction +\d{3}  \d+ ms", line) for line in lines), "".join(lines)
    assert not any("RequestId: " in line for line in lines), "".join(lines)


def test_the_models_key_is_taken_from_the_terminal_and_used_within_a_minute(deployment: Deployment) -> None:
    cloud = deployment.cloud
    command, _, secret = cloud.outputs()["ModelKey"].partition(" SECRET=")
    assert command == "make model-key"
    with cloud.start("make", "-s", "model-key", f"SECRET={secret}") as putting:
        printed, _ = putting.communicate("sk-test\n", timeout=60)
    assert "Stored." in printed
    assert "sk-test" not in printed
    secrets = cloud.client("secretsmanager")
    assert secrets.get_secret_value(SecretId=secret)["SecretString"] == "sk-test"


def test_what_the_functions_wrote_is_json_and_holds_no_key(deployment: Deployment) -> None:
    log = deployment.cloud.log_text()
    assert '"_aws"' in log
    for secret in (deployment.key, deployment.other):
        assert secret not in log
    assert MARK not in log


def test_deploying_again_changes_nothing(deployment: Deployment) -> None:
    printed = deployment.cloud.cdk("deploy", "--all", "--require-approval", "never")
    assert printed.count("(no changes)") == 2, printed


def test_destroying_leaves_nothing(deployment: Deployment) -> None:
    deployment.cloud.cdk("destroy", "--all", "--force")
    cloud = deployment.cloud
    stacks = [each["StackName"] for each in cloud.client("cloudformation").describe_stacks()["Stacks"]]
    assert stacks == ["CDKToolkit"]
    assert cloud.client("dynamodb").list_tables()["TableNames"] == []
    assert cloud.client("sqs").list_queues().get("QueueUrls", []) == []
    assert cloud.client("lambda").list_functions()["Functions"] == []
