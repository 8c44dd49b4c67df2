"""JSON Web Key Sets of token issuers, written down in the configuration.

One that Envoy cannot read makes it refuse the whole listener, so it is checked before. Only
public members are passed on: Envoy shows this part of its configuration to administrators.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

_COMMON = ("kid", "kty", "alg", "use")
_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_RSA_ALGORITHM = re.compile(r"[RP]S(256|384|512)")
_RSA_BYTES = (128, 1024)
_EXPONENT_BYTES = 4
_ED25519_BYTES = 32
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class _Curve:
    """A curve of FIPS 186: y² = x³ - 3x + b modulo p. `algorithm` is the one for its keys."""

    algorithm: str
    size: int
    p: int
    b: int

    def has(self, x: int, y: int) -> bool:
        return max(x, y) < self.p and (y * y - (x**3 - 3 * x + self.b)) % self.p == 0


_CURVES = {
    "P-256": _Curve(
        "ES256",
        32,
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    ),
    "P-384": _Curve(
        "ES384",
        48,
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        int(
            "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe814112"
            "0314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
            16,
        ),
    ),
    "P-521": _Curve(
        "ES512",
        66,
        2**521 - 1,
        int(
            "51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e1"
            "56193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
            16,
        ),
    ),
}


def public_keys(text: str) -> tuple[str, str]:
    """The set with public members only, and what is wrong with it (or empty)."""
    try:
        document = json.loads(text)
    except ValueError:
        return "", "is not JSON"
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or not keys:
        return "", "must be a JSON Web Key Set: an object with a list of keys"
    public: list[dict[str, str]] = []
    for number, key in enumerate(keys):
        if fault := _fault(key):
            return "", f"keys[{number}]: {fault}"
        names = (*_COMMON, *_MEMBERS[key["kty"]])
        public.append({name: key[name] for name in names if name in key})
    return json.dumps({"keys": public}, separators=(",", ":")), ""


def _fault(key: Any) -> str:  # noqa: ANN401 - any JSON
    if not isinstance(key, dict) or not isinstance(key.get("kty"), str):
        return "kty is required"
    kind = key["kty"]
    if kind not in _MEMBERS:
        return f"kty {kind} is not supported, only {', '.join(_MEMBERS)}"
    names = [name for name in (*_COMMON, *_MEMBERS[kind]) if name in key]
    if any(not isinstance(key[name], str) for name in names):
        return "its members must be texts"
    if missing := [name for name in _MEMBERS[kind] if name not in key]:
        return f"{missing[0]} is required"
    return {"RSA": _rsa_fault, "EC": _ec_fault, "OKP": _okp_fault}[kind](key)


def _rsa_fault(key: dict[str, str]) -> str:
    if "alg" in key and not _RSA_ALGORITHM.fullmatch(key["alg"]):
        return f"alg {key['alg']} is not for an RSA key"
    least, most = _RSA_BYTES
    modulus, exponent = _decoded(key["n"]).lstrip(b"\0"), _decoded(key["e"]).lstrip(b"\0")
    if not least <= len(modulus) <= most or not modulus[-1] & 1:
        return "n is not the modulus of an RSA key of at least 1024 bits"
    value = int.from_bytes(exponent)
    is_usual = 0 < len(exponent) <= _EXPONENT_BYTES and value > 1 and value & 1
    return "" if is_usual else "e is not the exponent of an RSA key"


def _ec_fault(key: dict[str, str]) -> str:
    curve = _CURVES.get(key["crv"])
    if curve is None:
        return f"crv {key['crv']} is not supported, only {', '.join(_CURVES)}"
    if key.get("alg", curve.algorithm) != curve.algorithm:
        return f"alg {key['alg']} is not for a key of {key['crv']}"
    x, y = _decoded(key["x"]), _decoded(key["y"])
    if len(x) != curve.size or len(y) != curve.size:
        return "x and y have not the length of its curve"
    is_point = curve.has(int.from_bytes(x), int.from_bytes(y))
    return "" if is_point else "x and y are not a point of its curve"


def _okp_fault(key: dict[str, str]) -> str:
    if key["crv"] != "Ed25519":
        return f"crv {key['crv']} is not supported, only Ed25519"
    if key.get("alg", "EdDSA") != "EdDSA":
        return f"alg {key['alg']} is not for a key of Ed25519"
    return "" if len(_decoded(key["x"])) == _ED25519_BYTES else "x is not a key of Ed25519"


def _decoded(text: str) -> bytes:
    """Base64url without padding; empty when it is not."""
    if not _BASE64URL.fullmatch(text):
        return b""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""
