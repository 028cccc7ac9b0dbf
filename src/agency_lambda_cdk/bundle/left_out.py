"""What the bundle leaves out, with a reason each, and the services that botocore keeps. Edit it here.

A package goes together with what it alone needed. It stays where agents/requirements.in or what that brings
needs it: write there what the code in `agents/` imports.
"""

import re
from pathlib import Path

PACKAGES = {
    "litellm": "models of other providers, and 120 MB that only it needs",
    "black": "formats what OpenAPI tools are generated from",
    "isort": "the same",
    "inflect": "the same",
    "jinja2": "the same",
    "genson": "models from JSON data; OpenAPI brings schemas",
    "pycparser": "reads C when cffi builds something",
    "authlib": "an MCP server as OAuth proxy",
    "joserfc": "tokens of the same",
    "openapi-pydantic": "an MCP server made from an OpenAPI document",
    "jsonschema-path": "the same",
    "keyring": "the desktop's key store",
    "cyclopts": "the fastmcp command",
    "argcomplete": "the datamodel-codegen command",
    "tqdm": "progress bars of the openai command",
    "prompt-toolkit": "the demo in a terminal",
    "uvloop": "on Lambda the loop is asyncio's, and nest_asyncio cannot patch this one",
    "httptools": "uvicorn's parser; Lambda sends events, not bytes",
    "types-requests": "type stubs",
    "dnspython": "asks whether a mail domain exists, which pydantic's EmailStr never does",
    "pyyaml": "uvicorn's log files and YAML on command lines",
    "filetype": "agency_swarm's own server",
    "aiofiles": "the same",
    "termcolor": "nobody imports it",
    "markdown-it-py": "Markdown in a terminal",
    "aiofile": "one of the stores of key_value, below",
    "pyperclip": "the fastmcp command",
}

ASKED_FOR = {  # in the code of agents/: the packages that stay then
    r"litellm": ("litellm", "jinja2", "pyyaml", "tqdm"),
    r"(?i)openapi|schemas_folder": ("black", "isort", "inflect", "jinja2"),
}

