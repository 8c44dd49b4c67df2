"""Resources of every kind that lean on each other, for tests that take some of them away.

They stand beside the Gateways `a` and `b`, the routes `one`, `two` and `three` and the backend
`shared` of the test that uses them.
"""

from __future__ import annotations

import json
from typing import Any

from beds.authority import Authority
from beds.resources import GROUP, BackendSpec, Resource, resource, rule

EG = "gateway.envoyproxy.io/v1alpha1"
GW = "gateway.networking.k8s.io"
KEYS = {"extractFrom": [{"headers": ["x-key"], "cookies": ["key"]}]}
_AUTHORITY = Authority()
_PAIR = _AUTHORITY.issue("x.example.com").data
_KEY_SET = json.dumps({"keys": [{"kty": "RSA", "kid": "k", "e": "AQAB", "n": "_" * 342 + "8"}]})


def policy(kind: str, name: str, target: str, at: str, **spec: Any) -> Resource:  # noqa: ANN401
    """A policy; a target is a kind and, after a dot, a section of it."""
    kind_of_target, _, section = target.partition(".")
    ref = {"group": GW, "kind": kind_of_target, "name": at}
    more = {"sectionName": section} if section else {}
    return resource(EG, kind, name, targetRefs=[{**ref, **more}], **spec)


def elsewhere(found: Resource, namespace: str = "other") -> Resource:
    """The same in another namespace."""
    return {**found, "metadata": {**found["metadata"], "namespace": namespace}}


def data(kind: str, name: str, **values: str) -> Resource:
    """A Secret or ConfigMap."""
    member = "stringData" if kind == "Secret" else "data"
    return {**resource("v1", kind, name), member: values}


def gateways() -> list[Resource]:
    """A Gateway with all that it can name, one of another namespace, and one without listeners."""
    pair = {"certificateRefs": [{"name": "pair"}, {"name": "pair", "namespace": "other"}]}
    listeners = [
        {"name": "http", "port": 1975, "protocol": "HTTP"},
        {"name": "https", "port": 1977, "protocol": "HTTPS", "tls": pair},
        {
            "name": "own",
            "port": 1977,
            "protocol": "HTTPS",
            "hostname": "*.example.com",
            "tls": pair,
        },
    ]
    proxy = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "proxy"}
    web = resource(f"{GW}/v1", "Gateway", "web", gatewayClassName="c", listeners=listeners)
    web["spec"]["infrastructure"] = {"parametersRef": proxy}
    web["metadata"]["annotations"] = {f"{GROUP}/gateway-config": "settings"}
    web["metadata"]["labels"] = {"team": "x"}
    sink = {"type": "File", "file": {"path": "/dev/stdout"}}
    log = {"settings": [{"sinks": [sink], "format": {"type": "Text", "text": "x"}}]}
    return [
        web,
        elsewhere(resource(f"{GW}/v1", "Gateway", "a", gatewayClassName="c", listeners=listeners)),
        resource(EG, "EnvoyProxy", "proxy", telemetry={"accessLog": log}),
        resource(
            f"{GROUP}/v1beta1",
            "GatewayConfig",
            "settings",
            forwardProxy={"address": "127.0.0.1:3128"},
            extProc={"metadataForwardingNamespaces": ["ns"]},
        ),
        data("Secret", "pair", **_PAIR),
        elsewhere(data("Secret", "pair", **_PAIR)),
        grant("Gateway", "Secret"),
        resource(f"{GW}/v1", "GatewayClass", "c", controllerName="x.io/y"),
    ]


def grant(kind: str, to: str, **more: str) -> Resource:
    """Lets `default` refer to `other`."""
    groups = {"Gateway": GW, "HTTPRoute": GW, "SecurityPolicy": "gateway.envoyproxy.io"}
    target = {"group": groups.get(to, "" if to == "Secret" else "gateway.envoyproxy.io")}
    spec = {
        "from": [{"group": groups.get(kind, GROUP), "kind": kind, "namespace": "default"}],
        "to": [{**target, "kind": to, **more}],
    }
    return elsewhere(resource(f"{GW}/v1beta1", "ReferenceGrant", f"{kind}-{to}".lower(), **spec))


