"""Azure: tokens of an application of Entra ID."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from aigw.credentials import ExchangeError
from aigw.credentials.exchange import exchange
from aigw.plan import AzureApplication, OidcClient, Token
from beds.clouds import Answer, Cloud, certificate, entra, forget_clouds, oidc_issuer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "canary-secret"
TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cloud]:
    """An authority with a certificate that the environment vouches for."""
    forget_clouds(monkeypatch, tmp_path)
    tls, file = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with Cloud(tls) as cloud:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", cloud.url)
        yield cloud


def test_a_client_secret_gets_a_token(cloud: Cloud) -> None:
    path = entra(cloud, TENANT)
    token = exchange(AzureApplication(TENANT, "app", SECRET))
    assert isinstance(token, Token)
    assert token.access_token == "entra-token"
    assert 3500 < token.expires_at - time.time() <= 3600
    [call] = cloud.called(path)
    form = call.form
    assert form["grant_type"] == "client_credentials"
    assert form["client_id"] == "app"
    assert form["client_secret"] == SECRET
    assert form["scope"] == "https://cognitiveservices.azure.com/.default"


def test_an_oidc_token_is_the_assertion_of_the_client(cloud: Cloud) -> None:
    path = entra(cloud, TENANT)
    client = OidcClient(oidc_issuer(cloud), "c", SECRET)
    token = exchange(AzureApplication(TENANT, "app", client))
    assert isinstance(token, Token)
    assert token.access_token == "entra-token"
    [call] = cloud.called(path)
    assert call.form["client_assertion"] == "oidc-token"
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert call.form["client_assertion_type"] == kind
    assert "client_secret" not in call.form


def test_the_authority_needs_no_scheme(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"{cloud.host}/")
    entra(cloud, TENANT)
    assert isinstance(exchange(AzureApplication(TENANT, "app", SECRET)), Token)


def test_each_exchange_asks_again(cloud: Cloud) -> None:
    path = entra(cloud, TENANT)
    exchange(AzureApplication(TENANT, "app", SECRET))
    cloud.answers[path] = Answer.json({"access_token": "second", "expires_in": 10})
    token = exchange(AzureApplication(TENANT, "app", SECRET))
    assert isinstance(token, Token)
    assert token.access_token == "second"


REFUSAL = {
    "error": "invalid_client",
    "error_description": f"AADSTS7000215: {SECRET} is no secret.\r\nTrace ID: 1",
}


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (Answer.json(REFUSAL, 401), r"invalid_client: AADSTS7000215: \[REDACTED\] is no secret"),
        (Answer(503, "busy"), "503"),
        (Answer(200, "{}"), "no access token"),
    ],
)
def test_a_refusal_is_told_without_the_secret(cloud: Cloud, answer: Answer, part: str) -> None:
    cloud.answers[entra(cloud, TENANT)] = answer
    with pytest.raises(ExchangeError, match=part) as caught:
        exchange(AzureApplication(TENANT, "app", SECRET))
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tenant_that_is_unknown_is_told(cloud: Cloud) -> None:
    with pytest.raises(ExchangeError, match=TENANT):
        exchange(AzureApplication(TENANT, "app", SECRET))
    assert cloud.calls


def test_the_proxy_is_asked_to_connect(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    entra(cloud, TENANT)
    monkeypatch.setenv("AI_GATEWAY_AZURE_PROXY_URL", "http://localhost:1")
    with pytest.raises(ExchangeError, match=r"[Pp]roxy"):
        exchange(AzureApplication(TENANT, "app", SECRET))
    assert cloud.calls == []


def test_a_proxy_that_is_none_is_named(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    entra(cloud, TENANT)
    monkeypatch.setenv("AI_GATEWAY_AZURE_PROXY_URL", "nonsense")
    with pytest.raises(ExchangeError, match="AI_GATEWAY_AZURE_PROXY_URL is not the URL"):
        exchange(AzureApplication(TENANT, "app", SECRET))
