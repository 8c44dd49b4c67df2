"""Certificates and keys: refused where Envoy would refuse a whole listener for them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from aigw.compile.pem import authorities_fault, certificate_fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNREADABLE = "the certificate or its private key cannot be read"
FOREIGN = "the private key does not belong to the first certificate"
KINDS = "only keys of RSA, P-256, P-384, P-521 and Ed25519 are supported"
EMPTY = "-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    chain: str
    key: str


@pytest.fixture
def openssl(tmp_path: Path) -> Callable[..., str]:
    """Runs the command in a folder of its own and returns its output."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("makes its certificates with the openssl command")

    def run(*arguments: str, text: str = "") -> str:
        done = subprocess.run(
            [program, *arguments], cwd=tmp_path, input=text, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def new_pair(openssl: Callable[..., str], tmp_path: Path) -> Callable[..., Pair]:
    """Makes a self-signed certificate."""

    def new(*kind: str) -> Pair:
        files = ("-keyout", "key.pem", "-out", "chain.pem")
        openssl("req", "-x509", "-nodes", "-subj", "/CN=test", "-newkey", *kind, *files)
        return Pair((tmp_path / "chain.pem").read_text(), (tmp_path / "key.pem").read_text())

    return new


def curve(name: str) -> tuple[str, ...]:
    """What makes a key on a curve."""
    return ("ec", "-pkeyopt", f"ec_paramgen_curve:{name}")


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (("rsa:2048",), None),
        (curve("P-256"), None),
        (curve("P-384"), None),
        (curve("P-521"), None),
        (("ed25519",), None),
        (("rsa:1024",), UNREADABLE),
        (curve("P-224"), KINDS),
        (curve("secp256k1"), KINDS),
        (("rsa-pss",), KINDS),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_keys_are_of_the_kinds_that_envoy_takes(
    kind: tuple[str, ...], fault: str | None, new_pair: Callable[..., Pair]
) -> None:
    pair = new_pair(*kind)
    assert certificate_fault(pair.chain, pair.key) == fault


def test_texts_are_read_as_envoy_reads_its_two_files(
    openssl: Callable[..., str], new_pair: Callable[..., Pair]
) -> None:
    own, other = new_pair(*curve("P-256")), new_pair(*curve("P-256"))
    encrypted = openssl("pkcs8", "-topk8", "-passout", "pass:x", text=own.key)
    windows = [text.replace("\n", "\r\n") for text in (own.chain, own.key)]
    cases = {
        (own.chain + other.chain, own.key): None,
        (windows[0], windows[1]): None,
        (f"# Főtanúsítvány\n{own.chain}", own.key): None,
        (own.chain, other.key): FOREIGN,
        (other.chain + own.chain, own.key): FOREIGN,
        (own.chain + own.key, other.key): FOREIGN,
        (own.chain, other.key + own.key): FOREIGN,
        (own.chain, encrypted): "the private key is encrypted",
        (own.chain + EMPTY, own.key): UNREADABLE,
        (own.chain[:200], own.key): UNREADABLE,
        (f"\ufeff{own.chain}", own.key): "the certificate is not PEM",
        (own.chain, f"\ufeff{own.key}"): "the private key is not PEM",
        (own.key, own.key): "the certificate is not PEM",
        (own.chain, own.chain): "the private key is not PEM",
    }
    assert {pair: certificate_fault(*pair) for pair in cases} == cases


def test_bundles_of_authorities_may_have_comments(new_pair: Callable[..., Pair]) -> None:
    chain = new_pair(*curve("P-256")).chain
    assert authorities_fault(f"# Főtanúsítvány\n{chain}\n{chain}") is None
    assert authorities_fault(f"\ufeff{chain}") == "is not PEM"
    assert authorities_fault(chain + EMPTY) == "cannot be read"
