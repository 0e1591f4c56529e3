"""A manifest storage on Azure."""

from __future__ import annotations

from typing import Any

from django.contrib.staticfiles.storage import ManifestFilesMixin
from storages.backends.azure_storage import AzureStorage

MANIFEST = "staticfiles.json"


class AzureManifestStorage(ManifestFilesMixin, AzureStorage):
    """Mixed by hand, as django-storages has none."""

    def read_manifest(self) -> Any:
        # An AzureStorage opens what is not there, and fails to read it.
        return super().read_manifest() if self.exists(MANIFEST) else None
