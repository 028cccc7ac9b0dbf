"""Upload each `files_folder` and `shared_files_folder` of the agencies once."""

import sys
from pathlib import Path

from openai import OpenAI, OpenAIError

from agency_lambda import catalogue
from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.framework.building import build
from agency_lambda.framework.files import collect, record
from agency_lambda.framework.files.upload import UploadError, upload
from agency_lambda.settings import ConfigurationError, Settings, get_settings


def main() -> None:
    try:
        settings = get_settings()  # before the agencies, which find a stand-in for a missing key
        folders = [folder for folder in files_folders() if record.files(folder)]
        if not folders:
            print("No agent has a files_folder with files in it.")
            return
        client = _client(settings)
        for folder in folders:
            upload(client, folder, print)
    except (AgencyMisconfigured, ConfigurationError, UploadError, OpenAIError, OSError) as error:
        sys.exit(f"Not uploaded: {error}")


def files_folders() -> list[Path]:
    """Raises AgencyMisconfigured if an agency cannot be built."""
    found: list[Path] = []
    token = collect.set(found.append)
    try:
        for create_agency in catalogue.factories().values():
            build(create_agency)
    finally:
        collect.reset(token)
    return [folder for folder in dict.fromkeys(found) if not record.named_by_framework(folder)]


def _client(settings: Settings) -> OpenAI:
    if settings.openai_api_key is None:
        raise ConfigurationError("OPENAI_API_KEY is not set: files are uploaded to the account of this key")
    return OpenAI(api_key=settings.openai_api_key.get_secret_value(), base_url=settings.openai_base_url)


if __name__ == "__main__":
    main()
