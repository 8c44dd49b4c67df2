"""What a data plane must do, in our words: no Envoy, no Kubernetes, no files.

Made by `aigw.compile`, read by `aigw.render`. All values are final: defaults are applied,
references are resolved, mutations are merged, and everything that could not be used has been
left out (and named in a diagnostic). Durations are integer milliseconds, sizes are bytes.
"""

from aigw.plan.attributes import Attributes
from aigw.plan.backend import Backend, BodyMutation, HeaderMutation, Schema
from aigw.plan.costs import Billing, Cost, CostType, OwnPrice, PriceLists
from aigw.plan.credentials import (
    ApiKey,
    Auth,
    AuthType,
    AwsDefaultChain,
    AwsKeys,
    AwsRole,
    AzureApplication,
    Credential,
    CredentialOverride,
    Exchangeable,
    GcpDefaultCredentials,
    GcpFederation,
    GcpServiceAccount,
    HeaderSource,
    Issued,
    MetadataSource,
    OidcClient,
    Token,
)
from aigw.plan.endpoint import AddressKind, Endpoint, Proxy
from aigw.plan.gateway import Gateway, Limits, Model, ModelLists
from aigw.plan.header_match import HeaderMatch, MatchType
from aigw.plan.listener import Listener, Port, RouteMatch, VirtualHost
from aigw.plan.plan import EndpointPrefixes, Plan
from aigw.plan.rule import BackendGroup, Member, RetryPolicy, Rule, Timeouts
from aigw.plan.telemetry import AccessLog, Collector, Telemetry
from aigw.plan.tls import Certificate, SanType, SubjectAltName, Tls, TlsParameters, Verification

__all__ = [
    "AccessLog",
    "AddressKind",
    "ApiKey",
    "Attributes",
    "Auth",
    "AuthType",
    "AwsDefaultChain",
    "AwsKeys",
    "AwsRole",
    "AzureApplication",
    "Backend",
    "BackendGroup",
    "Billing",
    "BodyMutation",
    "Certificate",
    "Collector",
    "Cost",
    "CostType",
    "Credential",
    "CredentialOverride",
    "Endpoint",
    "EndpointPrefixes",
    "Exchangeable",
    "Gateway",
    "GcpDefaultCredentials",
    "GcpFederation",
    "GcpServiceAccount",
    "HeaderMatch",
    "HeaderMutation",
    "HeaderSource",
    "Issued",
    "Limits",
    "Listener",
    "MatchType",
    "Member",
    "MetadataSource",
    "Model",
    "ModelLists",
    "OidcClient",
    "OwnPrice",
    "Plan",
    "Port",
    "PriceLists",
    "Proxy",
    "RetryPolicy",
    "RouteMatch",
    "Rule",
    "SanType",
    "Schema",
    "SubjectAltName",
    "Telemetry",
    "Timeouts",
    "Tls",
    "TlsParameters",
    "Token",
    "Verification",
    "VirtualHost",
]
