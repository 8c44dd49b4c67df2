"""The commands that read configurations, as a user types them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from aigw.cli import main
from beds.resources import BackendSpec, api_key, gateway_yaml, rule

ROOT = Path(__file__).parents[2]
SPLIT = gateway_yaml(
    1975,
    [
        BackendSpec("main", 8001, auth=api_key("main", "canary-key")),
        BackendSpec("spare", 8002, {"name": "Anthropic"}),
        BackendSpec("idle", 8003),
    ],
    [
        rule("other", "spare"),
        rule(
            "m",
            {"name": "main", "weight": 3, "modelNameOverride": "real-m"},
            {"name": "idle", "weight": 0},
            {"name": "missing"},
            {"name": "spare", "priority": 1},
            timeouts={"request": "90s"},
        ),
    ],
)


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A file with one route, two rules, and a reference to a backend that does not exist."""
    path = tmp_path / "gateway.yaml"
    path.write_text(SPLIT)
    return str(path)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code and both outputs of a command."""
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*/gateway.yaml")), ids=str)
def test_examples_are_valid_without_any_key(
    example: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    code, out, err = answer(capsys, "validate", str(example))
    assert code == 0, err
    assert out.startswith("0 errors")


def test_validate_names_what_is_wrong_and_fails(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = answer(capsys, "validate", config)
    assert code == 1
    assert "AIGatewayRoute default/route: spec.rules[1].backendRefs[2]" in err
    assert err.splitlines()[0].startswith(f"error: {config}:")
    assert out == "1 error, 0 warnings: 1 route on 1 port\n"


def test_validate_tells_machines_the_same(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = answer(capsys, "validate", config, "--output", "json")
    document = json.loads(out)
    assert (code, err, document["valid"]) == (1, "", False)
    (finding,) = document["findings"]
    assert finding["code"] == "not-found"
    assert finding["fieldPath"] == "spec.rules[1].backendRefs[2]"
    assert finding["resource"]["name"] == "route"
    assert finding["origin"]["file"] == config


def test_several_files_are_one_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = list(yaml.safe_load_all(SPLIT.replace("name: missing", "name: main")))
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for file, part in zip(files, (documents[:4], documents[4:]), strict=True):
        file.write_text(yaml.safe_dump_all(part))
    code, out, _ = answer(capsys, "validate", *map(str, files))
    assert (code, out) == (0, "0 errors, 0 warnings: 1 route on 1 port\n")


def test_standard_input_is_a_file() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aigw", "validate", "-"],
        input=SPLIT.encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert b"error: standard input:" in done.stderr


def test_a_terminal_gets_colours_and_one_screen(tmp_path: Path) -> None:
    """`run` stops at one screen and says where the rest is."""
    rules = [{"backendRefs": [{"name": f"missing-{number}"}]} for number in range(15)]
    path = tmp_path / "many.yaml"
    path.write_text(gateway_yaml(1, [], []).replace("rules: []", f"rules: {json.dumps(rules)}"))
    screen = _on_a_terminal("explain", str(path), "--model", "m")
    assert "\x1b[31merror\x1b[0m: " in screen
    assert "more: `aigw validate` lists them all" in screen
    assert "\x1b[31m" not in _on_a_terminal("explain", str(path), "--model", "m", NO_COLOR="1")


def _on_a_terminal(*arguments: str, **variables: str) -> str:
    parent, child = pty.openpty()
    environment = {**os.environ, "LINES": "12", "COLUMNS": "200", "TERM": "xterm", **variables}
    if "NO_COLOR" not in variables:
        environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "aigw", *arguments],
        stdin=child,
        stdout=child,
        stderr=child,
        env=environment,
    )
    os.close(child)
    shown = b""
    try:
        while chunk := os.read(parent, 4096):
            shown += chunk
    except OSError:
        pass
    os.close(parent)
    process.wait(60)
    return shown.decode()


def explained(
    capsys: pytest.CaptureFixture[str], config: str, *arguments: str
) -> tuple[int, dict[str, Any]]:
    """What `explain` tells machines."""
    code, out, _ = answer(capsys, "explain", config, *arguments, "--output", "json")
    return code, json.loads(out)


def test_explain_shows_the_order_the_shares_and_the_requests(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = explained(capsys, config, "--model", "m")
    assert (code, found["rule"]) == (0, "default/route/rule/1")
    first, second = found["backends"]
    assert (first["group"], first["weight"], second["group"]) == (0, 3, 1)
    assert first["asked"]["url"] == "http://127.0.0.1:8001/v1/chat/completions"
    assert json.loads(first["asked"]["body"])["model"] == "real-m"
    assert second["asked"]["url"] == "http://127.0.0.1:8002/v1/messages"
    assert second["credential"] == "the client's own"
    assert [(item["backend"], item["reason"]) for item in found["left_out"]] == [
        ("default/idle", "weight 0"),
        ("default/missing", "AIServiceBackend missing.default not found"),
    ]
    _, narrowed = explained(capsys, config, "--model", "m", "--path", "/v1/embeddings")
    assert {"backend": "default/spare", "reason": "its API has no such endpoint"} in narrowed[
        "left_out"
    ]
    assert [item["rule"] for item in found["considered"]] == ["default/route/rule/0"]
    assert found["limits"]["whole request"] == "90 s"


def test_explain_shows_the_proxy_on_the_way_without_its_password(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:canary-password@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "")
    path = Path(config)
    path.write_text(path.read_text().replace("127.0.0.1", "10.0.0.9"))
    _, found = explained(capsys, config, "--model", "m")
    assert {tuple(item["proxies"]) for item in found["backends"]} == {("proxy.example:3128",)}
    _, text, _ = answer(capsys, "explain", config, "--model", "m")
    assert "through the proxy proxy.example:3128" in text
    assert "canary-password" not in text + json.dumps(found)


def test_explain_shows_no_credential(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    for output in ("text", "json"):
        code, out, err = answer(capsys, "explain", config, "--model", "m", "--output", output)
        assert code == 0
        assert "canary-key" not in out + err
        assert "(hidden)" in out


def test_a_library_that_is_not_installed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands look for the libraries and do not load them."""
    policy = {"type": "AWSCredentials", "awsCredentials": {"region": "us-east-1"}}
    backend = BackendSpec("a", 8001, {"name": "AWSBedrock"}, auth=(policy, {}))
    path = tmp_path / "gateway.yaml"
    path.write_text(gateway_yaml(1975, [backend], [rule(None, "a")]))
    monkeypatch.setitem(sys.modules, "botocore", None)
    advice = "pip install 'aigw[aws]'"
    code, out, err = answer(capsys, "validate", str(path))
    assert (code, out) == (0, "0 errors, 1 warning: 1 route on 1 port\n")
    assert advice in err
    assert advice in answer(capsys, "explain", str(path), "--model", "m")[2]
    monkeypatch.delitem(sys.modules, "botocore")
    assert answer(capsys, "validate", str(path))[2] == ""


