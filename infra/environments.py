"""What differs between deployments. `make deploy ENVIRONMENT=production` takes one of them."""

# src/agency_lambda_cdk/environment.py lists every field with its default. Each may be given for one command, e.g.
# make deploy ARGS="-c waf=true -c memory_mb=2048"

from agency_lambda_cdk import Environment

PROJECT = "agency-lambda"  # the first part of every stack's name; another one for another project in an account

ENVIRONMENTS = {
    "dev": Environment(
        project=PROJECT,
        account=None,  # None: of the shell that deploys; "123456789012" deploys nowhere else
        region=None,
        alarms=False,
        metrics_by_agency=False,
    ),
    "production": Environment(
        project=PROJECT,
        account=None,
        region=None,
        production=True,
        snap_start=True,  # each snapshot has run every agency once, with the offline model
        log_days=365,
        requests_per_second=200,
        burst=400,
        # offline_model=False,
        # gradual="canary_10_percent_5_minutes", alarm_email="you@example.com",
        # vpc_id="vpc-0123456789abcdef0", subnets=("subnet-0123456789abcdef0", "subnet-0123456789abcdef1"),
    ),
}
