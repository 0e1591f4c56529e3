"""Stand-ins for the tools that a page of the documentation calls: pip, aws, az and gcloud.

They do by the SDK, at a server of the tests, what the real ones do in the cloud, and refuse what
they don't know, so that no command of a page can be wrong unnoticed. The variable
``COLLECTFASTA_TEST_SERVER`` says where the server is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

SERVER = "COLLECTFASTA_TEST_SERVER"


def write(directory: Path) -> None:
    """Write an executable for each of them."""
    directory.mkdir()
    for name in _TOOLS:
        path = directory / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {__name__} {name} "$@"\n')
        path.chmod(0o755)


def pip(*arguments: str) -> None:
    """Check that what is to be installed is there, with its extras."""
    command, *requirements = arguments
    if command != "install":
        raise SystemExit(f"pip {command}?")
    for requirement in map(Requirement, requirements):
        unknown = requirement.extras - {
            *(metadata(requirement.name).get_all("Provides-Extra") or ())
        }
        if unknown:
            raise SystemExit(f"{requirement.name} has no extra {unknown}.")


def aws(service: str, operation: str, *arguments: str) -> None:
    """Call the operation of S3's API that a command of ``aws s3api`` is made from."""
    import boto3
    from botocore import xform_name
    from botocore.config import Config

    if service != "s3api":
        raise SystemExit(f"aws {service}?")
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    client: Any = boto3.client(
        "s3",
        endpoint_url=os.environ[SERVER],
        region_name=options.pop("--region", "us-east-1"),
        config=Config(s3={"addressing_style": "path"}),
    )
    method = operation.replace("-", "_")
    name = client.meta.method_to_api_mapping[method]
    members = client.meta.service_model.operation_model(name).input_shape.members
    names = {f"--{xform_name(member, '-')}": member for member in members}
    parameters = {
        names[option]: _value(value, members[names[option]]) for option, value in options.items()
    }
    getattr(client, method)(**parameters)


def _value(text: str, shape: Any) -> Any:
    """Read a value in the shorthand of the AWS command line."""
    if text.startswith("file://"):
        return Path(text.removeprefix("file://")).read_text(encoding="utf-8")
    if shape.type_name != "structure":
        return text
    pairs = (pair.split("=") for pair in text.split(","))
    return {
        name: json.loads(value) if shape.members[name].type_name == "boolean" else value
        for name, value in pairs
    }


def az(*arguments: str) -> None:
    """Make a container. The account is that of the server."""
    from azure.storage.blob import BlobServiceClient

    options = _options(
        arguments,
        {
            "storage account create": ("name", "resource-group", "allow-blob-public-access"),
            "storage account show-connection-string": ("name", "resource-group", "query", "output"),
            "storage container create": ("name", "public-access"),
        },
    )
    if options.command.endswith("show-connection-string"):
        sys.stdout.write(f"{os.environ[SERVER]}\n")
    elif options.command.startswith("storage container"):
        connection_string = os.environ["AZURE_STORAGE_CONNECTION_STRING"]
        service = BlobServiceClient.from_connection_string(connection_string)
        service.create_container(options.name, public_access=options.public_access)


def gcloud(*arguments: str) -> None:
    """Make a bucket. The server knows neither users nor permissions."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    options = _options(
        arguments,
        {
            "auth application-default login": (),
            "storage buckets create": ("location", "uniform-bucket-level-access"),
            "storage buckets add-iam-policy-binding": ("member", "role"),
        },
    )
    if options.command.startswith("storage"):
        credentials: Any = AnonymousCredentials()
        client = Client(
            project="page",
            credentials=credentials,
            client_options={"api_endpoint": os.environ[SERVER]},
        )
        name = options.place[0].removeprefix("gs://")
        if options.command.endswith("create"):
            client.create_bucket(name, location=options.location)
        else:
            client.get_bucket(name)


def _options(
    arguments: tuple[str, ...], commands: Mapping[str, tuple[str, ...]]
) -> argparse.Namespace:
    """Read a command of these, each with the options that it may have."""
    words = []
    for argument in arguments:
        if argument.startswith(("-", "gs://")):
            break
        words.append(argument)
    command = " ".join(words)
    parser = argparse.ArgumentParser(command, allow_abbrev=False)
    parser.add_argument("place", nargs="*")
    for option in commands[command]:
        parser.add_argument(f"--{option}", nargs="?")
    return parser.parse_args(arguments[len(words) :], argparse.Namespace(command=command))


_TOOLS: Mapping[str, Callable[..., None]] = {"pip": pip, "aws": aws, "az": az, "gcloud": gcloud}

if __name__ == "__main__":
    _TOOLS[sys.argv[1]](*sys.argv[2:])
