"""A gateway whose hosts have different security policies, and the clients of its tests."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from aigw.providers import Reply
from beds.raw_http import RawConnection, request
from beds.resources import GROUP, BackendSpec, Resource, api_key, resource, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.gateway import RunningGateway
    from beds.provider import ProviderBed
    from beds.raw_http import Response

EG = "gateway.envoyproxy.io/v1alpha1"
GW = "gateway.networking.k8s.io"
JSON = (("content-type", "application/json"),)
ANSWER = json.dumps({"model": "m", "choices": [], "usage": {"prompt_tokens": 1}}).encode()
OK = Reply(200, JSON, ANSWER)
CHAT = "/v1/chat/completions"

ALICE = "canary-key-of-alice"
BOB = "canary-key-of-bob"
EVERYONE = "canary-key-of-the-gateway"
PASSWORD = "canary-password"
HASH = base64.b64encode(hashlib.sha1(PASSWORD.encode(), usedforsecurity=False).digest()).decode()
PROVIDER_KEY = "key-of-the-provider"
SECRETS = (ALICE, BOB, EVERYONE, HASH)
ISSUER = "https://issuer.test"
PAGE = "https://app.pages.test"


@dataclass(slots=True)
class Issuer:
    """Signs tokens."""

    key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )

    @property
    def key_set(self) -> str:
        """The JSON Web Key Set, with a private member that must not get anywhere."""
        numbers = self.key.private_numbers()
        key = {"kty": "RSA", "kid": "k", "alg": "RS256", "n": _number(numbers.public_numbers.n)}
        key |= {"e": _number(numbers.public_numbers.e), "d": _number(numbers.d)}
        return json.dumps({"keys": [key]})

    def token(self, **claims: object) -> str:
        """A token that is valid unless `claims` say otherwise."""
        now = int(time.time())
        body = {"iss": ISSUER, "aud": "gateway", "sub": "carol", "exp": now + 600, **claims}
        head = {"alg": "RS256", "typ": "JWT", "kid": "k"}
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (head, body))
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8))


@contextlib.contextmanager
def key_server(key_set: str) -> Iterator[int]:
    """A server of keys; yields its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(key_set)))
            self.end_headers()
            self.wfile.write(key_set.encode())

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass(slots=True)
class Bed:
    """A gateway, its provider and its issuer of tokens."""

    gateway: RunningGateway
    provider: ProviderBed
    issuer: Issuer
    broken: str

    def send(
        self,
        host: str,
        headers: dict[str, str] | None = None,
        model: str = "plain",
        params: dict[str, str] | None = None,
    ) -> httpx.Response:
        """A chat; `plain` is the model of a backend without a credential of its own."""
        url = f"{self.gateway.url}{CHAT}"
        sent = {"host": host, **(headers or {})}
        return httpx.post(url, json={"model": model, "messages": []}, headers=sent, params=params)

    def get(self, host: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """A request without a body."""
        return httpx.get(f"{self.gateway.url}{path}", headers={"host": host, **(headers or {})})

    def admin(self, target: str) -> bytes:
        """An answer of Envoy's admin interface."""
        with RawConnection(str(self.gateway.runtime / "admin.sock")) as admin:
            admin.send(request("GET", target, ("connection", "close")))
            answer: Response = admin.response()
        assert answer.status == 200
        return answer.body


def basic(user: str, password: str) -> dict[str, str]:
    """A header of basic authentication."""
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"authorization": f"Basic {text}"}


def policy(name: str, kind: str = "HTTPRoute", **spec: object) -> Resource:
    """A SecurityPolicy of the route (or whatever) of its name."""
    target = {"group": GW, "kind": kind, "name": name}
    return resource(EG, "SecurityPolicy", name, targetRefs=[target], **spec)


def secret(name: str, **values: str) -> Resource:
    """A Secret."""
    return {**resource("v1", "Secret", name), "stringData": values}


def route(name: str, host: str, *rules: Resource) -> Resource:
    """A route for a host."""
    found = list(rules) or [rule("plain", "plain"), rule("keyed", "keyed")]
    spec = {"parentRefs": [{"name": "gw"}], "hostnames": [host], "rules": found}
    return resource(f"{GROUP}/v1beta1", "AIGatewayRoute", name, **spec)