def test_explain_says_where_requests_bring_their_credential(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"fromRequestHeaders": {"header": "x-own", "fallbackToConfigured": False}}
    policy = {**api_key("main", "k")[0], "credentialOverride": own}
    backend = BackendSpec("main", 8001, auth=(policy, {}))
    path = tmp_path / "gateway.yaml"
    path.write_text(gateway_yaml(1975, [backend], [rule("m", "main")]))
    _, found = explained(capsys, str(path), "--model", "m")
    (without,) = found["backends"]
    assert without["credential"] == "APIKey of the request, header x-own"
    assert "missing upstream credential" in without["asked"]["refusal"]
    _, found = explained(capsys, str(path), "--model", "m", "--header", "x-own:canary-own")
    assert found["backends"][0]["asked"]["refusal"] == ""
    assert "canary" not in json.dumps(found)


def test_prefixes_are_those_of_a_run(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    prefixes = ("--root-prefix", "/ai", "--endpoint-prefixes", "openai:/o")
    path = ("--path", "/ai/o/v1/chat/completions")
    code, found = explained(capsys, config, "--model", "m", *prefixes, *path)
    assert (code, found["backends"][0]["asked"]["refusal"]) == (0, "")
    _, out, _ = answer(capsys, "translate", config, "--data-plane", "extproc", *prefixes)
    assert "/ai/cohere/v2/" in out
    _, out, _ = answer(capsys, "translate", config, "--to", "kubernetes", *prefixes)
    paths = {
        match["path"]["value"]
        for item in yaml.safe_load_all(out)
        if item["kind"] == "HTTPRoute"
        for found in item["spec"]["rules"]
        for match in found["matches"]
    }
    assert paths == {"/ai"}


def test_explain_shows_what_a_client_gets_without_a_route(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = explained(capsys, config, "--model", "unknown")
    assert (code, found["rule"]) == (1, "")
    assert found["answer"] == (
        "404: no route matches the model of this request; models on offer: other, m"
    )
    assert len(found["considered"]) == 2


def test_explain_shows_what_a_backend_refuses(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"model": "m", "messages": "not a list"}))
    code, found = explained(capsys, config, "--model", "m", "--body", str(body))
    assert code == 0
    assert found["backends"][1]["asked"]["refusal"].startswith("400: ")
    body.write_text(json.dumps({"model": "other", "messages": "not a list"}))
    code, found = explained(capsys, config, "--model", "other", "--body", str(body))
    assert (code, found["answer"]) == (1, "")


