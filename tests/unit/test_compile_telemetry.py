"""Access logs to collectors: headers that cannot be sent, names that are no names of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from aigw.render.envoy.collectors import collector_secrets
from beds.documents import compile_documents
from beds.resources import gateway_yaml, resource

if TYPE_CHECKING:
    from aigw.compile.compiler import Compiled

GROUP = "gateway.envoyproxy.io"


def compiled(*headers: dict[str, str]) -> Compiled:
    """A Gateway whose access log goes to a collector with these headers."""
    sink = {"host": "h", "port": 4317, "headers": list(headers)}
    settings = [{"sinks": [{"type": "OpenTelemetry", "openTelemetry": sink}]}]
    proxy = resource(
        f"{GROUP}/v1alpha1", "EnvoyProxy", "p", telemetry={"accessLog": {"settings": settings}}
    )
    documents: list[Any] = list(yaml.safe_load_all(gateway_yaml(80, [], [], proxy)))
    reference = {"group": GROUP, "kind": "EnvoyProxy", "name": "p"}
    documents[0]["spec"]["infrastructure"] = {"parametersRef": reference}
    return compile_documents(documents)


def test_a_header_that_cannot_be_sent_takes_its_sink_out() -> None:
    found = compiled({"name": "a", "value": "ok"}, {"name": "b", "value": "x\ny"})
    (error,) = found.errors
    assert error.field_path.endswith("openTelemetry.headers[1].value")
    assert "x" not in error.message.split()
    assert found.plan is not None
    assert found.plan.gateways["default/gw"].telemetry.access_logs == ()


def test_the_longest_header_has_a_file_of_its_own() -> None:
    long = "a" * 255
    headers = ({"name": f"{long}b", "value": "v"}, {"name": f"{long}c", "value": "v"})
    plan = compiled(*headers).plan
    assert plan is not None
    names = list(collector_secrets(plan))
    assert len(names) == 2
    assert max(len(name) for name in names) < 200
