"""The queue of runs."""

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from agency_lambda_cdk.environment import Environment

_TRIES = 5  # as AWS advises where a function may be throttled; attempts at a run are counted in the store


class RunQueue(Construct):
    """Make the queue, with one message a run, and its queue of dead letters."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            retention_period=Duration.days(14),
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
        )
        self.queue = sqs.Queue(
            self,
            "Runs",
            # Longer than a worker lives. AWS advises six times as long, but here a worker that dies is noticed by the
            # lease of its run, not by its message.
            visibility_timeout=Duration.seconds(environment.worker_seconds + 30),
            retention_period=Duration.days(14),
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=_TRIES),
        )