def test_explain_refuses_a_body_for_another_model(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"model": "other", "messages": []}))
    code, _, err = answer(capsys, "explain", config, "--model", "m", "--body", str(body))
    assert code == 1
    assert "the body asks for the model 'other', not for 'm'" in err


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/audio/transcriptions", "/v1/audio/transcriptions"),
        ("/v1/images/edits", "/v1/images/edits"),
        ("/v1/images/variations", "/v1/images/variations"),
        ("/v1/embeddings?x=1", "/v1/embeddings"),
        ("/cohere/v2/rerank", ""),
    ],
)
def test_explain_makes_up_a_request_for_every_endpoint(
    path: str, expected: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, found = explained(capsys, config, "--model", "m", "--path", path)
    assert found["backends"][0]["asked"]["url"].endswith(expected)
    assert "a body" not in found["backends"][0]["asked"]["refusal"]


def test_explain_shows_what_the_gateway_answers_itself(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = explained(capsys, config, "--model", "m", "--path", "/v1/models")
    assert (code, found["answer"]) == (0, "200: models on offer: other, m")
    code, found = explained(capsys, config, "--model", "m", "--path", "/nowhere")
    assert code == 1
    assert found["answer"].startswith("404: unsupported path: /nowhere")


def test_explain_hides_what_a_client_or_a_mutation_sends_as_a_credential(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = {"headerMutation": {"set": [{"name": "x-vendor-key", "value": "canary-1"}]}}
    path = tmp_path / "gateway.yaml"
    backends = [BackendSpec("main", 8001, extra=changed)]
    path.write_text(gateway_yaml(1975, backends, [rule("m", "main")]))
    sent = ("Authorization: Bearer canary-2", "Cookie: canary-3", "X-Auth-Token: canary-4")
    headers = [part for header in sent for part in ("--header", header)]
    _, out, err = answer(capsys, "explain", str(path), "--model", "m", *headers)
    assert "canary" not in out + err
    assert out.count("(hidden)") == 4


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (("validate", "/nowhere.yaml"), 1, "/nowhere.yaml: No such file"),
        (("explain", "{config}", "--model", "m", "--port", "9"), 1, "nothing listens on port 9"),
        (("explain", "{config}", "--model", "m", "--header", "x"), 80, "'x' is not NAME:VALUE"),
        (("explain", "{config}"), 80, "--model"),
        (("translate", "{config}", "-o", "/nowhere/x"), 1, "/nowhere/x: No such file"),
        (("nonsense",), 80, "nonsense"),
        (("run", ""), 80, "an empty path is none"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: tuple[str, ...],
    code: int,
    part: str,
    config: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found, _, err = answer(capsys, *(item.format(config=config) for item in arguments))
    assert found == code
    assert part in err.splitlines()[-1]


@pytest.mark.parametrize("data_plane", ["module", "extproc"])
def test_translate_prints_what_envoy_would_run(
    data_plane: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(SPLIT.replace("name: missing", "name: main"))
    code, out, err = answer(capsys, "translate", str(path), "--data-plane", data_plane)
    assert (code, err) == (0, "")
    document = yaml.safe_load(out)
    (listener,) = document["static_resources"]["listeners"]
    assert listener["address"]["socket_address"]["port_value"] == 1975
    assert "canary-key" not in out
    file = tmp_path / "envoy.json"
    arguments = ("--data-plane", data_plane, "--output", "json", "-o", str(file))
    assert answer(capsys, "translate", str(path), *arguments) == (0, "", "")
    assert json.loads(file.read_text()) == document


CLUSTER = """
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIGatewayRoute
metadata:
  name: chat
  namespace: team-a
  labels: {team: a}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}", note: mine}
spec:
  parentRefs: [{name: edge}]
  rules:
    - name: small
      matches: [{headers: [{name: x-ai-eg-model, value: small-model}]}]
      backendRefs: [{name: openai-east}, {name: other, namespace: team-b, priority: 1, weight: 2}]
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {name: openai-east, namespace: team-a}
spec:
  schema: {name: OpenAI}
  backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: openai-east}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {name: other, namespace: team-b}
spec:
  schema: {name: OpenAI}
  backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: other}
"""
GRANT = """
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: team-b}
spec:
  from: [{group: aigateway.envoyproxy.io, kind: AIGatewayRoute, namespace: team-a}]
  to: [{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: other}]
"""


@pytest.mark.parametrize("granted", [False, True])
def test_translate_prints_what_the_controller_adds(
    *, granted: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "route.yaml"
    path.write_text(CLUSTER + GRANT * granted)
    _, out, _ = answer(capsys, "translate", str(path), "--to", "kubernetes")
    route, rewrite, not_found = yaml.safe_load_all(out)
    assert route["metadata"] == {
        "name": "chat",
        "namespace": "team-a",
        "labels": {"team": "a"},
        "annotations": {
            "note": "mine",
            "gateway.envoyproxy.io/ai-gateway-generated": "true",
            "gateway.envoyproxy.io/backend-ref-priority": "0:openai-east:0,0:other:1",
        },
    }
    small, last = route["spec"]["rules"]
    backend = {"group": "gateway.envoyproxy.io", "kind": "Backend"}
    other = {**backend, "name": "other", "namespace": "team-b", "weight": 2}
    assert small == {
        "name": "small",
        "matches": [
            {
                "path": {"value": "/"},
                "headers": [{"name": "x-ai-eg-model", "value": "small-model"}],
            }
        ],
        "filters": [_extension("ai-eg-host-rewrite-chat")],
        "timeouts": {"request": "60s"},
        "backendRefs": [{**backend, "name": "openai-east"}, *([other] if granted else [])],
    }
    assert last == {
        "name": "route-not-found",
        "matches": [{"path": {"value": "/"}}],
        "filters": [_extension("ai-eg-route-not-found-response-chat")],
    }
    assert rewrite["spec"] == {"urlRewrite": {"hostname": {"type": "Backend"}}}
    assert not_found["spec"]["directResponse"]["statusCode"] == 404


POOL = CLUSTER.replace(
    "backendRefs: [{name: openai-east}, {name: other, namespace: team-b, priority: 1, weight: 2}]",
    "backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: other, "
    "namespace: team-b}]",
).replace("matches: [{headers: [{name: x-ai-eg-model, value: small-model}]}]", "matches: [{}]")


@pytest.mark.parametrize("granted", [False, True])
def test_a_pool_of_another_namespace_needs_a_grant_too(
    *, granted: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grant = GRANT.replace("AIServiceBackend", "InferencePool").replace(
        "to: [{group: aigateway.envoyproxy.io", "to: [{group: inference.networking.k8s.io"
    )
    path = tmp_path / "route.yaml"
    path.write_text(POOL + grant * granted)
    _, out, _ = answer(capsys, "translate", str(path), "--to", "kubernetes")
    small, _ = next(yaml.safe_load_all(out))["spec"]["rules"]
    assert [ref["namespace"] for ref in small["backendRefs"]] == ["team-b"] * granted
    assert small["matches"] == [{"path": {"value": "/"}}]


def _extension(name: str) -> dict[str, Any]:
    reference = {"group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": name}
    return {"type": "ExtensionRef", "extensionRef": reference}


def test_version_for_people_and_machines(capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = answer(capsys, "version")
    _, document, _ = answer(capsys, "version", "--output", "json")
    assert text == f"aigw {json.loads(document)['version']}\n"


def test_findings_stay_on_their_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text('apiVersion: "a/b"\nkind: "K\\n\\e[31m\\"q\\""\nmetadata: {name: "\\u2028"}\n')
    _, _, err = answer(capsys, "validate", str(path))
    assert len(err.splitlines()) == 2
    assert r'K\n\x1b[31m"q" default/\u2028' in err
    _, out, _ = answer(capsys, "validate", str(path), "--output", "json")
    assert json.loads(out)["findings"][0]["resource"]["kind"] == 'K\n\x1b[31m"q"'
