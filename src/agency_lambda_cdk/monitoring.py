"""Alarms to one topic, and a dashboard. A metric of our own is one that src/agency_lambda/telemetry.py logs."""

from collections.abc import Iterator

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from agency_lambda_cdk.budget import Budget
from agency_lambda_cdk.environment import Environment
from agency_lambda_cdk.functions import Functions
from agency_lambda_cdk.rest_api import RestApi
from agency_lambda_cdk.run_queue import RunQueue

_FIVE_MINUTES = Duration.minutes(5)
_OWN = {  # metric -> (how many in 5 minutes raise an alarm, what that means)
    "ServerErrors": (1, "a request was answered with a 5xx"),
    "ExpiredLeases": (1, "an attempt at a run died without a word"),
    "NestedEntries": (1, "code in agents/ enters the loop a second time"),
    "ModelFailures": (5, "the model's provider fails or refuses the key"),
    "AgenciesNotConfigured": (1, "an agency lacks a variable and answers 503: the log names it"),
    "BudgetAlarms": (1, "an owner has used four fifths of a budget: the log names it"),
    "BudgetOverruns": (1, "a model call has used more than was reserved for it, and its budget is closed"),
}
_ROLLS_BACK = ("Errors", "ServerErrors", "Throttles")  # what a new version can be the cause of


