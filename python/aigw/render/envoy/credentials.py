"""The credentials of a plan (`credentials.json`). The only document that holds secrets."""

from collections.abc import Mapping

from aigw.plan import ApiKey, AuthType, AwsKeys, AzureApplication, Credential, Issued, Plan
from aigw.render.envoy.names import Json

VERSION = 1


def render_credentials(plan: Plan, issued: Mapping[str, Issued] | None = None) -> Json:
    """All credentials that backends of the plan refer to.

    `issued` is what was had so far in exchange, by credential: the core waits for what is not
    there.
    """
    issued = issued or {}
    entries = {
        name: _credential(value, issued.get(name)) for name, value in plan.credentials.items()
    }
    return {
        "version": VERSION,
        "credentials": {name: entry for name, entry in entries.items() if entry is not None},
    }


def _credential(credential: Credential, issued: Issued | None) -> Json | None:
    if isinstance(credential, ApiKey):
        return {"type": credential.type.value, "key": credential.key}
    if isinstance(credential, AwsKeys):
        return _keys(credential)
    if issued is None:
        return None
    if isinstance(issued, AwsKeys):
        return _keys(issued)
    is_azure = isinstance(credential, AzureApplication)
    return {
        "type": (AuthType.AZURE_CREDENTIALS if is_azure else AuthType.GCP_CREDENTIALS).value,
        "access_token": issued.access_token,
        "expires_at": issued.expires_at,
    }


def _keys(keys: AwsKeys) -> Json:
    entry: Json = {
        "type": AuthType.AWS_CREDENTIALS.value,
        "access_key_id": keys.access_key_id,
        "secret_access_key": keys.secret_access_key,
        "session_token": keys.session_token,
    }
    return entry if keys.expires_at is None else {**entry, "expires_at": keys.expires_at}
