"""Settings of TLS to providers: shared by Backend and EnvoyProxy."""

from typing import ClassVar, Literal

from pydantic import Field

from aigw.api.fields import Text
from aigw.api.model import ApiModel, Rule
from aigw.api.references import SecretObjectReference

TLSVersion = Literal["Auto", "1.0", "1.1", "1.2", "1.3"]
_ORDER = "{'1.0': 1, '1.1': 2, '1.2': 3, '1.3': 4}"


class BackendTLSConfig(ApiModel):
    """Versions, algorithms, and the certificate that the gateway shows of itself."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "TLS-1",
            "has(self.minVersion) && self.minVersion == '1.3' ? !has(self.ciphers) : true",
            "setting ciphers has no effect if the minimum possible TLS version is 1.3",
        ),
        Rule(
            "TLS-2",
            "has(self.maxVersion) && self.maxVersion != 'Auto' ? "
            "(has(self.minVersion) && self.minVersion != 'Auto' ? "
            f"{_ORDER}[self.minVersion] : 3) <= {_ORDER}[self.maxVersion] : true",
            "minVersion must be smaller or equal to maxVersion",
        ),
    )

    client_certificate_ref: SecretObjectReference | None = None
    """A Secret with `tls.crt` and `tls.key`."""
    min_version: TLSVersion | None = None
    max_version: TLSVersion | None = None
    ciphers: list[Text] = Field(default_factory=list)
    ecdh_curves: list[Text] = Field(default_factory=list)
    signature_algorithms: list[Text] = Field(default_factory=list)
    alpn_protocols: list[Literal["http/1.0", "http/1.1", "h2"]] = Field(default_factory=list)
