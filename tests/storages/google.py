"""A manifest storage on Google Cloud Storage."""

from __future__ import annotations

from django.contrib.staticfiles.storage import ManifestFilesMixin
from storages.backends.gcloud import GoogleCloudStorage


class GoogleManifestStorage(ManifestFilesMixin, GoogleCloudStorage):
    """Mixed by hand, as django-storages has none."""

    querystring_auth = False
