"""What the bundle leaves out, with a reason each, and the services that botocore keeps. Edit it here.

A package goes together with what it alone needed. It stays where requirements.in names it: write there what the
code in `agents/` imports.
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
}

ASKED_FOR = {  # in the code of agents/: the packages that stay then
    r"litellm": ("litellm", "jinja2", "pyyaml", "tqdm"),
    r"(?i)openapi|schemas_folder": ("black", "isort", "inflect", "jinja2"),
}

FILES = {
    "**/.*": "files of tools, and never a .env",
    "**/.agents/**": "for coding assistants",
    "*.dist-info/RECORD": "pip's list of files; names, versions, entry points and licences stay",
    "*.dist-info/sboms/**": "for auditors of the wheel",
    "bin/**": "commands",
    "fastmcp/cli/**": "commands",
    "agency_swarm/cli/**": "commands",
    "agency_swarm/data/model_prices_and_context_window.json": "costs that its own server shows; it warns and goes on",
    "agency_swarm/ui/demos/**": "demos for a terminal and a browser",
    "datamodel_code_generator/__main__.py": "its command",
    "datamodel_code_generator/arguments.py": "its command",
    "datamodel_code_generator/cli_options.py": "its command",
    "datamodel_code_generator/prompt*.py": "its command",
    "datamodel_code_generator/parser/asyncapi.py": "schemas that OpenAPI tools do not come from",
    "datamodel_code_generator/parser/avro.py": "the same",
    "datamodel_code_generator/parser/graphql.py": "the same",
    "datamodel_code_generator/parser/protobuf.py": "the same",
    "datamodel_code_generator/parser/xmlschema.py": "the same",
    "**/tests/**": "tests",
    "**/test/**": "tests",
    "**/*.pyi": "type stubs",
    "**/py.typed": "for type checkers",
    "**/*.pyx": "source of what is there compiled",
    "**/*.pxd": "the same",
    "**/*.[ch]": "the same",
    "boto*/data/*/**": "AWS services; SERVICES and what agents/ asks for by name stay",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/**": "its page for documents; FastAPI answers here",
    "aws_lambda_powertools/utilities/*/**": "of Powertools: metrics, logging and tracing stay",
    "agents/extensions/sandbox/**": "clients of sandbox vendors, whose SDKs are not here",
    "fastmcp/server/auth/oauth_proxy/**": "an MCP server as OAuth proxy; needs authlib, above",
    "fastmcp/server/auth/providers/**": "the same",
    "cffi/**": "builds bindings; cryptography loads _cffi_backend, beside it",
    "botocore/cacert.pem": "certifi's is taken",
    "pygments/lexers/*": "colours for 500 languages in a terminal",
    "pygments/formatters/*": "HTML and others; rich writes to the terminal itself",
}

KEPT_FILES = (
    *(f"pygments/lexers/{name}.py" for name in ("__init__", "_mapping", "python", "special")),  # rich's tracebacks
    "aws_lambda_powertools/utilities/jmespath_utils/**",  # its logging
    "aws_lambda_powertools/utilities/typing/**",
)

SERVICES = {"dynamodb", "secretsmanager", "sqs", "sts"}  # of AWS: what handler/ uses; sts for roles

OURS = {  # in handler/ and agents/
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
}


def requirements(lock: str, named: str, code: str) -> str:
    """The lock file without PACKAGES and what they alone need. named: requirements.in; code: all of agents/."""
    blocks = {block.partition("==")[0]: block for block in re.split(r"^(?=[a-z0-9])", lock, flags=re.M)}
    wanted = set(re.findall(r"^[a-z0-9][a-z0-9._-]*", named.lower(), re.M))
    wanted.update(*(packages for word, packages in ASKED_FOR.items() if re.search(word, code)))
    while (
        more := {name for name, block in blocks.items() if name not in PACKAGES and wanted & _needed_by(block)} - wanted
    ):
        wanted |= more
    return "".join(block for name, block in blocks.items() if name in wanted)


def is_left_out(module: str) -> bool:
    """Whether FILES takes it away; by its dotted name."""
    base = Path(*module.split("."))
    forms = (base.with_name(f"{base.name}.py"), base / "__init__.py")
    return any(form.full_match(pattern) for form in forms for pattern in FILES) and not any(
        form.full_match(pattern) for form in forms for pattern in KEPT_FILES
    )


def _needed_by(block: str) -> set[str]:
    """The names after `# via`, in one line or one a line."""
    return set(re.findall(r"^ +# +(?:via +)?(\S+)$", block, re.M)) - {"via"}


def remove_files(bundle: Path, code: str) -> None:
    """What FILES lists. code: all of agents/, for the services in `client("...")` and `resource("...")`."""
    asked = set(re.findall(r"""\b(?:client|resource)\(\s*["']([a-z0-9-]+)["']""", code))
    patterns = [*KEPT_FILES, *(f"boto*/data/{service}/**" for service in SERVICES | asked)]
    kept = {path for pattern in patterns for path in bundle.glob(pattern)}
    for path in {path for pattern in FILES for path in bundle.glob(pattern)} - kept:
        if path.is_file():
            path.unlink()
    for metadata in bundle.glob("*.dist-info/METADATA"):  # after the fields comes the README, which nobody reads there
        metadata.write_text(metadata.read_text().partition("\n\n")[0] + "\n")
    for folder, _, _ in bundle.walk(top_down=False):
        if not any(folder.iterdir()):
            folder.rmdir()
