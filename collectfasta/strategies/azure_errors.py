"""What the refusals of Azure Blob Storage mean, and what to do about them."""

from __future__ import annotations

from collectfasta.remote import ListingDeniedError

# https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
CREDENTIALS_REFUSED = {
    "AuthenticationFailed",
    "AuthorizationFailure",
    "InvalidAuthenticationInfo",
    "KeyBasedAuthenticationNotPermitted",
    "NoAuthenticationInformation",
}


def answer_of(error: Exception) -> tuple[int | None, str]:
    """Return HTTP status and code of the answer behind an error; None and "" without one."""
    # The SDK makes an enum's member of the codes it knows.
    code = getattr(error, "error_code", "")
    return getattr(error, "status_code", None), str(getattr(code, "value", code))


def explain(container: str, error: Exception) -> str | None:
    """Say in a line why Azure refuses for good, and what to do; None if it doesn't.

    Args:
        container: The container's name.
        error: What a request raised.
    """
    if isinstance(error, ListingDeniedError):
        return (
            f"The credentials may not list the container {container!r}: the role Storage Blob Data "
            "Contributor may, or a SAS with the permission l."
        )
    status, code = answer_of(error)
    if code == "ContainerNotFound":
        return (
            f"The container {container!r} does not exist: create it, or correct the storage's "
            "azure_container (AZURE_CONTAINER)."
        )
    if code in CREDENTIALS_REFUSED or status == 401:
        return (
            f"The credentials for the container {container!r} are refused, or have expired: "
            "correct the storage's account_name and account_key, connection_string, sas_token or "
            "token_credential, or the account's network rules."
        )
    if status == 403:
        return (
            f"The credentials are refused or lack a permission on the container {container!r}: a "
            "deploy needs to list, read, write and delete, as the role Storage Blob Data "
            "Contributor may."
        )
    return None
