"""Certificate authorities over time: who signs, who is trusted, what is renewed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from aigw.controller.authorities import Authorities, AuthorityError, Pair, Usage

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LEAF = timedelta(days=10)


@pytest.fixture(scope="module")
def first() -> Authorities:
    return Authorities((), LEAF).kept(NOW)


def names_of(pem: bytes) -> list[str]:
    return [item.subject.rfc4514_string() for item in x509.load_pem_x509_certificates(pem)]


def issuer_of(pair: Pair) -> str:
    return x509.load_pem_x509_certificate(pair.chain).issuer.rfc4514_string()


def test_the_first_authority_signs_at_once_and_survives_its_secret(first: Authorities) -> None:
    pair = first.issue(["web.default.svc"], Usage.SERVER, NOW)
    again = Authorities.read(first.data(), LEAF)
    assert again.is_good(pair, NOW)
    assert again.kept(NOW) is again
    assert names_of(first.trusted(NOW)) == [issuer_of(pair)]


def test_a_certificate_names_what_it_is_for(first: Authorities) -> None:
    pair = first.issue(["aigw://gateway/default/edge"], Usage.CLIENT, NOW)
    certificate = x509.load_pem_x509_certificate(pair.chain)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == ["aigw://gateway/default/edge"]
    assert certificate.not_valid_after_utc == NOW + LEAF
    assert certificate.not_valid_before_utc < NOW


def test_a_certificate_is_renewed_ahead_of_its_end(first: Authorities) -> None:
    pair = first.issue(["web"], Usage.SERVER, NOW)
    assert first.is_good(pair, NOW + LEAF * 0.6)
    assert not first.is_good(pair, NOW + LEAF * 0.7)


def test_a_new_authority_is_trusted_before_it_signs_and_the_old_one_after_that(
    first: Authorities,
) -> None:
    lifetime = 24 * LEAF
    assert first.kept(NOW + lifetime * 0.6) is first
    due = NOW + lifetime * 0.7
    both = first.kept(due)
    old, new = names_of(both.trusted(due))
    assert issuer_of(both.issue(["web"], Usage.SERVER, due)) == old
    settled = due + lifetime * 0.06
    assert issuer_of(both.issue(["web"], Usage.SERVER, settled)) == new
    assert names_of(both.trusted(settled)) == [old, new]
    assert not both.is_good(first.issue(["web"], Usage.SERVER, settled), settled)
    ended = NOW + lifetime * 1.01
    assert names_of(both.kept(ended).trusted(ended)) == [new]


def test_no_certificate_outlives_its_authority(first: Authorities) -> None:
    late = NOW + 24 * LEAF - timedelta(hours=1)
    pair = first.issue(["web"], Usage.SERVER, late)
    end = x509.load_pem_x509_certificate(pair.chain).not_valid_after_utc
    assert end == NOW + 24 * LEAF


def test_an_authority_that_ended_unnoticed_is_replaced(first: Authorities) -> None:
    later = NOW + 100 * LEAF
    kept = first.kept(later)
    assert len(kept.all) == 1
    assert kept.is_good(kept.issue(["web"], Usage.SERVER, later), later)


def test_foreign_and_damaged_certificates_are_not_good(first: Authorities) -> None:
    other = Authorities((), LEAF).kept(NOW)
    assert not first.is_good(other.issue(["web"], Usage.SERVER, NOW), NOW)
    assert not first.is_good(Pair(b"nonsense", b""), NOW)
    mine, also_mine = (first.issue(["web"], Usage.SERVER, NOW) for _ in range(2))
    assert not first.is_good(Pair(mine.chain, also_mine.key), NOW)


@pytest.mark.parametrize("key", ["ca.crt", "ca.key"])
@pytest.mark.parametrize("value", [b"", b"nonsense", None])
def test_a_damaged_secret_is_told_apart(first: Authorities, key: str, value: bytes | None) -> None:
    data = {**first.data()}
    del data[key]
    if value is not None:
        data[key] = value
    with pytest.raises(AuthorityError, match="damaged"):
        Authorities.read(data, LEAF)
