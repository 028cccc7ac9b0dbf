"""SnapStart in the order of AWS's own client: hooks, the snapshot, and hooks in each environment restored from it."""

import logging
import sys
from typing import TYPE_CHECKING

from snapshot_restore_py import get_after_restore, get_before_snapshot

if TYPE_CHECKING:
    from lambda_loop.runtime.api import RuntimeApi

logger = logging.getLogger(__name__)


def pass_through(api: "RuntimeApi") -> None:
    """Returns after the restore."""
    try:
        for call, arguments, named in reversed(get_before_snapshot()):
            call(*arguments, **named)
        api.restore_next()
    except BaseException as error:
        logger.exception("before the snapshot")
        api.report_error("/init", error, "Runtime.BeforeSnapshotError")
        sys.exit(64)
    try:
        for call, arguments, named in get_after_restore():
            call(*arguments, **named)
    except BaseException as error:
        logger.exception("after the restore")
        api.report_error("/restore", error, "Runtime.AfterRestoreError")
        sys.exit(65)
