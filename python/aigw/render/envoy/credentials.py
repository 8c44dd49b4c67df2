"""The credentials of a plan (`credentials.json`). The only document that holds secrets."""

from collections.abc import Mapping

from aigw.plan import AwsKeys, Credential, GcpServiceAccount, Plan, Token
from aigw.render.envoy.names import Json

VERSION = 1


def render_credentials(plan: Plan, tokens: Mapping[str, Token] | None = None) -> Json:
    """All credentials that backends of the plan refer to.

    `tokens` are those had so far, by credential: the core waits for a token that is not there.
    """
    tokens = tokens or {}
    entries = {
        name: _credential(value, tokens.get(name)) for name, value in plan.credentials.items()
    }
    return {
        "version": VERSION,
        "credentials": {name: entry for name, entry in entries.items() if entry is not None},
    }


def _credential(credential: Credential, token: Token | None) -> Json | None:
    if isinstance(credential, GcpServiceAccount):
        if token is None:
            return None
        return {
            "type": "GCPCredentials",
            "access_token": token.access_token,
            "expires_at": token.expires_at,
        }
    if isinstance(credential, AwsKeys):
        return {
            "type": "AWSCredentials",
            "access_key_id": credential.access_key_id,
            "secret_access_key": credential.secret_access_key,
            "session_token": credential.session_token,
        }
    return {"type": credential.type.value, "key": credential.key}
