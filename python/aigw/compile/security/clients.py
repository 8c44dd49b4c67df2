"""SecurityPolicies to what the data plane needs: keys, users, issuers of tokens.

A policy with a part that cannot work is refused as a whole. Messages never hold credentials.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from aigw.api.client_auth import APIKeyAuth, ExtractFrom, LocalJWKS, RemoteJWKS
from aigw.api.fields import duration_ms
from aigw.api.references import SecretObjectReference
from aigw.api.security_policy import CORS, JWT, BasicAuth, JWTProvider, SecurityPolicy
from aigw.compile.grants import Reference, Values
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.compile.security.key_sets import public_keys
from aigw.compile.unseen import UNSEEN, UNSEEN_PREFIXES
from aigw.errors import Code
from aigw.plan.security import (
    ApiKeys,
    Cors,
    Passwords,
    Place,
    RemoteKeys,
    Security,
    Source,
    TokenIssuer,
    Tokens,
)

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VISIBLE = re.compile(r"[!-~]([ -~]*[!-~])?")
_SHA = re.compile(r"\{SHA\}[A-Za-z0-9+/]{27}=")
_TARGETS = {"target_ref", "target_refs", "target_selectors"}
# What the way of a request depends on; nobody's name stands there.
_TAKEN = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)
_HASH_BYTES = 8


class _Unusable(Exception):  # noqa: N818 - it never leaves this module
    """A part of a policy cannot work; it has been reported."""


class Reader:
    """Reads policies; `found` holds what they say, by a hash of everything but the secrets."""

    def __init__(self, index: Index, report: Report) -> None:
        """Nothing is read yet."""
        self._index = index
        self._report = report
        self._values = Values(index, report)
        self.found: dict[str, Security] = {}

    def read(self, policy: SecurityPolicy) -> str | None:
        """The hash of a policy, or None when it cannot be enforced, which is reported."""
        spec = policy.spec
        try:
            security = Security(
                self._api_keys(policy, spec.api_key_auth) if spec.api_key_auth else None,
                self._passwords(policy, spec.basic_auth) if spec.basic_auth else None,
                self._tokens(policy, spec.jwt) if spec.jwt else None,
                cors_of(spec.cors) if spec.cors else None,
            )
        except _Unusable:
            return None
        if security == Security():
            message = "protects nothing: one of apiKeyAuth, basicAuth, jwt and cors is needed"
            self._report.warning(policy.id, Code.NO_EFFECT, "spec", message)
        key = _hash(policy)
        self.found[key] = security
        return key

    def _fail(
        self, policy: SecurityPolicy, path: str, message: str, code: Code = Code.INVALID_FIELD
    ) -> _Unusable:
        self._report.error(policy.id, code, path, message)
        return _Unusable()

    def _secret(
        self, policy: SecurityPolicy, ref: SecretObjectReference, path: str
    ) -> dict[str, str]:
        secret = self._values.secret(Reference(policy, ref, path))
        if secret is None:
            raise _Unusable
        return secret.values

    # --- API keys ---

    def _api_keys(self, policy: SecurityPolicy, auth: APIKeyAuth) -> ApiKeys:
        path = "spec.apiKeyAuth"
        clients: dict[str, str] = {}
        for number, ref in enumerate(auth.credential_refs):
            place = f"{path}.credentialRefs[{number}]"
            for client, key in self._secret(policy, ref, place).items():
                if client not in clients and self._is_key(policy, client, key, place):
                    clients[client] = key
        self._check_distinct(policy, clients)
        if not clients:
            message = "hold no key of any client"
            raise self._fail(policy, f"{path}.credentialRefs", message, Code.INVALID_CREDENTIAL)
        sources = [*self._sources(policy, auth.extract_from, f"{path}.extractFrom")]
        if not sources:
            raise self._fail(policy, f"{path}.extractFrom", "names no place of a key")
        if auth.sanitize is False:
            message = "has no effect: keys of the gateway never go to a provider"
            self._report.warning(policy.id, Code.NO_EFFECT, f"{path}.sanitize", message)
        forward = self._identity(
            policy, auth.forward_client_id_header or "", f"{path}.forwardClientIDHeader"
        )
        return ApiKeys(tuple(clients.items()), tuple(sources), forward)

    def _is_key(self, policy: SecurityPolicy, client: str, key: str, path: str) -> bool:
        """One client without a usable key does not keep the others out."""
        if _VISIBLE.fullmatch(key) and _VISIBLE.fullmatch(client):
            return True
        message = (
            f"the key of client {client!r} is empty or has characters, such as a line end, that "
            "no request can carry; this client is left out"
        )
        self._report.error(policy.id, Code.INVALID_CREDENTIAL, path, message)
        return False

    def _check_distinct(self, policy: SecurityPolicy, clients: dict[str, str]) -> None:
        owners: dict[str, str] = {}
        for client, key in clients.items():
            if (first := owners.setdefault(key, client)) != client:
                path = "spec.apiKeyAuth.credentialRefs"
                message = f"clients {first} and {client} have the same key"
                raise self._fail(policy, path, message, Code.INVALID_CREDENTIAL)

    def _sources(
        self, policy: SecurityPolicy, places: Sequence[ExtractFrom], path: str
    ) -> Iterable[Source]:
        for number, place in enumerate(places):
            here = f"{path}[{number}]"
            for position, name in enumerate(place.headers or []):
                self._check_source(policy, name, f"{here}.headers[{position}]")
                yield Source(Place.HEADER, name.lower())
            names = [(Place.QUERY, name) for name in place.params or []]
            names += [(Place.COOKIE, name) for name in place.cookies or []]
            for kind, name in names:
                if not name:
                    raise self._fail(policy, here, "an empty name is no place of a key")
                yield Source(kind, name)

    def _check_header(self, policy: SecurityPolicy, name: str, path: str) -> None:
        if not _TOKEN.fullmatch(name):
            raise self._fail(policy, path, "is not the name of a header")

    def _check_source(self, policy: SecurityPolicy, name: str, path: str) -> None:
        """A header that is taken off once it was read."""
        self._check_header(policy, name, path)
        if is_taken(name.lower()):
            raise self._fail(policy, path, f"the header {name} has a meaning of its own")

    def _identity(self, policy: SecurityPolicy, name: str, path: str) -> str:
        """The name of a header that may tell who is calling; empty stays empty."""
        lower = name.lower()
        if not lower:
            return ""
        self._check_header(policy, name, path)
        if lower in UNSEEN or is_taken(lower):
            raise self._fail(policy, path, f"the header {name} has a meaning of its own")
        return lower

    # --- passwords ---

    def _passwords(self, policy: SecurityPolicy, auth: BasicAuth) -> Passwords:
        path = "spec.basicAuth.users"
        text = self._secret(policy, auth.users, path).get(".htpasswd", "")
        users: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            entry = line.strip()
            if not entry or entry.startswith("#"):
                continue
            user, _, digest = entry.partition(":")
            if fault := _user_fault(user, digest, users):
                message = f"line {number} of .htpasswd: {fault}"
                raise self._fail(policy, path, message, Code.INVALID_CREDENTIAL)
            users[user] = entry
        if not users:
            message = "the Secret has no users under the key .htpasswd"
            raise self._fail(policy, path, message, Code.INVALID_CREDENTIAL)
        forward = auth.forward_username_header or ""
        place = "spec.basicAuth.forwardUsernameHeader"
        return Passwords(tuple(users.values()), self._identity(policy, forward, place))

    # --- tokens ---

    def _tokens(self, policy: SecurityPolicy, jwt: JWT) -> Tokens:
        issuers = tuple(
            self._issuer(policy, provider, f"spec.jwt.providers[{number}]")
            for number, provider in enumerate(jwt.providers)
        )
        return Tokens(issuers, is_optional=jwt.optional is True)

    def _issuer(self, policy: SecurityPolicy, provider: JWTProvider, path: str) -> TokenIssuer:
        if provider.recompute_route:
            message = "is not supported; routes by model are chosen after it anyway"
            raise self._fail(policy, f"{path}.recomputeRoute", message, Code.UNSUPPORTED)
        claims = tuple(
            (item.claim, self._identity(policy, item.header, f"{path}.claimToHeaders[{number}]"))
            for number, item in enumerate(provider.claim_to_headers or [])
        )
        extractor = provider.extract_from
        for number, item in enumerate((extractor.headers if extractor else None) or []):
            self._check_source(policy, item.name, f"{path}.extractFrom.headers[{number}].name")
        return TokenIssuer(
            provider.name,
            self._keys(policy, provider, path),
            provider.issuer or "",
            tuple(provider.audiences or ()),
            claims,
            token_sources(provider),
        )

    def _keys(self, policy: SecurityPolicy, provider: JWTProvider, path: str) -> str | RemoteKeys:
        if provider.remote_jwks:
            return self._remote_keys(policy, provider.remote_jwks, f"{path}.remoteJWKS")
        place = f"{path}.localJWKS"
        text = self._local_text(policy, provider.local_jwks or LocalJWKS(), place)
        keys, fault = public_keys(text)
        if fault:
            raise self._fail(policy, place, fault)
        return keys

    def _local_text(self, policy: SecurityPolicy, keys: LocalJWKS, path: str) -> str:
        if keys.value_ref is None:
            return keys.inline or ""
        ref = SecretObjectReference.model_validate(keys.value_ref.model_dump())
        found = self._values.config_map(Reference(policy, ref, f"{path}.valueRef"))
        if found is None:
            raise _Unusable
        values = found.values
        return values.get("jwks", next(iter(values.values()), ""))

    def _remote_keys(self, policy: SecurityPolicy, keys: RemoteJWKS, path: str) -> RemoteKeys:
        for name in ("backend_refs", "backend_settings"):
            if getattr(keys, name) is not None:
                alias = type(keys).model_fields[name].alias
                message = "is not supported yet; keys are fetched from the host of the uri"
                raise self._fail(policy, f"{path}.{alias}", message, Code.UNSUPPORTED)
        place = f"{path}.uri"
        try:
            url = urlsplit(keys.uri)
            port = url.port or (443 if url.scheme == "https" else 80)
        except ValueError:
            raise self._fail(policy, place, "is not a URL") from None
        if url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
            message = "must be an http or https URL with a host and without user"
            raise self._fail(policy, place, message)
        if not _VISIBLE.fullmatch(keys.uri) or " " in keys.uri:
            raise self._fail(policy, place, "is not a URL")
        return RemoteKeys(
            keys.uri, url.hostname, port, url.scheme == "https", duration_ms(keys.cache_duration)
        )


def is_taken(header: str) -> bool:
    """Whether a header (in lower case) has a meaning of its own."""
    return header in _TAKEN or header.startswith(UNSEEN_PREFIXES)


def _user_fault(user: str, digest: str, known: dict[str, str]) -> str:
    if not _VISIBLE.fullmatch(user):
        return "user:{SHA}hash is expected"
    if user in known:
        return f"the user {user} is there twice"
    if not digest.startswith("{SHA}"):
        return f"the hash of user {user} is of a kind that Envoy does not know, only {{SHA}}"
    return "" if _SHA.fullmatch(digest) else f"the hash of user {user} is not a SHA-1 in base64"


def token_sources(provider: JWTProvider) -> tuple[Source, ...]:
    """Where a token may stand."""
    written = provider.extract_from
    headers = [
        Source(Place.HEADER, item.name.lower(), item.value_prefix or "")
        for item in (written.headers if written else None) or []
    ]
    params = [Source(Place.QUERY, name) for name in (written.params if written else None) or []]
    cookies = [Source(Place.COOKIE, name) for name in (written.cookies if written else None) or []]
    usual = (
        Source(Place.HEADER, "authorization", "Bearer "),
        Source(Place.QUERY, "access_token"),
    )
    return (*headers, *params, *cookies) or usual


def cors_of(cors: CORS) -> Cors:
    """Which web pages may call."""
    return Cors(
        tuple(cors.allow_origins or ()),
        tuple(cors.allow_methods or ()),
        tuple(cors.allow_headers or ()),
        tuple(cors.expose_headers or ()),
        duration_ms(cors.max_age) // 1000 if cors.max_age else None,
        cors.allow_credentials is True,
    )


def _hash(policy: SecurityPolicy) -> str:
    """Of what is written, references included; policies that say the same are the same."""
    spec = policy.spec.model_dump(mode="json", exclude=_TARGETS, exclude_none=True)
    text = json.dumps([policy.namespace, spec], sort_keys=True)
    return hashlib.sha256(text.encode()).digest()[:_HASH_BYTES].hex()
