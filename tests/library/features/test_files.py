"""`files_folder`: uploaded once by `make files`, by content; a run only names it, and renames nothing."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, Agent, CodeInterpreterTool, FileSearchTool

from agency_lambda import catalogue
from agency_lambda.catalogue import upload_files as make_files
from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.framework.building import build
from agency_lambda.framework.files import upload as uploading
from agency_lambda.settings import get_settings
from tests.library.features.rows import holds

CREATED = {"object": "x", "created_at": 1}


class Storage:
    """OpenAI's files and vector stores, on loopback. `asked` are the requests; `status` is of files in a store."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status, self.gone = "completed", False
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Door", (_Door,), {"owner": self}))
        self._http.daemon_threads = False
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def made(self) -> list[str]:
        return [each for each in self.asked if each.startswith("POST")]

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, method: str, path: str) -> dict[str, Any] | None:
        self.asked.append(f"{method} {path}")
        number = f"{len(self.asked):020d}"
        match path.split("/")[2:]:
            case ["files"]:
                return {**CREATED, "id": f"file-{number}", "bytes": 1, "filename": "f", "purpose": "assistants"}
            case ["vector_stores", *more] if len(more) < 2:
                return None if self.gone and more else {**CREATED, "id": f"vs_{number}", "name": "f", "status": "x"}
            case ["vector_stores", store, "files", *_]:
                error = {"code": "server_error", "message": "not readable"} if self.status == "failed" else None
                return {**CREATED, "id": "f", "vector_store_id": store, "status": self.status, "last_error": error}
        raise AssertionError(path)


class _Door(BaseHTTPRequestHandler):
    owner: Storage

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.owner.answer(self.command, self.path)
        data = json.dumps(answer or {"error": {"message": "no such store"}}).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET = _handle


@pytest.fixture
def storage(clean_environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    storage = Storage()
    monkeypatch.setattr(uploading, "_POLL", 0.01)
    clean_environment.setenv("OPENAI_API_KEY", "sk-test")
    clean_environment.setenv("OPENAI_BASE_URL", storage.url)
    get_settings.cache_clear()
    yield storage
    storage.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "prices.txt").write_text("paper 3 EUR")
    (folder / "terms.md").write_text("30 days")
    (folder / "table.csv").write_text("a,b")
    (folder / ".hidden").write_text("")
    (folder / "sub").mkdir()
    return folder


Create = Callable[[], Agency]


@pytest.fixture(params=["files_folder", "shared_files_folder"])
def create(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Create:
    def files_folder() -> Agency:
        return Agency(Agent(name="Clerk", instructions=".", files_folder=str(folder), include_search_results=True))

    def shared_files_folder() -> Agency:
        return Agency(Agent(name="Clerk", instructions="."), shared_files_folder=str(folder))

    chosen = locals()[request.param]
    monkeypatch.setattr(catalogue, "factories", lambda: {"desk": chosen})
    return chosen  # type: ignore[no-any-return]


def tools(create: Create) -> dict[type, Any]:
    return {type(tool): tool for tool in build(create).agents["Clerk"].tools}


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder.parent)) for path in folder.parent.rglob("*"))


def test_until_it_is_uploaded_the_agency_is_refused_with_the_commands_name(
    create: Create, folder: Path, storage: Storage
) -> None:
    before = names(folder)
    with pytest.raises(AgencyMisconfigured, match=r"files_folder .*files was not uploaded yet: run `make files`"):
        build(create)
    assert (names(folder), storage.asked) == (before, [])


@holds("files_folder", "shared_files_folder")
def test_it_is_uploaded_once_and_a_run_only_names_it(create: Create, folder: Path, storage: Storage) -> None:
    before = names(folder)
    make_files.main()
    posts = [each.rpartition("/")[2] if each.endswith("s") else each for each in storage.made]
    assert (posts.count("files"), posts.count("vector_stores")) == (5, 1)  # three files, two of them into the store
    assert names(folder) == sorted([*before, "files.uploaded.json"])
    asked = len(storage.made)
    make_files.main()
    assert len(storage.made) == asked
    storage.asked.clear()
    found = tools(create)
    assert found[FileSearchTool].vector_store_ids[0].startswith("vs_")
    assert len(found[CodeInterpreterTool].tool_config["container"]["file_ids"]) == 1
    assert storage.asked == []