FILES = {
    "**/.*": "files of tools, and never a .env",
    "**/.agents/**": "for coding assistants",
    "*.dist-info/RECORD": "pip's list of files; names at the top, versions, entry points and licences stay",
    "*.dist-info/sboms/**": "for auditors of the wheel",
    "*.dist-info/WHEEL": "for installers",
    "*.dist-info/INSTALLER": "the same",
    "*.dist-info/REQUESTED": "the same",
    "bin/**": "commands",
    "dateutil/zoneinfo/*.tar.gz": "time zones for a system without; botocore asks for none",
    "fastmcp/cli/**": "commands",
    "httpx/_main.py": "its command; httpx does without",
    "mcp/cli/**": "commands",
    "agency_swarm/cli/**": "commands",
    "agency_swarm/data/model_prices_and_context_window.json": "costs that its own server shows; it warns and goes on",
    "agency_swarm/integrations/fastapi_utils/**": "its own server",
    "agency_swarm/ui/**": "a terminal and a browser on the developer's machine",
    "datamodel_code_generator/__main__.py": "its command",
    "datamodel_code_generator/arguments.py": "its command",
    "datamodel_code_generator/cli_options.py": "its command",
    "datamodel_code_generator/prompt*.py": "its command",
    "datamodel_code_generator/preset*.py": "its command",
    "datamodel_code_generator/http.py": "its command",
    "datamodel_code_generator/input_model.py": "its command",
    "datamodel_code_generator/_builtin_formatter.py": "what black does where OpenAPI is asked for",
    "datamodel_code_generator/model/msgspec.py": "models that are not pydantic's",
    "datamodel_code_generator/parser/mcp.py": "schemas that OpenAPI tools do not come from",
    "datamodel_code_generator/parser/openapi.py": "the same; agency_swarm reads the document itself",
    "datamodel_code_generator/parser/asyncapi.py": "the same",
    "datamodel_code_generator/parser/avro.py": "the same",
    "datamodel_code_generator/parser/graphql.py": "the same",
    "datamodel_code_generator/parser/protobuf.py": "the same",
    "datamodel_code_generator/parser/xmlschema.py": "the same",
    "**/tests/**": "tests",
    "**/test/**": "tests",
    "jsonschema/benchmarks/**": "tests",
    "**/*.pyi": "type stubs",
    "**/py.typed": "for type checkers",
    "**/*.pyx": "source of what is there compiled",
    "**/*.pxd": "the same",
    "**/*.[ch]": "the same",
    "boto*/data/*/**": "AWS services; SERVICES and what agents/ asks for by name stay",
    "aws_lambda_powertools/event_handler/**": "routes; FastAPI answers here",
    "aws_lambda_powertools/utilities/*/**": "of Powertools: metrics, logging and tracing stay",
    "agents/extensions/sandbox/**": "clients of sandbox vendors, whose SDKs are not here",
    "fastmcp/server/auth/oauth_proxy/**": "an MCP server as OAuth proxy; needs authlib, above",
    "fastmcp/server/auth/providers/**": "the same",
    "fastmcp/server/auth/oidc_proxy.py": "the same",
    "fastmcp/server/auth/cimd.py": "the same; needs joserfc, above",
    "fastmcp/server/auth/ssrf.py": "the same",
    "fastmcp/server/openapi/**": "an MCP server made from an OpenAPI document; needs openapi-pydantic, above",
    "fastmcp/server/providers/openapi/**": "the same",
    "fastmcp/utilities/openapi/**": "the same",
    "fastmcp/experimental/**": "the same",
    "fastmcp/client/**": "agents call MCP servers with the client of the SDK",
    "fastmcp/server/proxy.py": "an MCP server in front of others; needs the client",
    "fastmcp/server/providers/proxy.py": "the same",
    "fastmcp/apps/[!_c]*.py": "pages of prefab_ui, which is not here",
    "fastmcp/apps/choice.py": "the same",
    "fastmcp/contrib/**": "what others gave",
    "key_value/aio/stores/*/**": "clients of databases that are not here; what keeps in memory stays",
    "key_value/aio/wrappers/**": "for the OAuth proxy and the stores above",
    "uvicorn/protocols/**": "a server at a socket; Lambda sends events",
    "websockets/legacy/**": "what the package itself calls deprecated",
    "cffi/**": "builds bindings; cryptography loads _cffi_backend, beside it",
    "botocore/cacert.pem": "certifi's is taken",
    "pygments/lexers/*": "colours for 500 languages in a terminal",
    "pygments/formatters/*": "HTML and others; rich writes to the terminal itself",
    "pygments/styles/*": "looks of the same",
    "rich/markdown.py": "Markdown in a terminal",
    "rich/_unicode_data/unicode*.py": "how wide a letter is in an older terminal",
    "anyio/_backends/_trio.py": "another event loop",
    "anyio/pytest_plugin.py": "tests",
    "click/testing.py": "tests",
    "starlette/testclient.py": "tests",
    "fastmcp/utilities/tests.py": "tests",
    "pydantic/**/mypy.py": "for a type checker",
    "urllib3/contrib/emscripten/**": "Python in a browser",
}

KEPT_FILES = (
    *(f"pygments/lexers/{name}.py" for name in ("__init__", "_mapping", "python", "special")),  # rich's tracebacks
    *(f"pygments/styles/{name}.py" for name in ("__init__", "_mapping", "default", "monokai")),
    "rich/_unicode_data/unicode17*.py",
    *(f"key_value/aio/stores/{name}/**" for name in ("memory", "null", "simple")),
    "aws_lambda_powertools/utilities/jmespath_utils/**",  # its logging
    "aws_lambda_powertools/utilities/typing/**",
)

FILES_ASKED_FOR = {  # in the code of agents/: the files that stay then
    r"\bdateutil\b": "dateutil/zoneinfo/**",
    r"\bfastmcp\b": "fastmcp/**",  # `from fastmcp import Client` does not name the file
}

