"""What is promised of every agency in `agents/` (agency_lambda.testing.agencies). Tests of your own go beside it."""

from agency_lambda.testing.agencies import *  # noqa: F403
