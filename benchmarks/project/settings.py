"""Settings of the project; the environment says what is deployed where, and with what."""

import os
from typing import Any

_CLASSES = {
    ("plain", "local"): "django.contrib.staticfiles.storage.StaticFilesStorage",
    ("manifest", "local"): "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
    ("plain", "s3"): "storages.backends.s3.S3StaticStorage",
    ("manifest", "s3"): "storages.backends.s3.S3ManifestStaticStorage",
}
_KIND = os.environ.get("BENCHMARK_STORAGE", "plain")

SECRET_KEY = "benchmarks"
INSTALLED_APPS = [*os.environ["BENCHMARK_APPS"].split(), "django.contrib.staticfiles"]

STATIC_URL = "/static/"
STATICFILES_DIRS = [os.environ["BENCHMARK_TREE"]]
STORAGES: dict[str, Any]

if "BENCHMARK_STATIC_ROOT" in os.environ:
    STATIC_ROOT = os.environ["BENCHMARK_STATIC_ROOT"]
    STORAGES = {"staticfiles": {"BACKEND": _CLASSES[_KIND, "local"]}}
else:
    STORAGES = {
        "staticfiles": {
            "BACKEND": _CLASSES[_KIND, "s3"],
            "OPTIONS": {
                "endpoint_url": os.environ["BENCHMARK_S3_ENDPOINT"],
                "region_name": "us-east-1",
                "access_key": "benchmarks",
                "secret_key": "benchmarks",
                "bucket_name": os.environ["BENCHMARK_BUCKET"],
                "location": "static",
            },
        },
    }

if "BENCHMARK_CACHE" in os.environ:
    CACHES = {
        "default": {
            "BACKEND": "file_cache.UncountedFileCache",
            "LOCATION": os.environ["BENCHMARK_CACHE"],
            "TIMEOUT": None,
        },
    }
if "BENCHMARK_STRATEGY" in os.environ:
    COLLECTFASTA_STRATEGY = os.environ["BENCHMARK_STRATEGY"]
if "BENCHMARK_THREADS" in os.environ:
    COLLECTFASTA_THREADS = int(os.environ["BENCHMARK_THREADS"])
