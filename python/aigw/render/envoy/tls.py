"""Transport sockets with TLS, and the files with the certificates that they name.

Files are named by their content, so that a new certificate is a new configuration.
"""

import hashlib
from collections.abc import Mapping

from aigw.errors import RenderError
from aigw.plan import Listener, Plan, Tls, TlsParameters, Verification
from aigw.render.envoy.client_traffic import tls_parameters, validation_context
from aigw.render.envoy.names import Json, typed
from aigw.render.envoy.target import EnvoyTarget

_SOCKET = "envoy.transport_sockets.tls"
_CONTEXTS = "envoy.extensions.transport_sockets.tls.v3"
_ALPN = ["h2", "http/1.1"]
_VERSIONS = {"1.0": "TLSv1_0", "1.1": "TLSv1_1", "1.2": "TLSv1_2", "1.3": "TLSv1_3"}


def tls_files(plan: Plan) -> Mapping[str, str]:
    """Texts by file name, relative to `EnvoyTarget.xds_dir`."""
    texts = [text for pair in plan.certificates.values() for text in (pair.chain, pair.key)]
    return {_file(text): text for text in (*texts, *plan.authorities.values())}


def server_socket(plan: Plan, listener: Listener, target: EnvoyTarget) -> Json:
    """TLS to clients."""
    tls = listener.traffic.tls
    context = {
        "alpn_protocols": _ALPN,
        "tls_certificates": [_certificate(plan, key, target) for key in listener.certificates],
        **tls_parameters(tls),
    }
    required: Json = {}
    if validation := tls.validation:
        bundle = validation.authorities
        file = f"{target.xds_dir}/{_file(plan.authorities[bundle])}" if bundle else ""
        context["validation_context"] = validation_context(validation, file)
        # A resumed session would not be checked again.
        required = {
            "require_client_certificate": not validation.optional,
            "disable_stateless_session_resumption": True,
            "disable_stateful_session_resumption": True,
        }
    name = f"{_CONTEXTS}.DownstreamTlsContext"
    config = typed(name, common_tls_context=context, **required)
    return {"name": _SOCKET, "typed_config": config}


def upstream_socket(plan: Plan, tls: Tls, target: EnvoyTarget) -> Json:
    """TLS to a provider.

    Raises:
        RenderError: there is no file of trusted authorities.
    """
    context: Json = {}
    if tls.verification is not Verification.NONE:
        context["validation_context"] = {
            "trusted_ca": {"filename": _authorities(plan, tls, target)},
            **_names(tls),
        }
    if tls.client_certificate:
        context["tls_certificates"] = [_certificate(plan, tls.client_certificate, target)]
    if parameters := _parameters(tls.parameters):
        context["tls_params"] = parameters
    if tls.parameters.alpn:
        context["alpn_protocols"] = list(tls.parameters.alpn)
    name = f"{_CONTEXTS}.UpstreamTlsContext"
    asked = typed(name, common_tls_context=context, **_asked(tls))
    return {"name": _SOCKET, "typed_config": asked}


def is_address(name: str) -> bool:
    """Whether a valid host is an IP address."""
    return name.replace(".", "").isdigit() or ":" in name


def _asked(tls: Tls) -> Json:
    """The name that is asked for; endpoints with names of their own are checked for these."""
    if not tls.server_name:
        is_checked = tls.verification is not Verification.NONE and not tls.subject_alt_names
        return {"auto_host_sni": True, "auto_sni_san_validation": is_checked}
    return {} if is_address(tls.server_name) else {"sni": tls.server_name}


def _names(tls: Tls) -> Json:
    """Names of which the certificate must have one."""
    own = "IP_ADDRESS" if is_address(tls.server_name) else "DNS"
    names = [(item.type.value, item.value) for item in tls.subject_alt_names]
    if not names and tls.server_name:
        names = [(own, tls.server_name)]
    matchers = [{"san_type": san_type, "matcher": {"exact": value}} for san_type, value in names]
    return {"match_typed_subject_alt_names": matchers} if matchers else {}


def _parameters(written: TlsParameters) -> Json:
    """Envoy's defaults where nothing is written; a lower limit alone leaves the newest version."""
    highest = written.max_version or ("1.3" if written.min_version else "")
    fields: Json = {
        "tls_minimum_protocol_version": _VERSIONS.get(written.min_version),
        "tls_maximum_protocol_version": _VERSIONS.get(highest),
        "cipher_suites": list(written.ciphers),
        "ecdh_curves": list(written.curves),
        "signature_algorithms": list(written.signature_algorithms),
    }
    return {name: value for name, value in fields.items() if value}


def _authorities(plan: Plan, tls: Tls, target: EnvoyTarget) -> str:
    if tls.verification is Verification.OWN:
        return f"{target.xds_dir}/{_file(plan.authorities[tls.authorities])}"
    if not target.ca_file:
        name = tls.server_name or "a provider"
        message = f"TLS to {name} needs a file of trusted authorities"
        raise RenderError(message)
    return target.ca_file


def _certificate(plan: Plan, key: str, target: EnvoyTarget) -> Json:
    pair = plan.certificates[key]
    return {
        "certificate_chain": {"filename": f"{target.xds_dir}/{_file(pair.chain)}"},
        "private_key": {"filename": f"{target.xds_dir}/{_file(pair.key)}"},
    }


def _file(text: str) -> str:
    return f"tls/{hashlib.sha256(text.encode()).hexdigest()[:32]}.pem"
