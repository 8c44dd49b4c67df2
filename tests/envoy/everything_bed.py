"""One configuration with all parts at once, as documents by name, and a client for it."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from security_bed import EG, GW, HASH, ISSUER, PASSWORD, Issuer, keys, policy, secret

from beds.raw_http import RawConnection, request
from beds.resources import GROUP, BackendSpec, Resource, api_key, resource, rule

if TYPE_CHECKING:
    from beds.authority import Pair
    from beds.gateway import RunningGateway
    from beds.raw_http import Response

ALICE, BOB = "canary-key-of-alice", "canary-key-of-bob"
PROVIDER_KEY = "canary-key-of-the-provider"
CLOUD_SECRET = "canary-client-secret"
LOG_KEY = "canary-key-of-the-collector"
SECRETS = (ALICE, BOB, PROVIDER_KEY, CLOUD_SECRET, LOG_KEY, PASSWORD, HASH)
HOSTS = ("localhost", "x.example.test")
PREFIX = "/ai"
NOWHERE = "http://127.0.0.1:1"
MODELS = ("a", "far", "own", "aws", "gcp")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Ports of the listeners and of what stands around the gateway."""

    http: int
    https: int
    other: int
    provider: int
    proxy: int
    collector: int


def pair(name: str, found: Pair) -> Resource:
    return secret(name, **found.data)


def oidc(**more: object) -> Resource:
    provider = {"issuer": NOWHERE, "tokenEndpoint": f"{NOWHERE}/t"}
    client = {"clientID": "c", "clientSecret": {"name": "oidc"}}
    return {"oidcExchangeToken": {"oidc": {"provider": provider, **client}, **more}}


def tokens(issuer: Issuer) -> Resource:
    jwks = {"type": "Inline", "inline": issuer.key_set}
    return {"jwt": {"providers": [{"name": "p", "issuer": ISSUER, "localJWKS": jwks}]}}


def ai_route(name: str, gateway: str, *rules: Resource, hosts: tuple[str, ...] = ()) -> Resource:
    spec: Resource = {"parentRefs": [{"name": gateway}], "rules": list(rules)}
    if hosts:
        spec["hostnames"] = list(hosts)
    return resource(f"{GROUP}/v1beta1", "AIGatewayRoute", name, **spec)


def backends(at: Addresses) -> list[BackendSpec]:
    own, data = api_key("own", PROVIDER_KEY)
    override = {"fromRequestHeaders": {"fallbackToConfigured": False, "header": "x-own"}}
    aws = {"region": "us-east-1", **oidc(awsRoleArn="arn:aws:iam::123456789012:role/r")}
    pool = {
        "projectID": "1",
        "workloadIdentityPoolName": "pool",
        "workloadIdentityProviderName": "idp",
        **oidc(),
    }
    gcp = {"projectName": "p", "region": "eu", "workloadIdentityFederationConfig": pool}
    far = {"fqdn": {"hostname": "plain.test", "port": 80}}
    return [
        BackendSpec("a", at.provider, auth=api_key("a", PROVIDER_KEY)),
        BackendSpec("far", 0, endpoint=far),
        BackendSpec("own", at.provider, auth=({**own, "credentialOverride": override}, data)),
        BackendSpec(
            "aws",
            at.provider,
            {"name": "AWSBedrock"},
            ({"type": "AWSCredentials", "awsCredentials": aws}, {}),
        ),
        BackendSpec(
            "gcp",
            at.provider,
            {"name": "GCPVertexAI"},
            ({"type": "GCPCredentials", "gcpCredentials": gcp}, {}),
        ),
    ]


