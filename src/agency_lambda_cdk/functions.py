"""The four functions of the service."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from agency_lambda_cdk.data import EmptySecret, FileBucket
from agency_lambda_cdk.environment import Environment
from agency_lambda_cdk.function import AgencyFunction
from agency_lambda_cdk.network import Network
from agency_lambda_cdk.run_queue import RunQueue

_READ = ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query")
# Transactions need nothing more, and nothing here scans; budgets are updated.
_WRITE = ("dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:UpdateItem")
_GET_SECRET = "secretsmanager:GetSecretValue"
_FILES = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
_SILENCE, _EDGE_SILENCE = 280, 25  # seconds that a whole answer may take on a route that streams


class Functions:
    """Make api and stream, which answer requests, worker, which works on runs, and sweep, which requeues lost ones.

    code: the zip of the bundle. files: None to keep none. variables: for what runs agents, e.g. a table of your own.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        code: Path,
        table: dynamodb.Table,
        queue: RunQueue,
        api_keys: EmptySecret,
        model_key: EmptySecret,
        files: FileBucket | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._variables, self._files = variables or {}, files
        self._scope, self._environment, self._code = scope, environment, code
        self._table, self._queue, self._api_keys, self._model_key = table, queue, api_keys, model_key
        self._network = Network(scope, "Network", environment=environment) if environment.vpc_id else None
        # API Gateway waits 29 s for a whole answer; a run that needs longer goes on in the worker.
        self.api = self._answering("ApiFunction", "handler.api.handler", environment.answer_seconds)
        self.stream = self._stream()
        self.worker = self._worker()
        self.sweep = self._sweep()
        self.answering = (self.api, self.stream)
        self.running = (*self.answering, self.worker)
        self.every = (*self.running, self.sweep)

    def grant_store(self, table: dynamodb.Table) -> None:
        """Let every function read and write the table. Sweep ends what runs of any owner have waited for too long."""
        for function in self.every:
            function.allow(*_READ, *_WRITE, on=table.table_arn)

    def grant_files(self, bucket: FileBucket) -> None:
        """Let what runs agents read and write files, and sweep delete those that have expired."""
        for function in self.running:
            function.allow(*_FILES, on=bucket.arn_for_objects("*"))
            function.allow("s3:ListBucket", on=bucket.bucket_arn)  # else S3 does not say that a file is not there
        self.sweep.allow("s3:DeleteObject", on=bucket.arn_for_objects("*"))
        for function in self.every:
            bucket.acknowledge_objects(function.role)

    def grant_queue(self, queue: RunQueue) -> None:
        """Let every function queue runs."""
        for function in self.every:
            function.allow("sqs:SendMessage", on=queue.queue.queue_arn)

    def grant_secrets(self, *, api_keys: EmptySecret, model_key: EmptySecret) -> None:
        """Let what runs agents read the model's key and `secrets`, and what answers the callers' keys."""
        for function in self.running:
            for secret in (model_key.arn, *self._environment.secrets.values()):
                function.allow(_GET_SECRET, on=secret)
        if self._environment.auth == "keys":
            for function in self.answering:
                function.allow(_GET_SECRET, on=api_keys.arn)

    def _answering(self, logical_id: str, handler: str, seconds: int, **more: Any) -> AgencyFunction:
        environment = self._environment
        return self._running(
            logical_id,
            handler,
            seconds,
            {**self._keys(), **({} if environment.page else {"PAGE": "0"}), **more.pop("variables", {})},
            provisioned=environment.provisioned_concurrency,
            reserved_concurrent_executions=environment.reserved_concurrency,
            **more,
        )

    def _stream(self) -> AgencyFunction:
        # The gateway cuts what is silent for 5 minutes (edge: 30 s). Streams send something every 10 s; who waits for a
        # whole answer gets 202 before. The wrapper starts our runtime client in place of AWS's, which cannot stream.
        environment, handler = self._environment, "handler.stream.handler"
        if not environment.streaming:
            return self._answering("StreamFunction", handler, environment.answer_seconds)
        silence = _EDGE_SILENCE if environment.endpoint == "edge" else _SILENCE
        variables = {
            "AWS_LAMBDA_EXEC_WRAPPER": "/var/task/lambda_loop/runtime/stream.sh",
            "ANSWER_SECONDS": str(silence),
        }
        return self._answering("StreamFunction", handler, environment.stream_seconds, variables=variables, streams=True)

    def _worker(self) -> AgencyFunction:
        worker = self._running("WorkerFunction", "handler.worker.handler", self._environment.worker_seconds, {})
        worker.live.add_event_source(
            sources.SqsEventSource(
                self._queue.queue,
                batch_size=5,  # runs on one loop: agents wait for models nearly all of the time
                report_batch_item_failures=True,
                max_concurrency=self._environment.worker_concurrency,
            )
        )
        return worker

    def _sweep(self) -> AgencyFunction:
        # 512 MB: it imports the framework and asks for one partition. Nobody waits for it: no snapshot to pay for.
        sweep = self._function("SweepFunction", "handler.worker.handler", 60, self._stored(), memory_size=512)
        target = targets.LambdaFunction(sweep.live, retry_attempts=0)  # the next minute is the next attempt
        events.Rule(self._scope, "EveryMinute", schedule=events.Schedule.rate(Duration.minutes(1)), targets=[target])
        return sweep

    def _running(
        self, logical_id: str, handler: str, seconds: int, variables: Mapping[str, str], **capacity: Any
    ) -> AgencyFunction:
        environment = self._environment
        given = {
            **self._stored(),
            "METRICS_BY_AGENCY": "1" if environment.metrics_by_agency else "0",
            **self._auth(),  # the worker too: settings that only belong to one AUTH are among the variables of both
            **variables,
            "OPENAI_API_KEY_SECRET": self._model_key.arn,
            **environment.secrets,
            **self._variables,
            **environment.variables,
        }
        snapshots = lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if environment.snap_start else None
        size = environment.memory_mb
        return self._function(logical_id, handler, seconds, given, memory_size=size, snap_start=snapshots, **capacity)

    def _function(
        self, logical_id: str, handler: str, seconds: int, variables: Mapping[str, str], **properties: Any
    ) -> AgencyFunction:
        return AgencyFunction(
            self._scope,
            logical_id,
            environment=self._environment,
            network=self._network,
            code=lambda_.Code.from_asset(str(self._code)),
            handler=handler,
            timeout=Duration.seconds(seconds),
            variables=variables,
            **properties,
        )

    def _stored(self) -> dict[str, str]:
        return {
            **({"FILES": f"s3://{self._files.bucket_name}"} if self._files else {}),
            "STORE": f"dynamodb://{self._table.table_name}",
            "QUEUE": self._queue.queue.queue_url,
            "POWERTOOLS_SERVICE_NAME": self._environment.stack,  # the dimension of its metrics
        }

    def _keys(self) -> dict[str, str]:
        return {"API_KEYS_SECRET": self._api_keys.arn} if self._environment.auth == "keys" else {}

    def _auth(self) -> dict[str, str]:
        # Without AUTH it is `keys`; only `sam local` reads that as `none`.
        of = self._environment
        return {
            "keys": {},
            "jwt": {"AUTH": "jwt", "JWT_ISSUER": of.jwt_issuer, "JWT_AUDIENCE": of.jwt_audience},
            "iam": {"AUTH": "iam"},
        }[of.auth]
