"""Storage classes that users write, each with something of their own."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import posixpath
import unicodedata
from collections.abc import Callable
from datetime import datetime, timezone
from io import BytesIO
from typing import IO, Any

import boto3
import botocore.session
from botocore.config import Config
from django.contrib.staticfiles.storage import (
    ManifestFilesMixin,
    ManifestStaticFilesStorage,
    StaticFilesStorage,
)
from django.core.files.base import ContentFile
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3ManifestStaticStorage, S3StaticStorage, S3Storage

# What S3's storage writes an object with whose name begins with the key.
PARAMETERS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "cache": {"CacheControl": "public, max-age=31536000, immutable"},
    "type": {"ContentType": "text/x-own; charset=utf-8"},
    "disposition": {"ContentDisposition": 'attachment; filename="a b.css"'},
    "language": {"ContentLanguage": "de, en"},
    "encoding": {"ContentEncoding": "br"},
    "identity": {"ContentEncoding": "identity"},
    "class": {"StorageClass": "STANDARD_IA"},
    "metadata": {"Metadata": {"Owner": "me", "build-id": "a b/c", "under_score": "1"}},
    "all": {
        "CacheControl": "no-cache",
        "ContentDisposition": "inline",
        "ContentEncoding": "identity",
        "ContentLanguage": "de",
        "ContentType": "text/plain",
        "Metadata": {"a": "b"},
        "StorageClass": "REDUCED_REDUNDANCY",
    },
    "acl": {"ACL": "public-read"},
    "checksum": {"ChecksumAlgorithm": "SHA256"},
    "grant": {"GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"},
    "tags": {"Tagging": "project=static&stage=live"},
    "sse": {"ServerSideEncryption": "AES256"},
    "kms": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/static"},
    "expires": {"Expires": datetime(2030, 1, 1, tzinfo=timezone.utc)},
    "redirect": {"WebsiteRedirectLocation": "/elsewhere"},
    "spaces": {"CacheControl": "max-age=1,  public"},
    "space-around": {"Metadata": {"a": " b "}},
    "no-value": {"CacheControl": "", "Metadata": {"a": ""}},
    "umlaut": {"ContentDisposition": 'attachment; filename="\u00fc.css"'},
    "like-a-header": {"Metadata": {"Storage-Class": "1"}},
    "nearly-a-header": {"Metadata": {"cachecontrol": "1", "contenttype": "2"}},
    "like-another": {"Metadata": {"content-length": "4", "acl": "5", "expires": "6"}},
    "odd-names": {"Metadata": {"a.b": "1", "_c": "2"}},
    "many": {"Metadata": {f"name-{number}": str(number) for number in range(20)}},
}


def path_of(storage: type) -> str:
    """Return the dotted path of a class."""
    return f"{storage.__module__}.{storage.__qualname__}"


class Uppercase:
    """Saves something else than it is given; before a storage class."""

    def _save(self, name: str, content: Any) -> str:
        content.seek(0)
        body = content.read()
        content = ContentFile(body.upper() + b"!", name)
        saved: str = super()._save(name, content)  # type: ignore[misc]
        return saved


# Plain, on S3.


class S3PerObject(S3StaticStorage):
    """Writes each object with the parameters that its name says."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        # A copy: the storage adds its own to what it gets.
        return {**PARAMETERS[name.rpartition("/")[2].partition(".")[0]]}


class S3OwnCompressor(S3StaticStorage):
    """Compresses in its own way, always to the same bytes."""

    def _compress_content(self, content: IO[bytes]) -> IO[bytes]:
        return BytesIO(gzip.compress(content.read(), compresslevel=1, mtime=0))


class S3RestlessCompressor(S3StaticStorage):
    """Compresses the same content to other bytes each time."""

    clock = itertools.count(1)

    def _compress_content(self, content: IO[bytes]) -> IO[bytes]:
        return BytesIO(gzip.compress(content.read(), mtime=next(self.clock)))


class S3OwnParameters(S3StaticStorage):
    """Works the parameters out in its own way."""

    def _get_write_parameters(self, name: str, content: Any = None) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._get_write_parameters(name, content)
        if parameters["ContentType"] == "text/css":
            parameters["CacheControl"] = "max-age=60"
        if name == "plain.txt":
            parameters["ContentType"] = "image/svg+xml"
        return parameters


class S3Uppercase(Uppercase, S3StaticStorage):
    """Saves something else than it is given."""


class S3OwnNames(S3StaticStorage):
    """Never overwrites, by other names."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return f"other-{name}"


class S3OwnAttributes(S3StaticStorage):
    """Says as a class where it is and how it writes; a test sets the rest."""

    location = "assets"
    object_parameters = {"CacheControl": "max-age=31536000"}  # noqa: RUF012 - the storage's own


class S3OwnConnection(S3StaticStorage):
    """Connects in its own way."""

    @property
    def connection(self) -> Any:
        if not hasattr(self, "_own"):
            self._own = boto3.resource(
                "s3",
                endpoint_url=self.endpoint_url,
                region_name=self.region_name,
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret_key,
                aws_session_token=self.security_token,
                config=self.client_config.merge(Config(user_agent_extra="its-own")),
            )
        return self._own


class S3OwnSession(S3StaticStorage):
    """Connects by its own session."""

    def _create_session(self) -> boto3.Session:
        session = botocore.session.Session()
        session.user_agent_extra = "its-own"
        return boto3.Session(
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=self.security_token,
            botocore_session=session,
        )


# Plain, elsewhere.


class GoogleUppercase(Uppercase, GoogleCloudStorage):
    """Saves something else than it is given."""


class GoogleOwnWays(GoogleUppercase):
    """Decides by the name too."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        if name.endswith(".css"):
            return {"cache_control": "no-cache", "content_type": "text/x-css", "acl": "private"}
        return {}


