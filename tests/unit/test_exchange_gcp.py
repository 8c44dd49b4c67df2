"""Google Cloud: service accounts, workload identity pools, Application Default Credentials."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from aigw.credentials import ExchangeError, gcp
from aigw.credentials.exchange import exchange
from aigw.plan import (
    GcpDefaultCredentials,
    GcpFederation,
    GcpServiceAccount,
    OidcClient,
    Token,
)
from beds.clouds import (
    Answer,
    Cloud,
    forget_clouds,
    google_token,
    nothing_around,
    oidc_issuer,
    service_account,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "canary-secret"
AUDIENCE = (
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/idp"
)
EMAIL = "sa@p.iam.gserviceaccount.com"
ACT = f"/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cloud]:
    """Google's services."""
    forget_clouds(monkeypatch, tmp_path)
    with Cloud() as cloud:
        monkeypatch.setattr(gcp, "TOKEN_SERVICE", f"{cloud.url}/sts")
        monkeypatch.setattr(gcp, "IAM_SERVICE", cloud.url)
        cloud.answers["/google/token"] = google_token("account-token")
        cloud.answers["/sts"] = google_token("sts-token")
        yield cloud


@pytest.fixture(scope="module")
def key_file() -> dict[str, str]:
    with Cloud() as cloud:
        return service_account(cloud)


def account(cloud: Cloud, key_file: dict[str, str]) -> GcpServiceAccount:
    return GcpServiceAccount({**key_file, "token_uri": f"{cloud.url}/google/token"})


def federation(cloud: Cloud, email: str = "") -> GcpFederation:
    return GcpFederation(AUDIENCE, OidcClient(oidc_issuer(cloud), "c", SECRET), email)


def lasts_an_hour(token: object, text: str) -> bool:
    assert isinstance(token, Token)
    assert 3500 < token.expires_at - time.time() <= 3600
    return token.access_token == text


def test_a_service_account_gets_a_token_from_its_own_endpoint(
    cloud: Cloud, key_file: dict[str, str]
) -> None:
    assert lasts_an_hour(exchange(account(cloud, key_file)), "account-token")
    [call] = cloud.called("/google/token")
    assert call.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"


def test_a_refusal_is_told_without_the_key(cloud: Cloud, key_file: dict[str, str]) -> None:
    reply = {"error": "invalid_grant", "error_description": "no such account"}
    cloud.answers["/google/token"] = Answer.json(reply, 400)
    with pytest.raises(ExchangeError) as caught:
        exchange(account(cloud, key_file))
    assert "invalid_grant" in str(caught.value)
    assert "PRIVATE KEY" not in str(caught.value)


def test_a_key_that_is_none_is_refused(cloud: Cloud, key_file: dict[str, str]) -> None:
    info = {**account(cloud, key_file).info, "private_key": "not a key"}
    with pytest.raises(ExchangeError, match="cannot be read"):
        exchange(GcpServiceAccount(info))


def test_a_pool_exchanges_the_token_of_the_issuer(cloud: Cloud) -> None:
    assert lasts_an_hour(exchange(federation(cloud)), "sts-token")
    [call] = cloud.called("/sts")
    assert "authorization" not in call.headers
    assert call.form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": AUDIENCE,
        "scope": CLOUD_PLATFORM,
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token": "oidc-token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }


def acted(seconds: int) -> Answer:
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    return Answer.json({"accessToken": "acting-token", "expireTime": end})


def test_a_service_account_is_acted_as(cloud: Cloud) -> None:
    cloud.answers[ACT] = acted(3600)
    assert lasts_an_hour(exchange(federation(cloud, EMAIL)), "acting-token")
    [exchanged], [call] = cloud.called("/sts"), cloud.called(ACT)
    assert exchanged.form["scope"] == "https://www.googleapis.com/auth/iam"
    assert call.headers["authorization"] == "Bearer sts-token"
    assert json.loads(call.body)["scope"] == [CLOUD_PLATFORM]


@pytest.mark.parametrize(
    ("answers", "part"),
    [
        (
            {"/sts": Answer.json({"error": "bad", "error_description": "oidc-token?"}, 400)},
            r"workload identity federation: .*bad.*\[REDACTED\]",
        ),
        ({ACT: Answer.json({"error": {"message": "denied"}}, 403)}, "workload identity"),
        ({"/idp/token": Answer(500, "")}, "failed to obtain OIDC token"),
    ],
)
def test_each_hop_may_refuse(cloud: Cloud, answers: dict[str, Answer], part: str) -> None:
    given = federation(cloud, EMAIL)
    cloud.answers.update(answers)
    with pytest.raises(ExchangeError, match=part) as caught:
        exchange(given)
    assert "oidc-token" not in str(caught.value)
    assert "sts-token" not in str(caught.value)


def test_the_proxy_is_for_google_alone(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcp, "TOKEN_SERVICE", "http://sts.invalid/sts")
    monkeypatch.setenv("AI_GATEWAY_GCP_AUTH_PROXY_URL", cloud.url)
    assert lasts_an_hour(exchange(federation(cloud)), "sts-token")
    hosts = {call.path: call.host for call in cloud.calls}
    assert hosts["/sts"] == "sts.invalid"
    assert hosts["/idp/token"] == cloud.host


def test_a_proxy_that_is_none_is_named(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_GATEWAY_GCP_AUTH_PROXY_URL", "nonsense")
    with pytest.raises(ExchangeError, match="AI_GATEWAY_GCP_AUTH_PROXY_URL is not the URL"):
        exchange(federation(cloud))


# --- Application Default Credentials ---


def test_a_file_of_the_environment_is_found(
    cloud: Cloud, key_file: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.json").write_text(json.dumps(dict(account(cloud, key_file).info)))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    assert lasts_an_hour(exchange(GcpDefaultCredentials()), "account-token")


def test_a_federation_of_the_environment_is_found(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("oidc-token")
    config = {
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{cloud.url}/sts",
        "credential_source": {"file": str(tmp_path / "token")},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "config.json"))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    assert lasts_an_hour(exchange(GcpDefaultCredentials()), "sts-token")
    assert len(cloud.called("/sts")) == 1


METADATA = "/computeMetadata/v1/instance/service-accounts/default"


def test_the_metadata_server_is_found(cloud: Cloud, tmp_path: Path) -> None:
    """In a process of its own: the library reads the variables when it is imported."""
    info = {"email": EMAIL, "scopes": [CLOUD_PLATFORM], "aliases": ["default"]}
    cloud.answers["/"] = Answer(200, headers={"metadata-flavor": "Google"})
    cloud.answers[f"{METADATA}/"] = Answer.json(info)
    cloud.answers[f"{METADATA}/token"] = google_token("metadata-token")
    environment = {
        **os.environ,
        **nothing_around(tmp_path),
        "NO_GCE_CHECK": "false",
        "GCE_METADATA_HOST": cloud.host,
        "GCE_METADATA_IP": cloud.host,
        "GOOGLE_CLOUD_PROJECT": "p",
    }
    code = (
        "from aigw.credentials.exchange import exchange; from aigw.plan import *; "
        "print(exchange(GcpDefaultCredentials()).access_token)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "metadata-token", done.stderr


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({}, "default credentials were not found"),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "/missing.json"}, "/missing.json"),
    ],
)
def test_what_is_missing_is_said(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], part: str
) -> None:
    del cloud
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("google.auth.compute_engine._metadata._NO_GCE_CHECK", True)
    with pytest.raises(ExchangeError, match=part):
        exchange(GcpDefaultCredentials())