class Monitoring(Construct):
    """Make the alarms, the topic that gets each when it begins and when it ends, the dashboard and the budget."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: Environment,
        api: RestApi,
        functions: Functions,
        queue: RunQueue,
    ) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        self.topic = sns.Topic(self, "Alarms", enforce_ssl=True)
        self._let_publish("cloudwatch.amazonaws.com")
        if environment.alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(environment.alarm_email))
        self.alarms = [*self._alarms(functions, queue)] if environment.alarms else []
        self._dashboard(functions, api, queue)
        if environment.monthly_budget:
            self._let_publish("budgets.amazonaws.com")
            Budget(self, "Budget", dollars=environment.monthly_budget, topic=self.topic)

    @property
    def rolling_back(self) -> list[cloudwatch.Alarm]:
        """The alarms that a new version can be the cause of."""
        return [alarm for alarm in self.alarms if alarm.node.id.endswith(_ROLLS_BACK)]

    def _alarms(self, functions: Functions, queue: RunQueue) -> Iterator[cloudwatch.Alarm]:
        yield from self._of_functions(functions)
        yield from self._of_answers(functions)
        yield from self._of_the_queue(queue)
        yield from self._of_own_metrics()

    def _of_functions(self, functions: Functions) -> Iterator[cloudwatch.Alarm]:
        for each in functions.every:
            errors = each.function.metric_errors(period=_FIVE_MINUTES)
            yield self.add_alarm(
                f"{each.name}Errors", errors, 1, f"{each.name}: it died or ran out of time: see its log"
            )
            throttles = each.function.metric_throttles(period=_FIVE_MINUTES)
            yield self.add_alarm(f"{each.name}Throttles", throttles, 1, f"{each.name}: Lambda's concurrency is used up")

    def _of_answers(self, functions: Functions) -> Iterator[cloudwatch.Alarm]:
        p95 = functions.api.function.metric_duration(statistic="p95", period=_FIVE_MINUTES)  # streams may take long
        limit = 900 * self._environment.answer_seconds  # nine tenths, in ms
        yield self.add_alarm("Slow", p95, limit, "answers are handed over, or nearly", times=3)

    def _of_the_queue(self, queue: RunQueue) -> Iterator[cloudwatch.Alarm]:
        dead = queue.dead_letters.metric_approximate_number_of_messages_visible(statistic="max")
        yield self.add_alarm("DeadLetters", dead, 1, "runs or messages that nobody could work on: docs/deploy.md")

    def _of_own_metrics(self) -> Iterator[cloudwatch.Alarm]:
        for name, (threshold, meaning) in _OWN.items():
            yield self.add_alarm(name, self._own(name), threshold, meaning)
        tokens = self._own("TotalTokens", Duration.hours(1))
        most = self._environment.tokens_per_hour
        yield self.add_alarm("Tokens", tokens, most, "more tokens in an hour than tokens_per_hour")

        if "OTEL_EXPORTER_OTLP_ENDPOINT" in self._environment.variables:
            failures, meaning = self._own("ExportFailures"), "the collector of traces is down, or refuses them"
            yield self.add_alarm("ExportFailures", failures, 1, meaning, times=3)

    def _let_publish(self, service: str) -> None:
        # The topic's policy takes the place of the default one, which would let the whole account.
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                principals=[iam.ServicePrincipal(service)],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )

    def _own(self, name: str, period: Duration = _FIVE_MINUTES) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AgencyLambda",
            metric_name=name,
            dimensions_map={"service": self._environment.stack},
            statistic="sum",
            period=period,
        )

    def _by_agency(self, name: str) -> cloudwatch.MathExpression:
        """Return one line for each agency, of those that have runs."""
        of_service = f'{{AgencyLambda,service,agency}} MetricName="{name}" service="{self._environment.stack}"'
        statistic = "p95" if name in ("RunDuration", "QueueAge") else "Sum"
        return cloudwatch.MathExpression(
            expression=f"SEARCH('{of_service}', '{statistic}', 300)", label="", using_metrics={}, period=_FIVE_MINUTES
        )

    def add_alarm(
        self, construct_id: str, metric: cloudwatch.IMetric, threshold: int, meaning: str, times: int = 1
    ) -> cloudwatch.Alarm:
        """Add an alarm that notifies the topic. times: periods in a row with at least `threshold`."""
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            metric=metric,
            threshold=threshold,
            evaluation_periods=times,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,  # nobody asks, nothing is wrong
            alarm_description=f"{self._environment.stack}: {meaning}",
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        alarm.add_ok_action(actions.SnsAction(self.topic))
        return alarm

    def _dashboard(self, functions: Functions, api: RestApi, queue: RunQueue) -> None:
        name = f"{self._environment.stack}-{Stack.of(self).region}"  # all regions of an account share the names
        dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=name)
        if self.alarms:
            dashboard.add_widgets(cloudwatch.AlarmStatusWidget(alarms=self.alarms, width=24, height=3))
        graphs: dict[str, list[cloudwatch.IMetric]] = {
            "Requests": [api.api.metric_count(), api.api.metric_client_error(), api.api.metric_server_error()],
            "Latency": [api.api.metric_latency(statistic=each) for each in ("p50", "p95")],
            "Queue": [
                queue.queue.metric_approximate_number_of_messages_visible(),
                queue.queue.metric_approximate_age_of_oldest_message(),
                queue.dead_letters.metric_approximate_number_of_messages_visible(),
            ],
            "Model": [self._own(each) for each in ("ModelCalls", "ModelFailures", "JournalHits")],
            "Tokens": [self._own(each) for each in ("InputTokens", "OutputTokens")],
            "Runs": [self._own(each) for each in ("Attempts", "Handovers", "LeaseSteals", "AgentMessages")],
            "Approvals, webhooks": [
                self._own(each) for each in ("ApprovalsAsked", "ApprovalsDecided", "WebhookFailures")
            ],
            "Loop": [self._own(each) for each in ("NestedEntries", "LoopConflicts", "Leftovers")],
            "Concurrency": [each.function.metric("ConcurrentExecutions", statistic="max") for each in functions.every],
        }
        if self._environment.metrics_by_agency:
            titles = {
                "TotalTokens": "Tokens by agency",
                "ModelCalls": "Model calls by agency",
                "RunDuration": "Runs, ms",
                "QueueAge": "Time in the queue, ms",
            }
            graphs |= {title: [self._by_agency(name)] for name, title in titles.items()}
        dashboard.add_widgets(
            *(cloudwatch.GraphWidget(title=title, left=metrics, width=8) for title, metrics in graphs.items())
        )
