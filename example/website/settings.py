"""Settings of the example project; the environment says where its static files go.

Credentials and region are not read here: boto3 finds them where it always does, such as
``AWS_ACCESS_KEY_ID``, ``AWS_DEFAULT_REGION`` or ``~/.aws``.
"""

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key

PROJECT_DIRECTORY = Path(__file__).resolve().parent.parent

# New in each process, so that there is none to keep secret; a restart logs everybody out.
SECRET_KEY = os.environ.get("EXAMPLE_SECRET_KEY") or get_random_secret_key()
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = [
    "website",
    "wagtail.api.v2",
    "wagtail.contrib.forms",
    "wagtail.contrib.redirects",
    "wagtail.contrib.search_promotions",
    "wagtail.contrib.settings",
    "wagtail.contrib.styleguide",
    "wagtail.contrib.table_block",
    "wagtail.contrib.typed_table_block",
    "wagtail.embeds",
    "wagtail.sites",
    "wagtail.users",
    "wagtail.snippets",
    "wagtail.documents",
    "wagtail.images",
    "wagtail.search",
    "wagtail.admin",
    "wagtail",
    "modelcluster",
    "taggit",
    "treebeard",
    "django_filters",
    "rest_framework",
    "django_ace",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    # Before staticfiles: Django takes a command from the app that is listed first.
    "collectfasta",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "wagtail.contrib.redirects.middleware.RedirectMiddleware",
]

ROOT_URLCONF = "website.urls"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": PROJECT_DIRECTORY / "db.sqlite3",
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MEDIA_ROOT = PROJECT_DIRECTORY / "media"
MEDIA_URL = "/media/"

STATIC_URL = "/static/"
# The project's own files; another directory can stand in for it.
STATICFILES_DIRS = [os.environ.get("EXAMPLE_STATIC_DIRECTORY", PROJECT_DIRECTORY / "static")]

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": os.environ.get("EXAMPLE_STATIC_STORAGE", "storages.backends.s3.S3StaticStorage"),
        "OPTIONS": {
            # No default: all of S3 shares the names, so that any could be a stranger's bucket.
            "bucket_name": os.environ.get("EXAMPLE_BUCKET", ""),
            "location": os.environ.get("EXAMPLE_LOCATION", ""),
            # None: Amazon's own.
            "endpoint_url": os.environ.get("EXAMPLE_S3_ENDPOINT"),
            # None: URLs of the bucket itself.
            "custom_domain": os.environ.get("EXAMPLE_STATIC_DOMAIN"),
        },
    },
}

WAGTAIL_SITE_NAME = "Collectfasta's example"
WAGTAILADMIN_BASE_URL = "http://127.0.0.1:8000"
