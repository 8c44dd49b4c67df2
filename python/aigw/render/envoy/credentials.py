"""The credentials of a plan (`credentials.json`). The only document that holds secrets."""

from aigw.plan import AwsKeys, Credential, Plan
from aigw.render.envoy.names import Json

VERSION = 1


def render_credentials(plan: Plan) -> Json:
    """All credentials that backends of the plan refer to."""
    return {
        "version": VERSION,
        "credentials": {name: _credential(value) for name, value in plan.credentials.items()},
    }


def _credential(credential: Credential) -> Json:
    if isinstance(credential, AwsKeys):
        return {
            "type": "AWSCredentials",
            "access_key_id": credential.access_key_id,
            "secret_access_key": credential.secret_access_key,
            "session_token": credential.session_token,
        }
    return {"type": credential.type.value, "key": credential.key}