class AzureUppercase(Uppercase, AzureStorage):
    """Saves something else than it is given."""


class AzureOwnWays(AzureUppercase):
    """Decides by the name too."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        if name.endswith(".css"):
            return {"cache_control": "no-cache", "content_type": "text/x-css"}
        return {}


class LocalUppercase(Uppercase, StaticFilesStorage):
    """Saves something else than it is given."""


# With a manifest, on S3.


class S3Modules(S3ManifestStaticStorage):
    """Rewrites the imports of JavaScript modules."""

    support_js_module_import_aggregation = True


class LocalModules(ManifestStaticFilesStorage):
    """The same in a directory."""

    support_js_module_import_aggregation = True


class S3Attributes(S3ManifestStaticStorage):
    """Has all of the mixin's attributes otherwise."""

    keep_intermediate_files = True
    manifest_name = "release/assets.json"
    manifest_strict = False


class S3Mixed(ManifestFilesMixin, S3Storage):
    """Mixed by hand."""

    querystring_auth = False


class S3Further(S3Mixed):
    """A subclass of such a class."""


class S3NoHash(S3ManifestStaticStorage):
    """Leaves some files their names, among them one that is rewritten."""

    def file_hash(self, name: str | None, content: Any = None) -> Any:
        is_kept = name is not None and name.endswith(("a.css", ".txt"))
        return None if is_kept else super().file_hash(name, content)


class S3Names(S3ManifestStaticStorage):
    """Works names out otherwise, in each place where that can be done."""

    def file_hash(self, name: str | None, content: Any = None) -> str | None:
        if content is None:
            return None
        return hashlib.sha256(b"".join(content.chunks())).hexdigest()[:8]

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        # In front, so that a copy's name doesn't begin as the original's does.
        hashed: str = super().hashed_name(name, content, filename)
        folder, base = posixpath.split(hashed)
        root, digest, extension = base.rsplit(".", 2)
        return posixpath.join(folder, f"{digest}.{root}.{extension}")

    def hash_key(self, name: str) -> str:
        return name.lower()

    def clean_name(self, name: str) -> str:
        return unicodedata.normalize("NFC", super().clean_name(name))


class S3Url(S3StaticStorage):
    """Has its own URLs."""

    def url(self, name: str, *args: Any, **kwargs: Any) -> str:
        return f"https://cdn.example.com/{name}?v=1"


class S3MixedUrl(ManifestFilesMixin, S3Url):
    """The URL decides what references end with."""


class S3Contents(S3ManifestStaticStorage):
    """Rewrites pages too, rewrites references in its own way, and changes what it stores."""

    patterns = (
        *S3ManifestStaticStorage.patterns,
        ("*.html", ((r"""(?P<matched>src="(?P<url>[^"]*)")""", 'src="%(url)s"'),)),
    )

    def url_converter(self, *args: Any, **kwargs: Any) -> Callable[[Any], str]:
        convert = super().url_converter(*args, **kwargs)
        return lambda match: convert(match) + "/* converted */"

    def _save(self, name: str, content: Any) -> str:
        content.seek(0)
        body = content.read()
        if name.endswith(".css"):
            body += b"/* saved */"
        saved: str = super()._save(name, ContentFile(body))
        return saved


class S3ByHash(S3ManifestStaticStorage):
    """Has other parameters for hashed names, as many a project has."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        is_hashed = len(name.split(".")) > 2
        return {"CacheControl": "immutable" if is_hashed else "no-cache"}


class S3Packer(S3ManifestStaticStorage):
    """Rewrites originals in their places, and makes files from others, as django-pipeline."""

    def post_process(self, paths: Any, dry_run: bool = False, **options: Any) -> Any:
        if dry_run:
            return
        _, names = self.listdir("css")
        parts = []
        for name in sorted(names):
            with self.open(f"css/{name}") as part:
                parts.append(part.read())
        self.save("css/all.css", ContentFile(b"".join(parts)))
        self.save("css/all.txt", ContentFile("text, not bytes"))
        paths["css/all.css"] = (self, "css/all.css")
        yield "css/all.css", "css/all.css", True
        for name, (storage, path) in list(paths.items()):
            if name.endswith(".html"):
                with storage.open(path) as original:
                    content = original.read().upper()
                self.delete(name)
                self.save(name, ContentFile(content))
                paths[name] = (self, name)
        yield from super().post_process(paths, dry_run, **options)


class S3OwnManifest(S3ManifestStaticStorage):
    """Adds something of its own to the manifest, and a file."""

    def save_manifest(self) -> None:
        super().save_manifest()
        content = json.loads(self.read_manifest())
        with self.open(self.hashed_files["img/a.png"]) as image:
            content["sizes"] = {"img/a.png": len(image.read())}
        self.manifest_storage.delete(self.manifest_name)
        self.manifest_storage._save(
            self.manifest_name, ContentFile(json.dumps(content, sort_keys=True).encode())
        )
        self._save("extra.json", ContentFile(b"{}"))
