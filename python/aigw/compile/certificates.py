"""Certificates, keys and authorities of Secrets and ConfigMaps, checked before Envoy sees them."""

from collections.abc import Sequence

from aigw.api.model import Resource
from aigw.api.references import LocalObjectReference, SecretObjectReference
from aigw.compile.grants import Reference, Values
from aigw.compile.index import Index
from aigw.compile.pem import authorities_fault, certificate_fault
from aigw.compile.report import Report
from aigw.errors import Code
from aigw.plan import Certificate


class Certificates:
    """What was found, by its key in the plan; what cannot be used is reported."""

    def __init__(self, index: Index, report: Report) -> None:
        """Nothing is read yet."""
        self._report = report
        self._values = Values(index, report)
        self.pairs: dict[str, Certificate] = {}
        self.authorities: dict[str, str] = {}

    def pair(self, reference: Reference) -> str | None:
        """The key of the certificate with its key in a Secret."""
        secret = self._values.secret(reference)
        if secret is None:
            return None
        chain, key = secret.values.get("tls.crt", ""), secret.values.get("tls.key", "")
        if fault := certificate_fault(chain, key):
            message = f"{secret.id}: {fault} (keys tls.crt and tls.key)"
            owner, path = reference.owner.id, reference.path
            self._report.error(owner, Code.INVALID_CREDENTIAL, path, message)
            return None
        self.pairs[secret.id.path] = Certificate(chain, key)
        return secret.id.path

    def bundle(
        self, owner: Resource, refs: Sequence[LocalObjectReference], path: str
    ) -> str | None:
        """The key of all authorities that an owner names; None when one of them is unusable."""
        texts = [
            self._authorities(owner, ref, f"{path}[{position}]")
            for position, ref in enumerate(refs)
        ]
        found = [text for text in texts if text]
        if len(found) < len(texts):
            return None
        self.authorities[str(owner.id)] = "\n".join(found)
        return str(owner.id)

    def _authorities(self, owner: Resource, ref: LocalObjectReference, path: str) -> str | None:
        target = SecretObjectReference(group=ref.group, kind=ref.kind, name=ref.name)
        holder = self._values.secret_or_config_map(Reference(owner, target, path))
        if holder is None:
            return None
        text = holder.values.get("ca.crt", "")
        if fault := authorities_fault(text):
            message = f"{holder.id}: the value of the key ca.crt {fault}"
            self._report.error(owner.id, Code.INVALID_CREDENTIAL, path, message)
            return None
        return text
