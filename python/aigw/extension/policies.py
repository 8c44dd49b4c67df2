"""Filters around those by which Envoy Gateway authenticates.

The first takes off headers that only authentication may set, the second the credentials for the
gateway once they were checked, so that no provider gets them.
"""

from aigw.plan import Plan
from aigw.render.envoy.names import Json, typed
from aigw.render.envoy.security import SPENT_FILTER, STRANGER_FILTER, per_filter

PROTECTING = tuple(
    f"envoy.filters.http.{name}"
    for name in ("api_key_auth", "basic_auth", "ext_authz", "jwt_authn", "oauth2", "rbac")
)
"""Beginnings of the names of filters by which Envoy Gateway lets clients in or not."""
_MUTATION = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"


def stranger_filter() -> Json:
    """Before authentication; routes turn it on."""
    return {"name": STRANGER_FILTER, "disabled": True, "typed_config": typed(_MUTATION)}


def spent_filter() -> Json:
    """Behind authentication; routes turn it on."""
    return {"name": SPENT_FILTER, "disabled": True, "typed_config": typed(_MUTATION)}


def policy_filters(plan: Plan, key: str) -> Json:
    """What a policy of the plan turns on of these two."""
    found = per_filter(plan, key)
    return {name: found[name] for name in (STRANGER_FILTER, SPENT_FILTER) if name in found}
