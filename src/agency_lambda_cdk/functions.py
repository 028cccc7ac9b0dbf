"""The four functions: one bundle, and each may do what it must and nothing else."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from agency_lambda_cdk.function import AgencyFunction
from agency_lambda_cdk.run_queue import RunQueue
from infra.data_stack import DataStack
from infra.environments import Environment

_READ = ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query")
_WRITE = ("dynamodb:PutItem", "dynamodb:DeleteItem")  # transactions need nothing more; nothing here scans or updates
_SILENCE, _EDGE_SILENCE = 280, 25  # seconds that a whole answer may take on a route that streams
# The partitions that a sweep looks at; `running` is version 0.1's, and goes with the next release.
_PARTITIONS = [*(f"running#{number:02x}" for number in range(16)), "running"]
_LEASES = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": _PARTITIONS}}


class Functions:
    """api and stream answer requests; worker works on runs; sweep finds those that nobody works on."""

    def __init__(self, scope: Construct, *, environment: Environment, data: DataStack, queue: RunQueue) -> None:
        self._scope, self._environment, self._data, self._queue = scope, environment, data, queue
        # 29 s are what API Gateway waits for a whole answer; a run that needs longer goes on in the worker.
        self.api = self._answering("ApiFunction", "handler.api.handler", environment.answer_seconds, {})
        # 15 minutes, as long as Lambda and the gateway let a stream be. What is silent the gateway cuts after 5 minutes
        # (edge: 30 s): streams speak every 10 s, and who waits for a whole answer is told before where it goes on.
        self.stream = self._streaming() if environment.streaming else self._whole()
        self.worker = self._worker()
        self.sweep = self._sweep()
        self.every = (self.api, self.stream, self.worker, self.sweep)

    def _answering(
        self, logical_id: str, handler: str, seconds: int, variables: Mapping[str, str], *, streams: bool = False
    ) -> AgencyFunction:
        function = self._running(
            logical_id,
            handler,
            seconds,
            {**self._callers(), **variables},
            streams=streams,
            provisioned=self._environment.provisioned_concurrency,
            reserved=self._environment.reserved_concurrency,
        )
        if self._environment.auth == "keys":
            function.allow("secretsmanager:GetSecretValue", on=self._data.api_keys.secret_arn)
        return function

    def _streaming(self) -> AgencyFunction:
        """The wrapper starts our runtime client in place of AWS's, which cannot stream."""
        silence = _EDGE_SILENCE if self._environment.endpoint == "edge" else _SILENCE
        variables = {
            "AWS_LAMBDA_EXEC_WRAPPER": "/var/task/lambda_loop/runtime/stream.sh",
            "ANSWER_SECONDS": str(silence),
        }
        seconds = self._environment.stream_seconds
        return self._answering("StreamFunction", "handler.stream.handler", seconds, variables, streams=True)

    def _whole(self) -> AgencyFunction:
        return self._answering("StreamFunction", "handler.stream.handler", self._environment.answer_seconds, {})

    def _worker(self) -> AgencyFunction:
        """15 minutes, as long as Lambda lets it: every handover to the next costs a start."""
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
        """512 MB: it imports the framework and asks for one partition. Nobody waits for it: no snapshot to pay for."""
        sweep = AgencyFunction(
            self._scope,
            "SweepFunction",
            environment=self._environment,
            handler="handler.worker.handler",
            seconds=60,
            memory_mb=512,
            variables=self._kept(),
        )
        sweep.allow(*_READ, "dynamodb:PutItem", on=self._data.table.table_arn, conditions=_LEASES)
        sweep.allow("sqs:SendMessage", on=self._queue.queue.queue_arn)
        target = targets.LambdaFunction(sweep.live, retry_attempts=0)  # the next minute is the next attempt
        events.Rule(self._scope, "EveryMinute", schedule=events.Schedule.rate(Duration.minutes(1)), targets=[target])
        return sweep

    def _running(
        self, logical_id: str, handler: str, seconds: int, variables: Mapping[str, str], **capacity: Any
    ) -> AgencyFunction:
        """A function that runs agents: it stores, it queues, it asks the model, it reads what its tools need.

        1024 MB are 0.58 of a CPU: a run waits for models nearly all of its time, and its start is in the snapshot.
        """
        environment, data = self._environment, self._data
        function = AgencyFunction(
            self._scope,
            logical_id,
            environment=environment,
            handler=handler,
            seconds=seconds,
            memory_mb=environment.memory_mb,
            snap_start=environment.snap_start,
            variables={
                **self._kept(),
                **variables,
                "OPENAI_API_KEY_SECRET": data.openai_key.secret_arn,
                **environment.secrets,
                **environment.variables,
            },
            **capacity,
        )
        function.allow(*_READ, *_WRITE, on=data.table.table_arn)
        function.allow("sqs:SendMessage", on=self._queue.queue.queue_arn)
        for secret in (data.openai_key.secret_arn, *environment.secrets.values()):
            function.allow("secretsmanager:GetSecretValue", on=secret)
        return function

    def _kept(self) -> dict[str, str]:
        table = f"dynamodb://{self._data.table.table_name}"
        return {
            "STORE": table,
            "PLANFIX_BOARD": table,  # every function sees the same tasks; a real account (PLANFIX_URL) goes before it
            "QUEUE": self._queue.queue.queue_url,
            "POWERTOOLS_SERVICE_NAME": self._environment.stack,  # the dimension of its metrics
        }

    def _callers(self) -> dict[str, str]:
        """Who may call. Without AUTH it is `keys`, as always on Lambda: only `sam local` reads that as `none`."""
        of = self._environment
        return {
            "keys": {"API_KEYS_SECRET": self._data.api_keys.secret_arn},
            "jwt": {"AUTH": "jwt", "JWT_ISSUER": of.jwt_issuer, "JWT_AUDIENCE": of.jwt_audience},
            "iam": {"AUTH": "iam"},
        }[of.auth]
