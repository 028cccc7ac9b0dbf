"""The routes, one module for each subject."""

from starlette.routing import BaseRoute

from agency_lambda.routes import (
    admin,
    agencies,
    approvals,
    budgets,
    completion,
    conversations,
    health,
    models,
    responses,
    usage,
    webhooks,
)

SUBJECTS = (completion, agencies, health, responses, conversations, approvals, models, admin, budgets, usage, webhooks)
ROUTES: list[BaseRoute] = [route for subject in SUBJECTS for route in subject.router.routes]
