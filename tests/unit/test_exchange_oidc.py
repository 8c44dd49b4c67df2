"""The first hop of exchanges: the token that an OIDC issuer gives a client."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from aigw.credentials import ExchangeError
from aigw.credentials.oidc import token_of
from aigw.plan import OidcClient
from beds.clouds import Answer, Cloud, forget_clouds, oidc_issuer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "canary:secret/+"


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_clouds(monkeypatch, tmp_path)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


def test_the_issuer_names_the_endpoint_and_the_client_proves_itself(cloud: Cloud) -> None:
    client = OidcClient(oidc_issuer(cloud), "client", SECRET)
    assert token_of(client) == "oidc-token"
    [call] = cloud.called("/idp/token")
    assert call.form == {"grant_type": "client_credentials", "scope": "openid"}
    kind, _, value = call.headers["authorization"].partition(" ")
    assert kind == "Basic"
    assert base64.b64decode(value) == b"client:canary%3Asecret%2F%2B"


def test_scopes_audience_and_grant_are_as_configured(cloud: Cloud) -> None:
    issuer = oidc_issuer(cloud, scopes_supported=["openid", "email"])
    client = OidcClient(issuer, "c", SECRET, ("a", "b"), grant_type="special", audience="sts")
    assert token_of(client) == "oidc-token"
    [call] = cloud.called("/idp/token")
    assert call.form == {"grant_type": "special", "scope": "a b", "audience": "sts"}


def test_an_endpoint_that_is_given_needs_no_discovery(cloud: Cloud) -> None:
    oidc_issuer(cloud)
    client = OidcClient("http://nowhere.invalid", "c", SECRET)
    assert token_of(replace(client, token_endpoint=f"{cloud.url}/idp/token")) == "oidc-token"


def test_a_slash_after_the_issuer_makes_no_difference(cloud: Cloud) -> None:
    assert token_of(OidcClient(f"{oidc_issuer(cloud)}/", "c", SECRET)) == "oidc-token"


@pytest.mark.parametrize("is_told", [True, False])
def test_a_client_may_prove_itself_in_the_form(cloud: Cloud, is_told: object) -> None:
    ways = {"token_endpoint_auth_methods_supported": ["client_secret_post"]} if is_told else {}
    client = OidcClient(oidc_issuer(cloud, **ways), "c", SECRET)
    given = cloud.answers["/idp/token"]
    assert isinstance(given, Answer)
    refused = Answer.json({"error": "invalid_client"}, 401)
    cloud.answers["/idp/token"] = lambda call: given if "client_secret" in call.form else refused
    assert token_of(client) == "oidc-token"
    calls = cloud.called("/idp/token")
    assert len(calls) == (1 if is_told else 2)
    assert calls[-1].form["client_id"] == "c"
    assert calls[-1].form["client_secret"] == SECRET


@pytest.mark.parametrize(
    ("answers", "part"),
    [
        ({"/idp/token": Answer.json({"error": "invalid_scope"}, 400)}, "invalid_scope"),
        ({"/idp/token": Answer(500, "oops")}, "status 500 and no access_token"),
        ({"/idp/token": Answer(200, "[]")}, "status 200 and no access_token"),
        (
            {"/idp/token": Answer.json({"error": "e", "error_description": f"no {SECRET}"}, 403)},
            r"e: no \[REDACTED\]",
        ),
        ({"/idp/.well-known/openid-configuration": Answer(404, "")}, "has status 404"),
        (
            {"/idp/.well-known/openid-configuration": Answer.json({"issuer": "i"})},
            "token_endpoint is required in oidc provider config",
        ),
        (
            {
                "/idp/.well-known/openid-configuration": Answer.json(
                    {"issuer": "https://other.example", "token_endpoint": "https://x.example"}
                )
            },
            "says that the issuer is https://other.example",
        ),
    ],
)
def test_a_refusal_is_told_without_the_secret(
    cloud: Cloud, answers: dict[str, Answer], part: str
) -> None:
    issuer = oidc_issuer(cloud)
    cloud.answers.update(answers)
    with pytest.raises(ExchangeError, match=f"failed to obtain OIDC token: .*{part}") as caught:
        token_of(OidcClient(issuer, "c", SECRET))
    assert SECRET not in str(caught.value)


def test_an_issuer_that_is_not_there_is_named() -> None:
    with pytest.raises(ExchangeError, match=r"failed to obtain OIDC token: .*localhost"):
        token_of(OidcClient("http://localhost:1", "c", SECRET))


def test_redirects_are_not_followed(cloud: Cloud) -> None:
    issuer = oidc_issuer(cloud)
    cloud.answers["/idp/token"] = Answer(307, "")
    with pytest.raises(ExchangeError, match="status 307"):
        token_of(OidcClient(issuer, "c", SECRET))


@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy"])
def test_a_proxy_of_the_environment_is_used(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    oidc_issuer(cloud)
    monkeypatch.setenv(name, f"http://user:pass@{cloud.host}")
    client = OidcClient("i", "c", SECRET, token_endpoint="http://idp.invalid/idp/token")
    assert token_of(client) == "oidc-token"
    [call] = cloud.called("/idp/token")
    assert call.host == "idp.invalid"
    assert call.headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"


def test_a_host_that_is_excepted_is_reached_directly(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://localhost:1")
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert token_of(OidcClient(oidc_issuer(cloud), "c", SECRET)) == "oidc-token"