def security() -> list[Resource]:
    """Policies of each kind on Gateways, listeners and routes, some of which conflict."""
    keys = {"apiKeyAuth": {**KEYS, "credentialRefs": [{"name": "clients"}]}}
    far = [{"name": "clients", "namespace": "other"}, {"name": "clients"}]
    jwks = {"type": "ValueRef", "valueRef": {"group": "", "kind": "ConfigMap", "name": "jwks"}}
    selector = {"group": GW, "kind": "Gateway", "matchLabels": {"team": "x"}}
    cors = {"allowOrigins": ["https://*.example.com"]}
    basic = {"users": {"name": "users"}}
    kind = "SecurityPolicy"
    return [
        policy(kind, "on-a", "Gateway", "a", **keys),
        policy(kind, "on-http", "Gateway.http", "a", cors=cors),
        policy(kind, "on-one", "HTTPRoute", "one", basicAuth=basic),
        policy(kind, "on-two", "HTTPRoute", "two", apiKeyAuth={**KEYS, "credentialRefs": far}),
        policy(kind, "on-site", "HTTPRoute", "site", **keys),
        resource(
            EG,
            kind,
            "selected",
            targetSelectors=[selector],
            jwt={"providers": [{"name": "p", "localJWKS": jwks}]},
        ),
        policy(kind, "later", "Gateway", "a", cors=cors),
        data("Secret", "clients", someone="a-long-enough-key"),
        elsewhere(data("Secret", "clients", other="another-long-key")),
        data("Secret", "users", **{".htpasswd": "u:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA="}),
        data("ConfigMap", "jwks", jwks=_KEY_SET),
        grant(kind, "Secret", name="clients"),
    ]


def plain() -> list[Resource]:
    """Plain routes with filters, backends of other namespaces and texts of ConfigMaps."""
    text = {"group": "", "kind": "ConfigMap", "name": "page"}
    extension = {"group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": "page"}
    shared = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "shared"}
    far = {**shared, "name": "far", "namespace": "other"}
    rules: list[Resource] = [
        {"backendRefs": [{**shared, "weight": 1}, {**far, "weight": 2}]},
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/page"}}],
            "filters": [{"type": "ExtensionRef", "extensionRef": extension}],
        },
    ]
    parents = [{"name": "a"}, {"name": "web", "sectionName": "own"}]
    hosts = ["two.example.com", "site.test"]
    direct = {"statusCode": 200, "body": {"type": "ValueRef", "valueRef": text}}
    return [
        resource(f"{GW}/v1", "HTTPRoute", "site", parentRefs=parents, rules=rules),
        resource(
            f"{GW}/v1", "HTTPRoute", "hosts", parentRefs=parents, hostnames=hosts, rules=rules
        ),
        resource(EG, "HTTPRouteFilter", "page", directResponse=direct),
        data("ConfigMap", "page", page="hello"),
        elsewhere(
            resource(EG, "Backend", "far", endpoints=[{"fqdn": {"hostname": "x", "port": 1}}])
        ),
        grant("HTTPRoute", "Backend"),
    ]


def traffic() -> list[Resource]:
    """Policies of clients and of ways to providers, on Gateways, listeners and routes."""
    authorities = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}
    client, backend = "ClientTrafficPolicy", "BackendTrafficPolicy"
    check = {"active": {"type": "TCP", "tcp": {}}}
    shared = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "shared"}
    return [
        policy(client, "limits", "Gateway", "a", connection={"bufferLimit": "64Ki"}),
        policy(client, "listener", "Gateway.own", "a", path={"disableMergeSlashes": True}),
        policy(client, "mutual", "Gateway.https", "web", tls={"clientValidation": authorities}),
        policy(backend, "ways", "Gateway", "b", healthCheck=check),
        policy(backend, "merged", "HTTPRoute", "one", mergeType="StrategicMerge", retry={}),
        policy(backend, "site", "HTTPRoute", "site", retry={"numRetries": 1}),
        data("ConfigMap", "ca", **{"ca.crt": _AUTHORITY.pem}),
        resource(
            f"{GW}/v1",
            "BackendTLSPolicy",
            "tls",
            targetRefs=[shared],
            validation={"hostname": "x", **authorities},
        ),
    ]


def routes() -> list[Resource]:
    """Routes of the Gateway with certificates, and what is validated and not served."""
    spec = {"parentRefs": [{"name": "web"}], "rules": [rule("m", "there"), rule(None, "shared")]}
    override = {"fromRequestHeaders": {"header": "x-own"}}
    secret = {"secretRef": {"name": "far", "namespace": "other"}}
    auth = {"type": "APIKey", "apiKey": secret, "credentialOverride": override}
    return [
        resource(f"{GROUP}/v1beta1", "AIGatewayRoute", "web", **spec),
        *BackendSpec("there", 81, auth=(auth, {"apiKey": "k"})).resources(),
        elsewhere(data("Secret", "far", apiKey="far-key")),
        grant("BackendSecurityPolicy", "Secret"),
        resource("v1", "Namespace", "other"),
    ]


def all_kinds() -> list[Resource]:
    """All of them."""
    return [*gateways(), *security(), *plain(), *traffic(), *routes()]
