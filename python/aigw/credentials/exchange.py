"""One exchange of a credential, by the provider's own library."""

from collections.abc import Iterator
from contextlib import contextmanager

from aigw.credentials.errors import ExchangeError
from aigw.extras import advice
from aigw.plan import (
    AwsDefaultChain,
    AwsRole,
    AzureApplication,
    Exchangeable,
    GcpDefaultCredentials,
    GcpFederation,
    GcpServiceAccount,
    Issued,
)


def exchange(credential: Exchangeable) -> Issued:
    """A fresh token or fresh keys. Blocks; each step of it has a time limit.

    Raises:
        ExchangeError: the credential is unusable, the provider refuses it or does not answer, or
            the provider's library is not installed.
    """
    # Few configurations need one of these, and they take a while to load.
    match credential:
        case AwsRole() | AwsDefaultChain():
            with _extra("aws"):
                from aigw.credentials import aws  # noqa: PLC0415
            return aws.exchange(credential)
        case AzureApplication():
            with _extra("azure"):
                from aigw.credentials import azure  # noqa: PLC0415
            return azure.exchange(credential)
        case GcpServiceAccount() | GcpFederation() | GcpDefaultCredentials():
            with _extra("gcp"):
                from aigw.credentials import gcp  # noqa: PLC0415
            return gcp.exchange(credential)


@contextmanager
def _extra(name: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        message = f"the library {error.name} is missing; {advice(name)}"
        raise ExchangeError(message) from None
