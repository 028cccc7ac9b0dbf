"""Authentication in the way that AUTH names: keys, iam, jwt, or none on localhost."""

from agency_lambda.auth.middleware import Authentication, authenticator

__all__ = ["Authentication", "authenticator"]
