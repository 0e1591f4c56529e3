"""Settings of the project; the environment says what is deployed where."""

import os

SECRET_KEY = "benchmarks"
INSTALLED_APPS = ["collectfasta", "django.contrib.staticfiles"]

STATIC_URL = "/static/"
STATICFILES_DIRS = [os.environ["BENCHMARK_TREE"]]
STORAGES = {
    "staticfiles": {
        "BACKEND": "storages.backends.s3.S3StaticStorage",
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

COLLECTFASTA_THREADS = int(os.environ["BENCHMARK_THREADS"])
