"""The routes, one module for each subject."""

from starlette.routing import BaseRoute

from agency_lambda.routes import admin, agencies, budgets, completion, conversations, health, models, responses, usage

SUBJECTS = (completion, agencies, health, responses, conversations, models, admin, budgets, usage)
ROUTES: list[BaseRoute] = [route for subject in SUBJECTS for route in subject.router.routes]
