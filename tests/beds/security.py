"""Resources with security policies, and what they compile to."""

import base64
import json

from aigw.compile.compiler import Compiled
from aigw.plan import Plan, VirtualHost
from aigw.plan.security import Security
from beds.documents import compile_documents
from beds.resources import GROUP, BackendSpec, Resource, resource, rule

EG = "gateway.envoyproxy.io/v1alpha1"
GW = "gateway.networking.k8s.io"
SHA = f"{{SHA}}{base64.b64encode(bytes(20)).decode()}"
RSA = {"kty": "RSA", "kid": "k", "e": "AQAB", "n": "_" * 342 + "8", "d": "canary"}


def gateway(*listeners: Resource) -> Resource:
    found = list(listeners) or [listener("http")]
    spec = {"gatewayClassName": "c", "listeners": found}
    return {**resource(f"{GW}/v1", "Gateway", "gw", **spec)}


def listener(name: str, hostname: str | None = None, port: int = 80) -> Resource:
    found: Resource = {"name": name, "protocol": "HTTP", "port": port}
    return {**found, "hostname": hostname} if hostname else found


def route(name: str, *hosts: str, age: str = "", labels: Resource | None = None) -> Resource:
    spec = {"parentRefs": [{"name": "gw"}], "hostnames": list(hosts), "rules": [rule(name, "b")]}
    found = resource(f"{GROUP}/v1beta1", "AIGatewayRoute", name, **spec)
    found["metadata"] |= {"labels": labels or {}}
    if age:
        found["metadata"]["creationTimestamp"] = age
    return found


def plain_route(name: str, *hosts: str, labels: Resource | None = None) -> Resource:
    backend = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "b"}
    spec = {"parentRefs": [{"name": "gw"}], "hostnames": list(hosts)}
    found = resource(f"{GW}/v1", "HTTPRoute", name, **spec, rules=[{"backendRefs": [backend]}])
    found["metadata"] |= {"labels": labels or {}}
    return found


def policy(
    name: str, *targets: tuple[str, str, str] | tuple[str, str], age: str = "", **spec: object
) -> Resource:
    refs = [
        {"group": GW, "kind": kind, "name": target, **({"sectionName": more[0]} if more else {})}
        for kind, target, *more in targets
    ]
    found = resource(EG, "SecurityPolicy", name, **({"targetRefs": refs} if refs else {}), **spec)
    if age:
        found["metadata"]["creationTimestamp"] = age
    return found


def keys(name: str = "clients", **more: object) -> Resource:
    auth = {"credentialRefs": [{"name": name}], "extractFrom": [{"headers": ["X-Key"]}], **more}
    return {"apiKeyAuth": auth}


def provider(**more: object) -> Resource:
    found = {"name": "p", "localJWKS": {"inline": json.dumps({"keys": [RSA]})}, **more}
    return {"jwt": {"providers": [{k: v for k, v in found.items() if v is not None}]}}


def secret(name: str, **values: str) -> Resource:
    return {**resource("v1", "Secret", name), "stringData": values}


CLIENTS = (secret("clients", alice="canary-a", bob="canary-b"), secret("others", eve="canary-e"))


def compiled(*documents: Resource) -> Compiled:
    usual = [*BackendSpec("b", 1).resources(), *CLIENTS]
    if not any(item["kind"] == "Gateway" for item in documents):
        usual.append(gateway())
    result = compile_documents([*usual, *documents])
    assert "canary" not in " ".join(map(str, result.diagnostics))
    assert "canary" not in repr(result.plan)
    return result


def plan(result: Compiled) -> Plan:
    assert result.plan is not None
    return result.plan


def hosts(result: Compiled) -> dict[str, VirtualHost]:
    (port,) = plan(result).ports
    return {host.hostname: host for item in port.listeners for host in item.virtual_hosts}


def served(host: VirtualHost, result: Compiled) -> list[str]:
    """Routes of a host that have backends."""
    rules = [plan(result).rules[match.rule] for match in host.matches]
    return [item.route.removeprefix("default/") for item in rules if item.groups]


def security(result: Compiled, host: str = "*") -> Security:
    return plan(result).security[hosts(result)[host].security]


def texts(result: Compiled) -> str:
    return "\n".join(map(str, result.diagnostics))
