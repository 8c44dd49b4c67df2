"""Security policies in front of the core, in both hosts with the real Envoy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from security_bed import (
    ALICE,
    BOB,
    EVERYONE,
    OK,
    PAGE,
    PASSWORD,
    PROVIDER_KEY,
    SECRETS,
    Bed,
    Issuer,
    basic,
    configuration,
    key_server,
)

from aigw.providers import FakeProvider
from beds.gateway import run_gateway
from beds.provider import LoopThread, ProviderBed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aigw.providers import Received
    from beds.ports import FreePorts


@pytest.fixture(scope="module")
def running(host: tuple[str, ...], free_port: FreePorts, loop_thread: LoopThread) -> Iterator[Bed]:
    provider = ProviderBed(loop_thread, FakeProvider())
    issuer = Issuer()
    with key_server(issuer.key_set) as key_port:
        # The gateway says that it listens on the smaller one.
        first, second = sorted((free_port(), free_port()))
        text = configuration((first, second), provider.port, issuer, key_port)
        with run_gateway(*host, config=text) as gateway:
            yield Bed(gateway, provider, issuer, f"http://127.0.0.1:{second}")
    provider.stop()


@pytest.fixture
def bed(running: Bed) -> Bed:
    running.provider.reset()
    running.provider.on(OK)
    return running


def wire(received: Received) -> bytes:
    """All that the provider got."""
    return received.head + received.body


def refused(response: httpx.Response, status: int, kind: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    error = response.json()["error"]
    assert (error["type"], error["code"]) == (kind, str(status))


def unauthorized(response: httpx.Response) -> None:
    refused(response, 401, "Unauthorized")


# --- API keys ---

KEY_PLACES: list[dict[str, Any]] = [
    {"headers": {"x-gateway-key": ALICE}},
    {"headers": {"authorization": f"Bearer {ALICE}"}},
    {"params": {"a": "1", "gw_key": ALICE}},
    {"headers": {"cookie": f"a=b; gw-session={ALICE}"}},
]


@pytest.mark.parametrize("model", ["plain", "keyed"])
@pytest.mark.parametrize("place", KEY_PLACES, ids=["header", "bearer", "query", "cookie"])
def test_a_key_opens_and_goes_no_further(bed: Bed, place: dict[str, Any], model: str) -> None:
    response = bed.send("keys.test", model=model, **place)
    assert response.status_code == 200, response.text
    received = bed.provider.only()
    assert b"canary" not in wire(received)
    assert received.header("x-client-id") == "alice"
    authorization = f"Bearer {PROVIDER_KEY}" if model == "keyed" else None
    assert received.header("authorization") == authorization


def test_keys_in_all_places_go_no_further(bed: Bed) -> None:
    headers = {"x-gateway-key": ALICE, "authorization": f"Bearer {BOB}"}
    headers["cookie"] = f"gw-session={BOB}"
    response = bed.send("keys.test", headers, params={"gw_key": BOB})
    assert response.status_code == 200
    assert b"canary" not in wire(bed.provider.only())


def test_a_key_for_a_provider_passes_beside_the_one_for_the_gateway(bed: Bed) -> None:
    headers = {"x-gateway-key": EVERYONE, "authorization": "Bearer of-the-provider"}
    assert bed.send("default.test", headers).status_code == 200
    assert bed.provider.only().header("authorization") == "Bearer of-the-provider"


@pytest.mark.parametrize("key", [None, "wrong", ALICE[:-1], EVERYONE])
def test_without_the_right_key_nothing_is_served(bed: Bed, key: str | None) -> None:
    headers = {"x-gateway-key": key} if key else {}
    unauthorized(bed.send("keys.test", headers))
    unauthorized(bed.get("keys.test", "/v1/models", headers))
    unauthorized(bed.get("keys.test", "/nowhere", headers))
    unauthorized(bed.send("keys.test", headers, model="nobody"))
    assert bed.provider.received == []


def test_the_name_of_a_client_cannot_be_forged(bed: Bed) -> None:
    headers = {"x-gateway-key": ALICE, "x-client-id": "bob", "X-Client-ID": "bob"}
    assert bed.send("keys.test", headers).status_code == 200
    assert bed.provider.only().header_values("x-client-id") == ["alice"]


# --- passwords ---


def test_a_password_opens_and_goes_no_further(bed: Bed) -> None:
    headers = {**basic("dave", PASSWORD), "x-user": "root"}
    assert bed.send("basic.test", headers).status_code == 200
    received = bed.provider.only()
    assert received.header("authorization") is None
    assert received.header_values("x-user") == ["dave"]


@pytest.mark.parametrize(
    "headers", [{}, basic("dave", "wrong"), basic("nobody", "x"), basic("nobody", "")]
)
def test_without_the_right_password_nothing_is_served(bed: Bed, headers: dict[str, str]) -> None:
    unauthorized(bed.send("basic.test", headers))
    unauthorized(bed.get("basic.test", "/v1/models", headers))
    assert bed.provider.received == []


# --- tokens ---


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_a_token_opens_and_its_claims_become_headers(bed: Bed) -> None:
    token = bed.issuer.token(team={"name": "red"})
    headers = {**bearer(token), "x-sub": "root", "x-team": "blue"}
    assert bed.send("jwt.test", headers).status_code == 200
    received = bed.provider.only()
    assert received.header_values("x-sub") == ["carol"]
    assert received.header_values("x-team") == ["red"]
    assert token.encode() not in wire(received)


def test_a_claim_that_is_missing_is_not_the_client_s_to_set(bed: Bed) -> None:
    headers = {**bearer(bed.issuer.token()), "x-team": "blue"}
    assert bed.send("jwt.test", headers).status_code == 200
    assert bed.provider.only().header("x-team") is None


def test_a_token_in_the_query_goes_no_further(bed: Bed) -> None:
    token = bed.issuer.token()
    assert bed.send("jwt.test", params={"access_token": token}).status_code == 200
    assert token.encode() not in wire(bed.provider.only())


def test_a_token_that_is_not_valid_opens_nothing(bed: Bed) -> None:
    bad = [
        bed.issuer.token(iss="https://other.test"),
        bed.issuer.token(exp=1),
        bed.issuer.token()[:-8] + "AAAAAAAA",
        Issuer().token(),
        "nonsense",
    ]
    for token in bad:
        unauthorized(bed.send("jwt.test", bearer(token)))
    unauthorized(bed.send("jwt.test"))
    unauthorized(bed.get("jwt.test", "/v1/models"))
    refused(bed.send("jwt.test", bearer(bed.issuer.token(aud="other"))), 403, "Forbidden")
    assert bed.provider.received == []


@pytest.mark.parametrize("place", ["x-token", "cookie"])
def test_keys_of_an_issuer_are_fetched(bed: Bed, place: str) -> None:
    token = bed.issuer.token()
    headers = {"x-token": token} if place == "x-token" else {"cookie": f"token={token}; a=b"}
    assert bed.send("remote.test", headers).status_code == 200
    received = bed.provider.only()
    assert received.header("x-sub") == "carol"
    assert token.encode() not in wire(received)


def test_an_optional_token_may_be_missing_but_not_wrong(bed: Bed) -> None:
    assert bed.send("remote.test", {"x-sub": "carol"}).status_code == 200
    assert bed.provider.only().header("x-sub") is None
    unauthorized(bed.send("remote.test", {"x-token": Issuer().token()}))


# --- web pages ---


def preflight(bed: Bed, origin: str) -> httpx.Response:
    headers = {
        "host": "cors.test",
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    return httpx.options(f"{bed.gateway.url}/v1/chat/completions", headers=headers)


def test_a_browser_may_ask_without_a_key(bed: Bed) -> None:
    response = preflight(bed, PAGE)
    assert response.status_code in (200, 204)
    assert response.headers["access-control-allow-origin"] == PAGE
    assert response.headers["access-control-allow-methods"] == "POST"
    assert "x-gateway-key" in response.headers["access-control-allow-headers"]
    assert response.headers["access-control-max-age"] == "600"


@pytest.mark.parametrize(
    "origin", ["https://evil.test", "https://pages.test", "http://a.pages.test"]
)
def test_other_pages_get_nothing(bed: Bed, origin: str) -> None:
    response = preflight(bed, origin)
    assert response.status_code == 401
    assert "access-control-allow-origin" not in response.headers


def test_a_page_reads_answers_and_errors(bed: Bed) -> None:
    served = bed.send("cors.test", {"origin": PAGE, "x-gateway-key": BOB})
    assert served.status_code == 200
    assert served.headers["access-control-allow-origin"] == PAGE
    nameless = bed.send("cors.test", {"origin": PAGE, "x-gateway-key": BOB}, model="")
    refused(nameless, 400, "BadRequest")
    assert "names no model" in nameless.text
    assert nameless.headers["access-control-allow-origin"] == PAGE
    denied = bed.send("cors.test", {"origin": PAGE})
    unauthorized(denied)
    assert denied.headers["access-control-allow-origin"] == PAGE


# --- which policy counts ---


def test_a_host_without_routes_has_the_policy_of_the_gateway(bed: Bed) -> None:
    unauthorized(bed.get("nobody.test", "/v1/models"))
    unauthorized(bed.get("nobody.test", "/v1/models", {"x-gateway-key": ALICE}))
    key = {"x-gateway-key": EVERYONE}
    assert bed.get("nobody.test", "/v1/models", key).status_code == 200


def test_a_policy_of_a_route_takes_the_place_of_that_of_the_gateway(bed: Bed) -> None:
    unauthorized(bed.send("keys.test", {"x-gateway-key": EVERYONE}))
    unauthorized(bed.send("default.test", {"x-gateway-key": ALICE}))
    assert bed.send("default.test", {"x-gateway-key": EVERYONE}).status_code == 200


def test_what_a_client_says_about_the_route_changes_nothing(bed: Bed) -> None:
    headers = {"x-ai-eg-model": "plain", "x-gateway-destination-endpoint": "127.0.0.1:1"}
    unauthorized(bed.send("keys.test", headers))
    assert bed.provider.received == []


def test_a_plain_route_has_its_own_policy_beside_the_routes_of_the_api(bed: Bed) -> None:
    """Also where it shares their host: `/files` has the policy of the Gateway."""
    unauthorized(bed.get("keys.test", "/files/a"))
    unauthorized(bed.get("keys.test", "/files/a", {"x-gateway-key": ALICE}))
    unauthorized(bed.get("keys.test", "/own/a", {"x-gateway-key": ALICE}))
    unauthorized(bed.get("keys.test", "/v1/models", basic("dave", PASSWORD)))
    unauthorized(bed.get("keys.test", "/v1/models", {"x-gateway-key": EVERYONE}))
    assert bed.provider.received == []
    key = {"x-gateway-key": EVERYONE}
    assert bed.get("keys.test", "/files/a", key).status_code == 200
    assert bed.get("keys.test", "/own/a", basic("dave", PASSWORD)).status_code == 200
    for received in bed.provider.received:
        assert b"canary" not in wire(received)
        assert received.header("authorization") is None


@pytest.mark.parametrize("name", ["gw_key", "gw%5Fkey", "%67w_key"])
@pytest.mark.parametrize("value", [ALICE, ALICE.replace("-", "%2D")])
def test_a_key_in_a_query_does_not_get_to_the_server_of_a_plain_route(
    bed: Bed, name: str, value: str
) -> None:
    """However it is written: it is not understood, or it is taken off."""
    response = bed.get("keys.test", f"/query/a?b=1&{name}={value}&c=%2F")
    if response.status_code == 200:
        assert b"canary" not in bed.provider.only().head.replace(b"%2D", b"-")
        assert b"b=1" in bed.provider.only().target
    else:
        unauthorized(response)
        assert bed.provider.received == []


def test_the_younger_of_two_routes_with_different_policies_is_not_served(bed: Bed) -> None:
    """Neither is open to the clients of the other, whatever model they ask for."""
    for model in ("one", "two", "other"):
        unauthorized(bed.send("shared.test", model=model))
        unauthorized(bed.send("shared.test", {"x-gateway-key": EVERYONE}, model=model))
    key = {"x-gateway-key": ALICE}
    assert bed.send("shared.test", key, model="one").status_code == 200
    bed.provider.reset()
    refused(bed.send("shared.test", key, model="two"), 503, "ServiceUnavailable")
    assert bed.provider.received == []


def test_a_gateway_whose_policy_cannot_be_enforced_tells_and_serves_nothing(bed: Bed) -> None:
    unavailable = "ServiceUnavailable"
    refused(httpx.get(f"{bed.broken}/v1/models"), 503, unavailable)
    body = {"model": "plain", "messages": []}
    refused(httpx.post(f"{bed.broken}/v1/chat/completions", json=body), 503, unavailable)
    assert bed.provider.received == []
    assert "Secret default/missing not found" in bed.gateway.errors


# --- secrets ---


def test_secrets_of_clients_are_shown_nowhere(bed: Bed) -> None:
    bed.send("keys.test", {"x-gateway-key": ALICE}, params={"gw_key": BOB})
    bed.send("keys.test", {"x-gateway-key": "wrong"})
    dump = bed.admin("/config_dump?include_eds")
    assert b"api_key_auth" in dump
    shown = dump + bed.gateway.output.encode() + bed.gateway.errors.encode()
    for text in SECRETS:
        assert text.encode() not in shown
    private = json.loads(bed.issuer.key_set)["keys"][0]["d"]
    assert private.encode() not in dump
    for path in bed.gateway.runtime.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert path.stat().st_mode & 0o077 == 0, path


# --- the second lock ---


def test_a_last_route_with_another_policy_than_the_first_is_refused(bed: Bed) -> None:
    """As if the compiler had let routes with two policies meet."""
    path = next((bed.gateway.runtime / "envoy").rglob("rds/default_gw_*.json"))
    text = path.read_text()
    document = json.loads(text)
    key = {"x-gateway-key": EVERYONE}
    for host in document["resources"][0]["virtual_hosts"]:
        if host["name"] == "default.test":
            for found in host["routes"]:
                if "route" in found:
                    ours = found["metadata"]["filter_metadata"]["aigateway.envoy.io"]
                    ours["security_policy"] = "other"
    replace(path, json.dumps({**document, "version_info": "edited"}))
    bed.gateway.wait_until(
        lambda: bed.send("default.test", key).status_code == 403, "the edited route"
    )
    bed.provider.reset()
    refused(bed.send("default.test", key), 403, "Forbidden")
    assert bed.provider.received == []
    replace(path, text)
    bed.provider.on(OK)
    bed.gateway.wait_until(
        lambda: bed.send("default.test", key).status_code == 200, "the route as it was"
    )


def replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.test")
    draft.write_text(text)
    draft.rename(path)
