"""AWS: a role assumed with an OIDC token, and each place where credentials are found."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from aigw.credentials import ExchangeError
from aigw.credentials.exchange import exchange
from aigw.plan import AwsDefaultChain, AwsKeys, AwsRole, OidcClient
from beds.clouds import (
    Answer,
    Cloud,
    container_keys,
    forget_clouds,
    oidc_issuer,
    sts_error,
    sts_keys,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/r"
CHAIN = AwsDefaultChain("eu-central-1")
Env = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch: Env, tmp_path: Path) -> None:
    forget_clouds(monkeypatch, tmp_path)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


def role(cloud: Cloud) -> AwsRole:
    client = OidcClient(oidc_issuer(cloud), "c", "canary-secret")
    return AwsRole(ROLE, "ai-gateway-policy", "eu-central-1", client)


def is_temporary(keys: object, key_id: str) -> bool:
    """Whether these are the keys of that id, for the hour that they were given for."""
    assert isinstance(keys, AwsKeys)
    assert keys.expires_at is not None
    assert 3500 < keys.expires_at - time.time() <= 3600
    found = (keys.access_key_id, keys.secret_access_key, keys.session_token)
    return found == (key_id, f"s-{key_id}", f"t-{key_id}")


def test_a_role_is_assumed_with_the_token_of_the_issuer(cloud: Cloud, monkeypatch: Env) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", cloud.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "not-this")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nor-this")
    cloud.answers["/"] = sts_keys("ASIA1")
    assert is_temporary(exchange(role(cloud)), "ASIA1")
    [call] = cloud.called("/")
    assert "authorization" not in call.headers
    assert call.form == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": ROLE,
        "RoleSessionName": "ai-gateway-policy",
        "WebIdentityToken": "oidc-token",
    }


def test_the_service_of_the_region_is_asked_through_its_proxy(
    cloud: Cloud, monkeypatch: Env
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://sts.invalid")
    monkeypatch.setenv("AI_GATEWAY_STS_PROXY_URL", cloud.url)
    cloud.answers["/"] = sts_keys("ASIA1")
    assert is_temporary(exchange(role(cloud)), "ASIA1")
    assert [call.host for call in cloud.called("/")] == ["sts.invalid"]


def test_a_refusal_is_told_without_the_token(cloud: Cloud, monkeypatch: Env) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", cloud.url)
    cloud.answers["/"] = sts_error("InvalidIdentityToken", "oidc-token is not welcome")
    with pytest.raises(ExchangeError, match=r"InvalidIdentityToken.*REDACTED. is not") as caught:
        exchange(role(cloud))
    assert "oidc-token" not in str(caught.value)
    assert len(cloud.called("/")) == 1


def test_an_issuer_that_refuses_is_the_reason(cloud: Cloud) -> None:
    given = role(cloud)
    cloud.answers["/idp/token"] = Answer.json({"error": "access_denied"}, 403)
    with pytest.raises(ExchangeError, match="failed to obtain OIDC token: access_denied"):
        exchange(given)


@pytest.mark.parametrize("value", ["nonsense", "socks5://h:1", "http://h:port", "http://"])
def test_a_proxy_that_is_none_is_named(cloud: Cloud, monkeypatch: Env, value: str) -> None:
    monkeypatch.setenv("AI_GATEWAY_STS_PROXY_URL", value)
    with pytest.raises(ExchangeError, match="AI_GATEWAY_STS_PROXY_URL is not the URL"):
        exchange(role(cloud))


# --- the default chain ---


def environment(cloud: Cloud, monkeypatch: Env, folder: Path) -> None:
    del cloud, folder
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s-AKIA1")


def shared_file(cloud: Cloud, monkeypatch: Env, folder: Path) -> None:
    del cloud
    text = "[default]\naws_access_key_id = no\naws_secret_access_key = no\n"
    text += "[work]\naws_access_key_id = AKIA1\naws_secret_access_key = s-AKIA1\n"
    (folder / "credentials").write_text(text)
    monkeypatch.setenv("AWS_PROFILE", "work")


@pytest.mark.parametrize("place", [environment, shared_file])
def test_keys_without_an_end_are_found(
    cloud: Cloud,
    monkeypatch: Env,
    tmp_path: Path,
    place: Callable[[Cloud, Env, Path], None],
) -> None:
    place(cloud, monkeypatch, tmp_path)
    assert exchange(CHAIN) == AwsKeys("AKIA1", "s-AKIA1")
    assert cloud.calls == []


def web_identity(cloud: Cloud, monkeypatch: Env, folder: Path) -> None:
    (folder / "token").write_text("pod-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(folder / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://sts.invalid")
    monkeypatch.setenv("AI_GATEWAY_STS_PROXY_URL", cloud.url)
    cloud.answers["/"] = sts_keys("ASIA1")


def pod_identity(cloud: Cloud, monkeypatch: Env, folder: Path) -> None:
    (folder / "token").write_text("pod-token")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{cloud.url}/v1/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(folder / "token"))
    cloud.answers["/v1/credentials"] = container_keys("ASIA1")


def instance_metadata(cloud: Cloud, monkeypatch: Env, folder: Path) -> None:
    del folder
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{cloud.url}/")
    base = "/latest/meta-data/iam/security-credentials/"
    cloud.answers["/latest/api/token"] = Answer(200, "imds-token", "text/plain")
    cloud.answers[base] = Answer(200, "instance-role", "text/plain")
    cloud.answers[f"{base}instance-role"] = container_keys("ASIA1")


def assumed_profile(cloud: Cloud, monkeypatch: Env, folder: Path) -> None:
    shared_file(cloud, monkeypatch, folder)
    (folder / "config").write_text(f"[profile r]\nrole_arn = {ROLE}\nsource_profile = work\n")
    monkeypatch.setenv("AWS_PROFILE", "r")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", cloud.url)
    text = sts_keys("ASIA1").body.replace("AssumeRoleWithWebIdentity", "AssumeRole")
    cloud.answers["/"] = Answer(200, text, "text/xml")


@pytest.mark.parametrize("place", [web_identity, pod_identity, instance_metadata, assumed_profile])
def test_temporary_keys_are_found_with_their_end(
    cloud: Cloud,
    monkeypatch: Env,
    tmp_path: Path,
    place: Callable[[Cloud, Env, Path], None],
) -> None:
    place(cloud, monkeypatch, tmp_path)
    assert is_temporary(exchange(CHAIN), "ASIA1")


def test_the_pod_shows_its_token(cloud: Cloud, monkeypatch: Env, tmp_path: Path) -> None:
    pod_identity(cloud, monkeypatch, tmp_path)
    exchange(CHAIN)
    assert [call.headers["authorization"] for call in cloud.calls] == ["pod-token"]


def test_each_exchange_asks_again(cloud: Cloud, monkeypatch: Env, tmp_path: Path) -> None:
    pod_identity(cloud, monkeypatch, tmp_path)
    assert is_temporary(exchange(CHAIN), "ASIA1")
    cloud.answers["/v1/credentials"] = container_keys("ASIA2")
    assert is_temporary(exchange(CHAIN), "ASIA2")


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({}, "no AWS credentials in the environment, a web identity"),
        ({"AWS_PROFILE": "missing"}, "missing"),
        (
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/missing/token", "AWS_ROLE_ARN": ROLE},
            "/missing/token: No such file",
        ),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/"}, "example.com"),
    ],
)
def test_what_is_missing_is_said(monkeypatch: Env, variables: dict[str, str], part: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ExchangeError, match=part):
        exchange(CHAIN)


def test_the_authority_of_the_environment_is_trusted(monkeypatch: Env, tmp_path: Path) -> None:
    from beds.clouds import certificate

    tls, file = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with Cloud(tls) as cloud:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", cloud.url)
        cloud.answers["/"] = sts_keys("ASIA1")
        assert is_temporary(exchange(role(cloud)), "ASIA1")
