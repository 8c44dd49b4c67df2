"""Secret values from the environment and from files, named by annotations.

    substitution.aigw.run/env/<key>: NAME
    substitution.aigw.run/file/<key>: PATH

Only keys that the Secret already has are replaced; the environment wins over the file.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from aigw.api.secret import Secret
from aigw.errors import Code, Diagnostic, Severity

ENV = "substitution.aigw.run/env/"
FILE = "substitution.aigw.run/file/"


@dataclass(frozen=True, slots=True)
class Environment:
    """What surrounds the configuration: variables, and how a file is read.

    `read_file` gets the path as written (`~/` included) and raises OSError. `unset_secret` stands
    in a Secret for a variable that is not set: configurations are also read where nobody has
    the keys.
    """

    variables: Mapping[str, str]
    read_file: Callable[[str], str]
    unset_secret: str = ""


def fill_in(secret: Secret, environment: Environment) -> tuple[Secret, tuple[Diagnostic, ...]]:
    """The Secret with its annotated values replaced, and warnings for those that could not be."""
    values: dict[str, str] = {}
    findings: list[Diagnostic] = []
    for key in secret.values:
        for value in _sources(secret, key, environment):
            if isinstance(value, str):
                values[key] = value
                break
            findings.append(value)
    if not values:
        return secret, tuple(findings)
    filled = secret.renamed(string_data={**secret.string_data, **values})
    return filled, tuple(findings)


def _sources(secret: Secret, key: str, environment: Environment) -> Iterator[str | Diagnostic]:
    annotations = secret.metadata.annotations
    if name := annotations.get(ENV + key):
        yield environment.variables.get(name) or _warning(
            secret, ENV + key, f"the variable {name} is unset or empty, the written value is kept"
        )
    if path := annotations.get(FILE + key):
        yield _file(secret, key, path, environment)


def _file(secret: Secret, key: str, path: str, environment: Environment) -> str | Diagnostic:
    try:
        return environment.read_file(path)
    except (OSError, ValueError) as error:
        # A path can hold what no path may hold.
        reason = getattr(error, "strerror", None) or "the path or the content is not text"
        message = f"cannot read {path} ({reason}), the written value is kept"
        return _warning(secret, FILE + key, message)


def _warning(secret: Secret, annotation: str, message: str) -> Diagnostic:
    return Diagnostic(
        Code.SECRET_SOURCE,
        Severity.WARNING,
        message,
        secret.id,
        f'metadata.annotations["{annotation}"]',
    )
