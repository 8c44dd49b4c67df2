"""Credentials that are exchanged: one that fails disables its backend alone, until it is good."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from beds.clouds import Answer, Cloud, certificate, container_keys, entra, nothing_around
from beds.gateway import run_gateway
from beds.raw_http import RawConnection, Response, request
from beds.resources import BackendSpec, Resource, aws_keys, gateway_yaml, rule

if TYPE_CHECKING:
    from pathlib import Path

    from beds.gateway import RunningGateway
    from beds.ports import FreePorts
    from beds.provider import ProviderBed

SECRET = "canary-client-secret"
TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
HEAVY = ("azure", "boto3", "botocore", "google", "grpc", "kopf", "kubernetes", "msal", "requests")


def chat(gateway: RunningGateway, model: str) -> Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    kind = ("content-type", "application/json")
    with RawConnection(gateway.port) as client:
        client.send(request("POST", "/v1/chat/completions", kind, body=json.dumps(body).encode()))
        return client.response()


def entra_policy() -> tuple[Resource, dict[str, str]]:
    azure = {"clientID": "app", "tenantID": TENANT, "clientSecretRef": {"name": "azure"}}
    return {"type": "AzureCredentials", "azureCredentials": azure}, {"client-secret": SECRET}


def around_policy() -> tuple[Resource, dict[str, str]]:
    return {"type": "AWSCredentials", "awsCredentials": {"region": "us-east-1"}}, {}


def backends(port: int) -> list[BackendSpec]:
    azure = {"name": "AzureOpenAI", "version": "2025-01-01"}
    return [
        BackendSpec("azure", port, azure, entra_policy()),
        BackendSpec("aws", port, {"name": "AWSBedrock"}, around_policy()),
    ]


def key_ids(provider: ProviderBed) -> list[str]:
    """The access keys that requests to Bedrock were signed with."""
    values = [received.header("authorization") or "" for received in provider.received]
    return [found[1] for value in values if (found := re.search(r"Credential=(\w+)/", value))]


def test_a_credential_that_fails_disables_its_backend_alone_until_it_is_good(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed, tmp_path: Path
) -> None:
    tls, authority_file = certificate(tmp_path)
    (tmp_path / "token").write_text("pod-token")
    text = gateway_yaml(
        free_port(), backends(provider.port), [rule("a", "azure"), rule("b", "aws")]
    )
    with Cloud() as pod, Cloud(tls) as authority:
        numbers = iter(range(1000))
        pod.answers["/keys"] = lambda _: container_keys(f"ASIA{next(numbers)}", seconds=6)
        token_path = entra(authority, TENANT)
        good = authority.answers[token_path]
        refusal = {"error": "invalid_client", "error_description": f"{SECRET} is unknown"}
        authority.answers[token_path] = Answer.json(refusal, 401)
        extra = {
            **nothing_around(tmp_path),
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{pod.url}/keys",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
            "AZURE_AUTHORITY_HOST": authority.url,
            "SSL_CERT_FILE": str(authority_file),
        }
        with run_gateway(*host, config=text, extra=extra) as gateway:
            assert chat(gateway, "b").status == 200
            refused = chat(gateway, "a")
            assert refused.status == 503
            assert refused.head.header("retry-after") == "5"
            assert json.loads(refused.body)["error"]["code"]
            assert "BackendSecurityPolicy default/azure: no credential: inv" in gateway.errors

            authority.answers[token_path] = good
            gateway.wait_until(lambda: chat(gateway, "a").status == 200, "recovery")
            assert provider.received[-1].header("authorization") == "Bearer entra-token"
            assert "BackendSecurityPolicy default/azure: has its credential again" in gateway.errors

            first = key_ids(provider)[0]
            statuses: set[int] = set()

            def has_other_keys() -> bool:
                statuses.add(chat(gateway, "b").status)
                return key_ids(provider)[-1] != first

            gateway.wait_until(has_other_keys, "other keys ahead of the end of the first")
            assert statuses == {200}
            assert SECRET not in gateway.errors + gateway.output
            assert len(authority.called(token_path)) <= 6


def test_backends_with_one_policy_share_one_exchange(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed, tmp_path: Path
) -> None:
    policy, _ = around_policy()
    first = BackendSpec("aws", provider.port, {"name": "AWSBedrock"}, (policy, {}))
    other = BackendSpec("other", provider.port, {"name": "AWSBedrock"})
    text = gateway_yaml(free_port(), [first, other], [rule("a", "aws"), rule("b", "other")])
    target = "name: aws\n  type: AWSCredentials"
    more = "name: aws\n  - group: aigateway.envoyproxy.io\n    kind: AIServiceBackend\n"
    assert target in text
    text = text.replace(target, f"{more}    name: other\n  type: AWSCredentials")
    with Cloud() as pod:
        pod.answers["/keys"] = container_keys("ASIA1")
        uri = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{pod.url}/keys"}
        with run_gateway(*host, config=text, extra={**nothing_around(tmp_path), **uri}) as gateway:
            assert [chat(gateway, model).status for model in ("a", "b")] == [200, 200]
        assert key_ids(provider) == ["ASIA1", "ASIA1"]
        assert len(pod.calls) == 1


def test_no_library_of_a_cloud_is_loaded_for_static_keys(
    free_port: FreePorts, provider: ProviderBed
) -> None:
    backend = BackendSpec(
        "aws", provider.port, {"name": "AWSBedrock"}, aws_keys("aws", "AKIA", "s")
    )
    text = gateway_yaml(free_port(), [backend], [rule("b", "aws")])
    with run_gateway(config=text, extra={"PYTHONPROFILEIMPORTTIME": "1"}) as gateway:
        assert chat(gateway, "b").status == 200
        loaded = {line.rpartition("|")[2].strip() for line in gateway.errors.splitlines()}
    assert "aigw.credentials.refresher" in loaded
    assert loaded.isdisjoint(HEAVY)
