"""Who is told, and of what: alarms and a budget to one topic, and a dashboard to look at then."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from agency_lambda_cdk.functions import Functions
from agency_lambda_cdk.rest_api import RestApi
from agency_lambda_cdk.run_queue import RunQueue
from infra.environments import Environment

_FIVE_MINUTES = Duration.minutes(5)


class Monitoring(Construct):
    """topic: gets every alarm when it begins and when it ends."""

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
        p95 = functions.api.function.metric_duration(statistic="p95", period=_FIVE_MINUTES)  # streams may take long
        dead = queue.dead_letters.metric_approximate_number_of_messages_visible(statistic="max")
        tokens = self._own("TotalTokens", Duration.hours(1))
        self._alarms = [
            *self._of_functions(functions),
            self._alarm("ServerErrors", self._own("ServerErrors"), 1, "a request was answered with a 5xx"),
            self._alarm("Slow", p95, 900 * environment.answer_seconds, "answers are handed over, or nearly", times=3),
            self._alarm("DeadLetters", dead, 1, "runs or messages that nobody could work on: docs/deploy.md"),
            self._alarm("ExpiredLeases", self._own("ExpiredLeases"), 1, "an attempt at a run died without a word"),
            self._alarm(
                "NestedEntries", self._own("NestedEntries"), 1, "code in agents/ enters the loop a second time"
            ),
            self._alarm(
                "ModelFailures", self._own("ModelFailures"), 5, "the model's provider fails or refuses the key"
            ),
            self._alarm(
                "AgenciesNotConfigured",
                self._own("AgenciesNotConfigured"),
                1,
                "an agency lacks a variable and answers 503: the log names it",
            ),
            self._alarm("Tokens", tokens, environment.tokens_per_hour, "more tokens in an hour than tokens_per_hour"),
        ]
        self._dashboard(functions, api, queue)
        if environment.monthly_budget:
            self._budget()

    def _of_functions(self, functions: Functions) -> list[cloudwatch.Alarm]:
        """One each: a sum over all of them would cost as much, and not say where to look."""
        return [
            self._alarm(f"{each.name}{what}", metric, 1, f"{each.name}: {meaning}")
            for each in functions.every
            for what, metric, meaning in (
                (
                    "Errors",
                    each.function.metric_errors(period=_FIVE_MINUTES),
                    "it died or ran out of time: see its log",
                ),
                ("Throttles", each.function.metric_throttles(period=_FIVE_MINUTES), "Lambda's concurrency is used up"),
            )
        ]

    def _let_publish(self, service: str) -> None:
        """The topic's policy takes the place of the default one, which would let the whole account."""
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                principals=[iam.ServicePrincipal(service)],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )

    def _own(self, name: str, period: Duration = _FIVE_MINUTES) -> cloudwatch.Metric:
        """A metric that src/agency_lambda/telemetry.py writes into the log."""
        return cloudwatch.Metric(
            namespace="AgencyLambda",
            metric_name=name,
            dimensions_map={"service": self._environment.stack},
            statistic="sum",
            period=period,
        )

    def _alarm(
        self, construct_id: str, metric: cloudwatch.IMetric, threshold: int, meaning: str, times: int = 1
    ) -> cloudwatch.Alarm:
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
        requests = [api.api.metric_count(), api.api.metric_client_error(), api.api.metric_server_error()]
        latency = [api.api.metric_latency(statistic=each) for each in ("p50", "p95")]
        waiting = [
            queue.queue.metric_approximate_number_of_messages_visible(),
            queue.queue.metric_approximate_age_of_oldest_message(),
            queue.dead_letters.metric_approximate_number_of_messages_visible(),
        ]
        dashboard.add_widgets(cloudwatch.AlarmStatusWidget(alarms=self._alarms, width=24, height=3))
        dashboard.add_widgets(
            *(
                cloudwatch.GraphWidget(title=title, left=left, width=8)
                for title, left in {
                    "Requests": requests,
                    "Latency": latency,
                    "Queue": waiting,
                    "Model": [self._own(name) for name in ("ModelCalls", "ModelFailures", "JournalHits")],
                    "Tokens": [self._own(name) for name in ("InputTokens", "OutputTokens")],
                    "Runs": [self._own(name) for name in ("Attempts", "Handovers", "LeaseSteals")],
                    "Loop": [self._own(name) for name in ("NestedEntries", "LoopConflicts", "Leftovers")],
                    "Concurrency": [
                        each.function.metric("ConcurrentExecutions", statistic="max") for each in functions.every
                    ],
                }.items()
            )
        )

    def _budget(self) -> None:
        self._let_publish("budgets.amazonaws.com")
        told = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=self.topic.topic_arn)
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=self._environment.monthly_budget, unit="USD"),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN", notification_type=kind, threshold=100
                    ),
                    subscribers=[told],
                )
                for kind in ("ACTUAL", "FORECASTED")
            ],
        )
