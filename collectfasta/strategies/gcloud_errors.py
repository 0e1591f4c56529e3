"""What the refusals of Google Cloud Storage mean, and what to do about them."""

from __future__ import annotations

from google.api_core.exceptions import BadRequest, Forbidden, NotFound, Unauthorized
from google.auth.exceptions import GoogleAuthError

from collectfasta.remote import ListingDeniedError


def explain(bucket: str, error: Exception) -> str | None:
    """Say in a line why Google Cloud Storage refuses for good, and what to do; None if it doesn't.

    Args:
        bucket: The bucket's name.
        error: What a request raised.
    """
    if isinstance(error, (GoogleAuthError, Unauthorized)):
        return (
            f"The credentials for the bucket {bucket!r} are refused, missing or have expired: "
            "correct the storage's credentials (GS_CREDENTIALS) or "
            "GOOGLE_APPLICATION_CREDENTIALS."
        )
    if isinstance(error, NotFound):
        return (
            f"The bucket {bucket!r} does not exist: create it, or correct the storage's "
            "bucket_name (GS_BUCKET_NAME)."
        )
    if isinstance(error, ListingDeniedError):
        return f"The credentials lack the permission storage.objects.list on {bucket!r}."
    if isinstance(error, BadRequest) and "uniform bucket-level access" in str(error):
        return (
            f"The bucket {bucket!r} has uniform bucket-level access, so its objects can't have "
            "ACLs: set the storage's default_acl (GS_DEFAULT_ACL) to None, and no 'acl' in its "
            "object_parameters."
        )
    if isinstance(error, Forbidden):
        return (
            f"The credentials lack a permission on the bucket {bucket!r}: a deploy needs "
            "storage.objects.create, storage.objects.delete (to overwrite) and "
            "storage.objects.list, as the role Storage Object User has them."
        )
    return None
