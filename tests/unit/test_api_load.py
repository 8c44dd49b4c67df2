"""Reading YAML: substitution, duplicates, hostile documents, Secret sources."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.api.load import Loaded, Source, load
from aigw.api.secret import Secret
from aigw.api.secret_sources import Environment
from aigw.errors import Code, Severity

BACKEND = """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {{name: {name}}}
spec:
  endpoints: [{{fqdn: {{hostname: {host}, port: {port}}}}}]
"""
SECRET = """
apiVersion: v1
kind: Secret
metadata:
  name: key
  annotations: {annotations}
stringData: {{apiKey: written}}
"""


def read(
    text: str, variables: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None
) -> Loaded:
    """Loads one file in a made-up environment."""

    def read_file(path: str) -> str:
        try:
            return (files or {})[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", path) from None

    return load([Source("gateway.yaml", text)], Environment(variables or {}, read_file))


def backend(**changes: str) -> str:
    """A Backend document."""
    return BACKEND.format(**{"name": "openai", "host": "api.example.com", "port": "443", **changes})


def secret_values(loaded: Loaded) -> dict[str, str]:
    """Values of the only resource, which is a Secret."""
    (resource,) = loaded.resources
    assert isinstance(resource, Secret)
    return resource.values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$HOST", "a.example"),
        ("${HOST}", "a.example"),
        ("x.$HOST.y", "x.a.example.y"),
        ("${NOTHING:-b.example}", "b.example"),
        ("${NOTHING-b.example}", "b.example"),
        ("${NOTHING:=b.example}", "b.example"),
        ("${EMPTY:-b.example}", "b.example"),
        ("${NOTHING:-${HOST}}", "a.example"),
        ("${HOST:+c.example}", "c.example"),
        ("${HOST:-b.example}", "a.example"),
    ],
)
def test_variables_are_replaced_in_string_values(text: str, expected: str) -> None:
    variables = {"HOST": "a.example", "EMPTY": ""}
    secret = SECRET.format(annotations="{}").replace("written", f'"{text}"')
    loaded = read(secret, variables)
    assert secret_values(loaded) == {"apiKey": expected}
    assert not loaded.diagnostics


@pytest.mark.parametrize("text", ["$", "a$", "$1", "${", "${a b}", "^.*-mini$", "$ HOST"])
def test_a_dollar_before_anything_else_stays(text: str) -> None:
    secret = SECRET.format(annotations="{}").replace("written", f"'{text}'")
    assert secret_values(read(secret)) == {"apiKey": text}


def test_two_dollars_are_one_dollar_and_no_variable() -> None:
    secret = SECRET.format(annotations="{}").replace("written", "'$$HOST'")
    assert secret_values(read(secret, {"HOST": "x"})) == {"apiKey": "$HOST"}


def test_an_unset_variable_without_default_is_empty_and_warned_about() -> None:
    loaded = read(SECRET.format(annotations="{}").replace("written", "${NOTHING}"))
    (finding,) = loaded.diagnostics
    assert finding.severity is Severity.WARNING
    assert finding.code is Code.UNSET_VARIABLE
    assert finding.field_path == "stringData.apiKey"
    assert "NOTHING" in finding.message


def test_an_unquoted_variable_can_be_a_number() -> None:
    loaded = read(backend(port="${PORT}"), {"PORT": "8443"})
    assert not loaded.diagnostics


def test_a_variable_cannot_change_the_structure_of_a_document() -> None:
    loaded = read(backend(host="${HOST}"), {"HOST": "x, port: 1}}]\nspec: {"})
    assert [finding.field_path for finding in loaded.diagnostics] == [
        "spec.endpoints[0].fqdn.hostname"
    ]


def test_a_variable_needs_no_quotes_inside_a_flow_mapping() -> None:
    document = SECRET.format(annotations="{}").replace("written", "${KEY:-a}")
    assert secret_values(read(document)) == {"apiKey": "a"}


def test_a_numeric_key_from_a_variable_stays_text() -> None:
    secret = SECRET.format(annotations="{}").replace("written", "${KEY}")
    assert secret_values(read(secret, {"KEY": "0123"})) == {"apiKey": "0123"}


def test_a_duplicate_is_an_error_that_names_both_places() -> None:
    loaded = read(backend() + "---" + backend(port="80"))
    (finding,) = loaded.diagnostics
    assert finding.code is Code.DUPLICATE
    assert str(finding).startswith("error: gateway.yaml:")
    assert "document 2" in str(finding)
    assert "document 1" in finding.message
    assert len(loaded.resources) == 1


def test_the_same_name_in_another_namespace_is_no_duplicate() -> None:
    other = backend().replace("name: openai", "name: openai, namespace: other")
    assert not read(backend() + "---" + other).diagnostics


def test_an_error_names_file_document_resource_and_field() -> None:
    loaded = read("---\n" + backend() + "---\n" + backend(name="b", port="0"))
    (finding,) = loaded.diagnostics
    assert str(finding) == (
        "error: gateway.yaml:10 (document 2): Backend default/b: "
        "spec.endpoints[0].fqdn.port: should be greater than or equal to 1"
    )


def test_documents_after_a_bad_one_are_read() -> None:
    loaded = read("kind: 1\n---" + backend())
    assert [resource.metadata.name for resource in loaded.resources] == ["openai"]


def test_null_means_absent() -> None:
    assert not read(backend() + "  tls: null\n").diagnostics


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [1", "invalid YAML"),
        ("[" * 100_000, "nested too deeply"),
        ("- " * 30_000, "nested too deeply"),
        ("a: &a [*a]", "its own parent"),
        ("a: 1\na: 2", "duplicate key a"),
        ("? [1]\n: 2", "keys must be text"),
        ("a: !!binary aGk=", "tag"),
        ("a: !!python/none 1", "tag"),
        ("\x00", "invalid YAML"),
        ("just text", "must be a mapping"),
        ("kind: Backend", "are required"),
    ],
)
def test_unreadable_documents_are_named_and_never_raise(text: str, part: str) -> None:
    (finding,) = read(text).diagnostics
    assert part in finding.message


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    (finding,) = read("\n".join(lines)).diagnostics
    assert "aliases included" in finding.message


@given(st.text(max_size=200))
def test_any_text_is_read_without_raising(text: str) -> None:
    read(text)


def test_a_secret_value_comes_from_the_environment() -> None:
    annotations = "{substitution.aigw.run/env/apiKey: KEY}"
    loaded = read(SECRET.format(annotations=annotations), {"KEY": "from-env"})
    assert secret_values(loaded) == {"apiKey": "from-env"}


def test_a_secret_value_comes_from_a_file_verbatim() -> None:
    annotations = "{substitution.aigw.run/file/apiKey: ~/token}"
    loaded = read(SECRET.format(annotations=annotations), files={"~/token": "from-file\n"})
    assert secret_values(loaded) == {"apiKey": "from-file\n"}


def test_the_environment_wins_over_the_file() -> None:
    annotations = "{substitution.aigw.run/file/apiKey: f, substitution.aigw.run/env/apiKey: KEY}"
    loaded = read(SECRET.format(annotations=annotations), {"KEY": "env"}, {"f": "file"})
    assert secret_values(loaded) == {"apiKey": "env"}


@pytest.mark.parametrize("kind", ["env", "file"])
def test_a_missing_source_keeps_the_written_value_with_a_warning(kind: str) -> None:
    loaded = read(SECRET.format(annotations=f"{{substitution.aigw.run/{kind}/apiKey: nowhere}}"))
    assert secret_values(loaded) == {"apiKey": "written"}
    assert [finding.code for finding in loaded.diagnostics] == [Code.SECRET_SOURCE]


def test_annotations_for_keys_that_do_not_exist_are_ignored() -> None:
    loaded = read(SECRET.format(annotations="{substitution.aigw.run/env/other: KEY}"), {"KEY": "x"})
    assert secret_values(loaded) == {"apiKey": "written"}


def test_string_data_wins_over_data_and_base64_is_checked() -> None:
    document = SECRET.format(annotations="{}") + "data: {apiKey: b2xk, other: b3RoZXI=}\n"
    assert secret_values(read(document)) == {"apiKey": "written", "other": "other"}
    (finding,) = read(document.replace("b2xk", "'%%secret%%'")).diagnostics
    assert finding.field_path == "data"
    assert "%%secret%%" not in str(finding)
