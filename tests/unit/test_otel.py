"""The variables of OpenTelemetry to resources."""

from __future__ import annotations

import pytest

from aigw.standalone.errors import RunError
from aigw.standalone.otel import access_logs

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
LOGS_ENDPOINT = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"


def test_without_variables_logs_stay_where_they_are() -> None:
    assert access_logs({}) == []
    assert access_logs({"OTEL_LOGS_EXPORTER": "console", ENDPOINT: "h:4317"}) == []


def test_logs_can_be_turned_off() -> None:
    (proxy,) = access_logs({"OTEL_LOGS_EXPORTER": " None "})
    assert proxy["spec"]["telemetry"]["accessLog"] == {"disable": True}


@pytest.mark.parametrize(
    ("environment", "name", "endpoint"),
    [
        ({ENDPOINT: "h"}, "otel", {"fqdn": {"hostname": "h", "port": 80}}),
        ({ENDPOINT: "http://h:4317/x"}, "otel", {"fqdn": {"hostname": "h", "port": 4317}}),
        ({ENDPOINT: "https://h"}, "otel", {"fqdn": {"hostname": "h", "port": 443}}),
        ({ENDPOINT: "http://H.:1"}, "otel", {"fqdn": {"hostname": "h", "port": 1}}),
        ({ENDPOINT: "[::1]:4317"}, "otel", {"ip": {"address": "::1", "port": 4317}}),
        (
            {ENDPOINT: "h", LOGS_ENDPOINT: "10.0.0.1:1"},
            "otel-logs",
            {"ip": {"address": "10.0.0.1", "port": 1}},
        ),
    ],
)
def test_the_endpoint_is_a_backend(
    environment: dict[str, str], name: str, endpoint: dict[str, object]
) -> None:
    backend, proxy = access_logs(environment)
    assert backend["metadata"]["name"] == name
    assert backend["spec"]["endpoints"] == [endpoint]
    is_tls = environment[ENDPOINT].startswith("https")
    assert ("tls" in backend["spec"]) is is_tls
    (setting,) = proxy["spec"]["telemetry"]["accessLog"]["settings"]
    (sink,) = setting["sinks"]
    assert sink["openTelemetry"]["backendRefs"][0]["name"] == name


def test_headers_and_attributes_are_lists_of_pairs() -> None:
    _, proxy = access_logs(
        {
            ENDPOINT: "h",
            "OTEL_EXPORTER_OTLP_HEADERS": "ignored=1",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS": " authorization = Bearer%20$x , novalue, =y",
            "OTEL_RESOURCE_ATTRIBUTES": "team=a%2Cb,service.name=old",
            "OTEL_SERVICE_NAME": "edge",
        }
    )
    (setting,) = proxy["spec"]["telemetry"]["accessLog"]["settings"]
    sink = setting["sinks"][0]["openTelemetry"]
    assert sink["headers"] == [{"name": "authorization", "value": "Bearer $$x"}]
    assert sink["resourceAttributes"] == {"service.name": "edge", "team": "a,b"}


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"OTEL_LOGS_EXPORTER": "zipkin"}, 'unsupported OTEL_LOGS_EXPORTER value "zipkin"'),
        ({"OTEL_LOGS_EXPORTER": "otlp"}, "invalid OTLP endpoint: empty"),
        ({ENDPOINT: "http://:80"}, "missing host"),
        ({ENDPOINT: "ftp://h"}, "unsupported scheme ftp"),
        ({ENDPOINT: "http://h:x"}, "cannot be read"),
        ({ENDPOINT: "http://h:0"}, "0 is not a port"),
        ({ENDPOINT: "otel_collector:4317"}, "not a host name"),
        ({ENDPOINT: "http://me@h"}, "name or password"),
        ({ENDPOINT: "h", "OTEL_EXPORTER_OTLP_HEADERS": "a=b%0Ac"}, "a has control characters"),
        ({ENDPOINT: "h", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "gRPC protocol only"),
    ],
)
def test_what_cannot_be_used_is_named(environment: dict[str, str], message: str) -> None:
    with pytest.raises(RunError, match=message):
        access_logs(environment)


@pytest.mark.parametrize("url", ["http://me:canary@h:x", "me:canary@h:x", "ftp://me:canary@h"])
def test_what_cannot_be_used_shows_no_password(url: str) -> None:
    with pytest.raises(RunError) as caught:
        access_logs({ENDPOINT: url})
    assert "canary" not in str(caught.value)
