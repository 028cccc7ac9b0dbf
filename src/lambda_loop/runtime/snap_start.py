"""SnapStart's hooks, in the order of AWS's client."""

import logging
import sys
from typing import TYPE_CHECKING

from snapshot_restore_py import get_after_restore, get_before_snapshot

if TYPE_CHECKING:
    from lambda_loop.runtime.api import RuntimeApi

logger = logging.getLogger(__name__)


def restore(api: "RuntimeApi") -> None:
    """Run the hooks around the snapshot. Exits with 64 or 65 if one fails."""
    try:
        for hook, args, named in reversed(get_before_snapshot()):
            hook(*args, **named)
        api.restore_next()
    except BaseException as error:
        logger.exception("before the snapshot")
        api.report_error("/init", error, "Runtime.BeforeSnapshotError")
        sys.exit(64)
    try:
        for hook, args, named in get_after_restore():
            hook(*args, **named)
    except BaseException as error:
        logger.exception("after the restore")
        api.report_error("/restore", error, "Runtime.AfterRestoreError")
        sys.exit(65)
