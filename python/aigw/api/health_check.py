"""Health checks of a server that is reached on the side. Shapes of Envoy Gateway's HealthCheck."""

import base64
import binascii
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from aigw.api.fields import (
    Boolean,
    CrdSchema,
    Duration,
    Int32,
    Percent,
    Port,
    PositiveCount,
    StatusCode,
    Subdomain,
)
from aigw.api.model import ApiModel, Rule


def _base64(text: str) -> str:
    try:
        base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except binascii.Error:
        message = "is not valid base64"
        raise ValueError(message) from None
    return text


class HealthCheckPayload(ApiModel):
    """Text or bytes."""

    RULES = (
        Rule(
            "EG-33",
            "(self.type == 'Text') == has(self.text)",
            "If payload type is Text, text field needs to be set.",
        ),
        Rule(
            "EG-33b",
            "(self.type == 'Binary') == has(self.binary)",
            "If payload type is Binary, binary field needs to be set.",
        ),
    )

    binary: Annotated[str, AfterValidator(_base64), CrdSchema({"format": "byte"})] | None = None
    text: str | None = None
    type: Literal["Text", "Binary"]


class GRPCActiveHealthChecker(ApiModel):
    """Over gRPC."""

    service: str | None = None


class HTTPActiveHealthChecker(ApiModel):
    """Over HTTP."""

    expected_response: HealthCheckPayload | None = None
    expected_statuses: list[StatusCode] | None = None
    hostname: Subdomain | None = None
    method: str | None = None
    path: Annotated[str, Field(min_length=1, max_length=1024)]
    retriable_statuses: list[StatusCode] | None = None


class HealthCheckOverrides(ApiModel):
    """Where to check instead."""

    port: Port | None = None


class TCPActiveHealthChecker(ApiModel):
    """Over TCP."""

    receive: HealthCheckPayload | None = None
    send: HealthCheckPayload | None = None


class ActiveHealthCheck(ApiModel):
    """By requests of the proxy's own."""

    RULES = (
        Rule(
            "EG-30",
            "(self.type == 'HTTP') == has(self.http)",
            "If Health Checker type is HTTP, http field needs to be set.",
        ),
        Rule(
            "EG-31",
            "(self.type == 'TCP') == has(self.tcp)",
            "If Health Checker type is TCP, tcp field needs to be set.",
        ),
        Rule(
            "EG-32",
            "!has(self.grpc) || self.type == 'GRPC'",
            "The grpc field can only be set if the Health Checker type is GRPC.",
        ),
    )

    grpc: GRPCActiveHealthChecker | None = None
    healthy_threshold: PositiveCount = 1
    http: HTTPActiveHealthChecker | None = None
    initial_jitter: Duration | None = None
    interval: Duration = "3s"
    overrides: HealthCheckOverrides | None = None
    tcp: TCPActiveHealthChecker | None = None
    timeout: Duration = "1s"
    type: Literal["HTTP", "TCP", "GRPC"]
    unhealthy_threshold: PositiveCount = 3


class PassiveHealthCheck(ApiModel):
    """By the outcome of requests."""

    always_eject_one_endpoint: Boolean = False
    base_ejection_time: Duration = "30s"
    consecutive5_xx_errors: Int32 = 5
    consecutive_gateway_errors: Int32 | None = None
    consecutive_local_origin_failures: Int32 = 5
    failure_percentage_threshold: Percent | None = None
    interval: Duration = "3s"
    max_ejection_percent: Percent = 10
    split_external_local_origin_errors: Boolean = False


class HealthCheck(ApiModel):
    """Health checks."""

    active: ActiveHealthCheck | None = None
    panic_threshold: Percent | None = None
    passive: PassiveHealthCheck | None = None
