"""The OpenAPI document, whose types nobody imports before somebody asks for it. operations.py lists the routes."""