def plain_route(name: str, host: str, path: str) -> Resource:
    """A plain route to the provider."""
    backend = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "plain"}
    match = {"path": {"type": "PathPrefix", "value": path}}
    spec = {
        "parentRefs": [{"name": "gw"}],
        "hostnames": [host],
        "rules": [{"matches": [match], "backendRefs": [backend]}],
    }
    return resource(f"{GW}/v1", "HTTPRoute", name, **spec)


def keys(secret_name: str, *headers: str, **more: object) -> Resource:
    """The member `apiKeyAuth`."""
    places = {"headers": list(headers or ("x-gateway-key",))}
    return {"credentialRefs": [{"name": secret_name}], "extractFrom": [places], **more}


def broken(port: int) -> list[Resource]:
    """A Gateway whose policy cannot be enforced."""
    listener = {"name": "http", "protocol": "HTTP", "port": port}
    gateway = {"gatewayClassName": "c", "listeners": [listener]}
    rules = [rule("plain", "plain")]
    return [
        resource(f"{GW}/v1", "Gateway", "broken", **gateway),
        resource(
            f"{GROUP}/v1beta1",
            "AIGatewayRoute",
            "broken",
            parentRefs=[{"name": "broken"}],
            rules=rules,
        ),
        policy("broken", "Gateway", apiKeyAuth=keys("missing")),
    ]


def configuration(ports: tuple[int, int], provider: int, issuer: Issuer, key_port: int) -> str:
    """A Gateway with a host for each kind of policy, and one whose policy is broken.

    The routes `one` and `two` share a host and differ in their policies.
    """
    places = [
        {"headers": ["x-gateway-key", "authorization"]},
        {"params": ["gw_key"], "cookies": ["gw-session"]},
    ]
    listener = {"name": "http", "protocol": "HTTP", "port": ports[0]}
    backends = [
        BackendSpec("plain", provider),
        BackendSpec("keyed", provider, auth=api_key("keyed", PROVIDER_KEY)),
    ]
    local = {
        "name": "local",
        "issuer": ISSUER,
        "audiences": ["gateway"],
        "localJWKS": {"type": "Inline", "inline": issuer.key_set},
        "claimToHeaders": [
            {"claim": "sub", "header": "x-sub"},
            {"claim": "team.name", "header": "x-team"},
        ],
    }
    remote = {
        "name": "remote",
        "remoteJWKS": {"uri": f"http://127.0.0.1:{key_port}/keys"},
        "extractFrom": {"headers": [{"name": "x-token"}], "cookies": ["token"]},
        "claimToHeaders": [{"claim": "sub", "header": "x-sub"}],
    }
    cors = {
        "allowOrigins": ["https://*.pages.test"],
        "allowMethods": ["POST"],
        "allowHeaders": ["content-type", "x-gateway-key"],
        "maxAge": "10m",
    }
    documents = [
        resource(f"{GW}/v1", "Gateway", "gw", gatewayClassName="c", listeners=[listener]),
        *(item for backend in backends for item in backend.resources()),
        *(
            route(name, f"{name}.test")
            for name in ("keys", "basic", "jwt", "remote", "cors", "default")
        ),
        route("one", "shared.test", rule("one", "plain"), rule(None, "plain")),
        route("two", "shared.test", rule("two", "plain")),
        plain_route("files", "keys.test", "/files"),
        plain_route("own-files", "keys.test", "/own"),
        plain_route("query", "keys.test", "/query"),
        *broken(ports[1]),
        secret("clients", alice=ALICE, bob=BOB),
        secret("everyone", anyone=EVERYONE),
        secret("users", **{".htpasswd": f"# users\ndave:{{SHA}}{HASH}\n"}),
        policy("gw", "Gateway", apiKeyAuth=keys("everyone")),
        policy(
            "keys",
            apiKeyAuth={
                "credentialRefs": [{"name": "clients"}],
                "extractFrom": places,
                "forwardClientIDHeader": "X-Client-Id",
            },
        ),
        policy("basic", basicAuth={"users": {"name": "users"}, "forwardUsernameHeader": "x-user"}),
        policy("jwt", jwt={"providers": [local]}),
        policy("remote", jwt={"optional": True, "providers": [remote]}),
        policy("query", apiKeyAuth={**keys("clients"), "extractFrom": [{"params": ["gw_key"]}]}),
        policy("own-files", basicAuth={"users": {"name": "users"}}),
        policy("one", apiKeyAuth=keys("clients")),
        policy("cors", cors=cors, apiKeyAuth=keys("clients")),
    ]
    return yaml.safe_dump_all(documents, sort_keys=False)