def test_another_content_is_refused_and_uploaded_anew(create: Create, folder: Path, storage: Storage) -> None:
    make_files.main()
    first = tools(create)[FileSearchTool].vector_store_ids
    (folder / "prices.txt").write_text("paper 4 EUR")
    with pytest.raises(AgencyMisconfigured, match="has changed since it was uploaded: run `make files`"):
        build(create)
    make_files.main()
    assert tools(create)[FileSearchTool].vector_store_ids != first


def test_on_lambda_the_record_is_enough(
    create: Create, folder: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle leaves files out, such as keys; and reading all of them would delay its first run."""
    make_files.main()
    (folder / "prices.txt").unlink()
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    assert FileSearchTool in tools(create)


def test_a_store_that_is_gone_is_made_again(
    create: Create, folder: Path, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    make_files.main()
    made = len(storage.made)
    storage.gone = True
    make_files.main()
    assert len(storage.made) == 2 * made


def without_key(environment: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        environment.delenv(name)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda folder, storage, environment: setattr(storage, "status", "failed"), "could not take it: not readable"),
        (lambda folder, storage, environment: (folder / "a.exe").write_text(""), "takes no files of type '.exe'"),
        (lambda folder, storage, environment: without_key(environment), "OPENAI_API_KEY is not set"),
    ],
    ids=["failed", "type", "key"],
)
def test_what_cannot_be_uploaded_is_told_and_nothing_is_written(
    create: Create,
    folder: Path,
    storage: Storage,
    clean_environment: pytest.MonkeyPatch,
    break_it: Callable[..., Any],
    said: str,
) -> None:
    break_it(folder, storage, clean_environment)
    get_settings.cache_clear()
    before = names(folder)
    with pytest.raises(SystemExit, match=said):
        make_files.main()
    assert names(folder) == before


@pytest.mark.parametrize("named", ["files", "files_vs_68abc123def456789012"])
def test_what_the_framework_has_uploaded_is_used_as_it_is(tmp_path: Path, storage: Storage, named: str) -> None:
    folder = tmp_path / "files_vs_68abc123def456789012"
    folder.mkdir()
    (folder / "prices_file-68abc123def45678901234.txt").write_text("paper 3 EUR")
    (folder / "table_file-68abc123def45678901235.csv").write_text("a,b")

    def create() -> Agency:
        return Agency(Agent(name="Clerk", instructions=".", files_folder=str(tmp_path / named)))

    found = tools(create)
    assert found[FileSearchTool].vector_store_ids == ["vs_68abc123def456789012"]
    assert found[CodeInterpreterTool].tool_config["container"]["file_ids"] == ["file-68abc123def45678901235"]
    (folder / "new.txt").write_text("")
    with pytest.raises(AgencyMisconfigured, match="rename the folder to 'files' and run `make files`"):
        build(create)
    assert storage.asked == []


def test_a_folder_that_is_empty_or_not_there_is_nothing_and_a_file_is_refused(tmp_path: Path) -> None:
    def create() -> Agency:
        return Agency(Agent(name="Clerk", instructions=".", files_folder=str(tmp_path / "files")))

    assert build(create).agents["Clerk"].tools == []  # git keeps no empty folder, and the starter template names one
    (tmp_path / "files").mkdir()
    assert build(create).agents["Clerk"].tools == []
    (tmp_path / "files").rmdir()
    (tmp_path / "files").touch()
    with pytest.raises(AgencyMisconfigured, match="is not a folder"):
        build(create)


def test_a_relative_folder_is_beside_who_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `shared_files_folder` too; the framework's own rule."""
    from agency_lambda.framework.files import collect

    module = tmp_path / "shop_with_files.py"
    module.write_text(
        "from agency_swarm import Agency, Agent\n"
        "def create_agency():\n"
        "    agent = Agent(name='Clerk', instructions='.', files_folder='./own')\n"
        "    return Agency(agent, shared_files_folder='shared')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import shop_with_files  # type: ignore[import-not-found]

    found: list[Path] = []
    token = collect.set(found.append)
    try:
        build(shop_with_files.create_agency)
    finally:
        collect.reset(token)
    assert found == [tmp_path / "own", tmp_path / "shared"]


def test_it_was_written_for_this_version() -> None:
    assert version("agency-swarm") == "1.11.0"
