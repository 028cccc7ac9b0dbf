"""SnapStart: prepare an environment before its snapshot, and renew each one that is restored."""

import asyncio
import gc
import logging
import os
import random
import sys
import tempfile
from typing import TYPE_CHECKING

from agency_lambda import run_service
from agency_lambda.catalogue import manifest
from agency_lambda.settings import get_settings
from lambda_loop import EnvironmentLoop

if TYPE_CHECKING:
    from agency_lambda.runs.service import RunService

logger = logging.getLogger(__name__)
_SECONDS = 10.0  # for one run


def register(loop: EnvironmentLoop) -> None:
    gc.freeze()  # what is there now stays: no collection has to look at it, and no clone has to copy it
    gc.enable()
    kind = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE")
    if kind == "provisioned-concurrency":
        prepare(loop)
    if kind != "snap-start":
        return
    from snapshot_restore_py import register_after_restore, register_before_snapshot

    register_before_snapshot(prepare, loop)
    register_after_restore(renew, loop)


def prepare(loop: EnvironmentLoop) -> None:
    """Import what a run needs, and run every agency with the offline model."""
    loop.run(_run_every_agency())
    gc.collect()
    gc.freeze()


def renew(loop: EnvironmentLoop) -> None:
    """Renew what clones must not share: connections, secrets and random state."""
    loop.run(run_service.close_run_service())
    if "agency_lambda.secrets" in sys.modules:
        from agency_lambda import secrets

        secrets.clear_caches()
    random.seed()
    tempfile._name_sequence = None  # type: ignore[attr-defined]  # it has a generator of its own


async def _run_every_agency() -> None:
    from openai import AsyncOpenAI

    from agency_lambda import catalogue
    from agency_lambda.framework.models import offline
    from agency_lambda.framework.rehearsal import import_vendors, runs_no_foreign_code
    from agency_lambda.runs.service import RunService

    async with AsyncOpenAI(api_key="none") as client:
        _ = client.responses, client.chat.completions  # imported when they are first asked for

    without_key = {"openai_api_key": None, "openai_api_key_secret": None}
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # a run asks its store for a budget, and no clone may share a connection
        settings = get_settings().model_copy(update={**without_key, "store": f"sqlite:///{folder}/agency.db"})
        runs = RunService(settings, secrets={})
        try:
            for name in catalogue.factories().keys() - manifest.not_configured().keys():
                try:
                    name, create_agency = catalogue.find(name)
                    agency = catalogue.build(create_agency)
                    import_vendors(agency, catalogue.entry(name).model, settings.model)
                    if offline.is_available() and runs_no_foreign_code(agency):
                        await _run_once(runs, name)
                except Exception:  # of every request too, which says more about it
                    logger.exception("agency %s could not be run before the snapshot", name)
        finally:
            await runs.aclose()
    run_service.get_run_service()


async def _run_once(runs: "RunService", name: str) -> None:
    from agency_lambda.protocol.request import CreateResponse
    from agency_lambda.runs.attempt import Attempt
    from agency_lambda.runs.client_run import ClientRun

    request = CreateResponse(model=name, input="Are you there?", store=False, stream=True, tool_choice="none")
    begun = await runs.create(request, "snapshot")
    assert isinstance(begun, Attempt)  # nothing of it is stored, so nothing can be there already
    run = ClientRun(runs, "snapshot", begun)
    try:
        async with asyncio.timeout(_SECONDS):
            async for _ in run.events():
                pass
    finally:
        await run.leave()  # or it would go on in every clone