def documents(at: Addresses, issuer: Issuer, certificate: Pair) -> dict[str, Resource]:
    """By kind and name; the Gateway `gw` asks for keys, its host `tokens.test` for tokens."""
    tls = {"certificateRefs": [{"name": "pair"}]}
    listeners = [
        {"name": "http", "protocol": "HTTP", "port": at.http},
        {
            "name": "https",
            "protocol": "HTTPS",
            "port": at.https,
            "hostname": "*.example.test",
            "tls": tls,
        },
    ]
    sink = {
        "host": "127.0.0.1",
        "port": at.collector,
        "headers": [{"name": "x-key", "value": LOG_KEY}],
    }
    sinks = [{"type": "OpenTelemetry", "openTelemetry": sink}]
    proxy = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "proxy"}
    gw = resource(f"{GW}/v1", "Gateway", "gw", gatewayClassName="c", listeners=listeners)
    gw["spec"]["infrastructure"] = {"parametersRef": proxy}
    gw["metadata"]["annotations"] = {f"{GROUP}/gateway-config": "settings"}
    other = [{"name": "http", "protocol": "HTTP", "port": at.other}]
    target = {"group": GW, "kind": "Gateway", "name": "gw"}
    check = {"active": {"type": "TCP", "tcp": {}, "interval": "1s", "timeout": "1s"}}
    site = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/site"}}],
        "backendRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "a"}],
    }
    found = [
        gw,
        resource(f"{GW}/v1", "Gateway", "other", gatewayClassName="c", listeners=other),
        resource(
            EG, "EnvoyProxy", "proxy", telemetry={"accessLog": {"settings": [{"sinks": sinks}]}}
        ),
        resource(
            f"{GROUP}/v1beta1",
            "GatewayConfig",
            "settings",
            forwardProxy={"address": f"127.0.0.1:{at.proxy}"},
        ),
        ai_route("main", "gw", *(rule(model, model) for model in MODELS), hosts=HOSTS),
        ai_route("tokens", "gw", rule("a", "a"), hosts=("tokens.test",)),
        ai_route("open", "other", rule("a", "a"), rule("gone", "a")),
        resource(f"{GW}/v1", "HTTPRoute", "site", parentRefs=[{"name": "gw"}], rules=[site]),
        policy("gw", "Gateway", apiKeyAuth=keys("clients", forwardClientIDHeader="x-client")),
        policy("tokens", **tokens(issuer)),
        secret("clients", alice=ALICE, bob=BOB),
        secret("oidc", **{"client-secret": CLOUD_SECRET}),
        pair("pair", certificate),
        resource(EG, "BackendTrafficPolicy", "gw", targetRefs=[target], healthCheck=check),
        resource(
            EG,
            "BackendTrafficPolicy",
            "main",
            targetRefs=[{**target, "kind": "HTTPRoute", "name": "main"}],
            mergeType="StrategicMerge",
            retry={"numRetries": 1, "retryOn": {"triggers": ["connect-failure"]}},
        ),
        resource(
            EG,
            "ClientTrafficPolicy",
            "gw",
            targetRefs=[target],
            connection={"bufferLimit": "1Mi"},
        ),
        *(item for backend in backends(at) for item in backend.resources()),
    ]
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in found}


def text_of(found: dict[str, Resource]) -> str:
    return yaml.safe_dump_all(found.values(), sort_keys=False)


@dataclass(slots=True)
class Client:
    """Asks a running gateway."""

    gateway: RunningGateway
    at: Addresses

    def chat(
        self, model: str = "a", headers: dict[str, str] | None = None, port: int = 0, pad: int = 0
    ) -> Response:
        """A chat on a connection of its own."""
        with RawConnection(port or self.at.http, 30) as connection:
            connection.send(chat_bytes(model, headers or {}, pad))
            return connection.response()

    def get(self, path: str, headers: dict[str, str] | None = None) -> Response:
        """A request without a body."""
        with RawConnection(self.at.http, 30) as connection:
            connection.send(request("GET", path, *(headers or {}).items()))
            return connection.response()

    def admin(self, path: str) -> str:
        """An answer of Envoy's admin interface."""
        with RawConnection(str(self.gateway.runtime / "admin.sock"), 30) as admin:
            admin.send(request("GET", path, ("connection", "close")))
            return admin.response().body.decode()


def chat_bytes(model: str, headers: dict[str, str], pad: int = 0) -> bytes:
    content = "hello" + "x" * pad
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": content}]})
    sent = {"content-type": "application/json", **headers}
    host = sent.pop("host", "localhost")
    found = request("POST", f"{PREFIX}/v1/chat/completions", *sent.items(), body=body.encode())
    return found.replace(b"host: localhost", b"host: " + host.encode(), 1)


def shown_certificate(port: int) -> bytes:
    """The certificate that an HTTPS listener shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="x.example.test") as secure,
    ):
        return secure.getpeercert(binary_form=True) or b""