SERVICES = {"dynamodb", "s3", "secretsmanager", "sqs", "sts"}  # of AWS: what handler/ uses; sts for roles

NEVER = {  # of handler/, src/ and agents/
    "__pycache__": "compiled for the developer's machine",
    ".*": ".env and .git, and files of tools",
    "*.env": "secrets",
    "*.pem": "secrets",
    "*.key": "secrets",
    "*.p12": "secrets",
    "*.pfx": "secrets",
    "*~": "an editor's copy",
    "tests": "tests",
    "conftest.py": "tests",
    "venv": "an environment; agents/requirements.in says what is installed",
    "node_modules": "the same of Node",
}


def requirements(lock: str, named: str, code: str, added: str = "") -> str:
    """Return the lock without PACKAGES and what they alone need, and with all that the adopter's lock adds to it.

    named: both requirements.in; code: all of agents/; added: agents/requirements.txt, which may need one of PACKAGES.
    """
    blocks, adopters = _blocks(lock), _blocks(added)
    new = adopters.keys() - blocks.keys()
    kept = new | {name for name, block in adopters.items() if new & _needed_by(block)}
    kept.update(re.findall(r"^[a-z0-9][a-z0-9._-]*", named.lower(), re.M))
    kept.update(*(packages for word, packages in ASKED_FOR.items() if re.search(word, code)))
    blocks = adopters | blocks
    while more := {name for name in blocks.keys() - PACKAGES.keys() - kept if kept & _needed_by(blocks[name])}:
        kept |= more
    return "".join(block for name, block in blocks.items() if name in kept)


def _blocks(lock: str) -> dict[str, str]:
    """Return the lines of each package by its name."""
    return {block.partition("==")[0]: block for block in re.split(r"^(?=[a-z0-9])", lock, flags=re.M)}


def is_left_out(module: str, code: str) -> bool:
    """Return whether FILES removes a module. code: all of agents/."""
    base = Path(*module.split("."))
    forms = (base.with_name(f"{base.name}.py"), base / "__init__.py")
    return any(form.full_match(pattern) for form in forms for pattern in FILES) and not any(
        form.full_match(pattern) for form in forms for pattern in _kept(code)
    )


def _kept(code: str) -> list[str]:
    return [*KEPT_FILES, *(files for word, files in FILES_ASKED_FOR.items() if re.search(word, code))]


def _needed_by(block: str) -> set[str]:
    return set(re.findall(r"^ +# +(?:via +)?(\S+)$", block, re.M)) - {"via"}


def _name_tops(bundle: Path) -> None:
    """Record which names at the top of the bundle are a package's, before RECORD is removed."""
    for record in bundle.glob("*.dist-info/RECORD"):
        paths = [line.partition(",")[0] for line in record.read_text().splitlines()]
        tops = {re.split(r"[/.]", path, maxsplit=1)[0] for path in paths}
        record.with_name("top_level.txt").write_text("\n".join(sorted(filter(str.isidentifier, tops))))


def remove_files(bundle: Path, code: str) -> None:
    """Remove what FILES lists, but for the AWS services that `code` (all of agents/) asks for."""
    asked = set(re.findall(r"""\b(?:client|resource)\(\s*["']([a-z0-9-]+)["']""", code))
    _name_tops(bundle)
    patterns = [*_kept(code), *(f"boto*/data/{service}/**" for service in SERVICES | asked)]
    kept = {path for pattern in patterns for path in bundle.glob(pattern)}
    for path in {path for pattern in FILES for path in bundle.glob(pattern)} - kept:
        if path.is_file():
            path.unlink()
    for metadata in bundle.glob("*.dist-info/METADATA"):  # after the fields comes the README, which nobody reads there
        metadata.write_text(metadata.read_text().partition("\n\n")[0] + "\n")
    for folder, _, _ in bundle.walk(top_down=False):
        if not any(folder.iterdir()):
            folder.rmdir()
