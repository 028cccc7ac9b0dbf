"""List runs: `make runs [URL=... KEY=... OWNER=name STATUS=failed]`; an operator's key lists those of all owners."""

import os
import sys
from datetime import datetime
from typing import Any

import httpx

_LIMIT = 20
_WIDTH = 100  # columns
_HEADINGS = {name: name for name in ("id", "began", "status", "took", "tokens", "what")}


def main() -> None:
    url = os.environ.get("URL") or f"http://127.0.0.1:{os.environ.get('PORT') or 8000}"
    key, owner, status = (os.environ.get(name) for name in ("KEY", "OWNER", "STATUS"))
    query = {name: value for name, value in {"owner": owner, "status": status}.items() if value}
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=30) as client:
            runs, has_more = _newest(client, query)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        sys.exit(f"No runs listed: {error}")
    if not runs:
        print("No runs.")
        return
    for row in (_HEADINGS, *map(_row, runs)):
        line = "{id:37} {began:12} {status:11} {took:>6} {tokens:>7} {what}".format(**row)
        print(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…")
    if has_more:
        print("... and older ones")


def _newest(client: httpx.Client, query: dict[str, str]) -> tuple[list[dict[str, Any]], bool]:
    """Return the newest runs that match, and whether there are more."""
    path, runs, after = "/v1/admin/responses", list[dict[str, Any]](), dict[str, str]()
    while True:
        answer = client.get(path, params={**query, **after, "limit": str(_LIMIT)})
        if answer.status_code == 403 and "owner" not in query and path != "/v1/responses":
            path = "/v1/responses"  # no operator: the caller's own
            continue
        if answer.is_error:
            raise httpx.HTTPError(f"{answer.status_code} {answer.text[:500]}")
        page = answer.json()
        runs += page["data"]
        if len(runs) >= _LIMIT or not page["has_more"]:
            return runs[:_LIMIT], page["has_more"] or len(runs) > _LIMIT
        after = {"after": page["last_id"]}  # a page may have few items, as it looks at a bounded number of runs


def _row(run: dict[str, Any]) -> dict[str, str]:
    ended, usage, messages = run["ended_at"], run["usage"], run.get("open_messages")
    what = [run.get("owner"), run["model"], run["error_code"]]
    return {
        "id": run["id"],
        "began": f"{datetime.fromtimestamp(run['created_at']):%b %d %H:%M}",
        "status": (f"waits ({messages})" if messages else "waits") if run.get("waits_for") else run["status"],
        "took": f"{ended - run['created_at']} s" if ended else "",
        "tokens": f"{usage['total_tokens']:,}{'+' if messages else ''}" if usage else "",
        "what": " ".join(word for word in what if word),
    }


if __name__ == "__main__":
    main()
