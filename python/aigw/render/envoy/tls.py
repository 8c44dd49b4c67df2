"""Transport sockets with TLS, and the files with the certificates that they name.

Files are named by their content, so that a new certificate is a new configuration.
"""

import hashlib
from collections.abc import Mapping

from aigw.errors import RenderError
from aigw.plan import Listener, Plan, Tls, Verification
from aigw.render.envoy.client_traffic import tls_parameters, validation_context
from aigw.render.envoy.names import Json, typed
from aigw.render.envoy.target import EnvoyTarget

_SOCKET = "envoy.transport_sockets.tls"
_CONTEXTS = "envoy.extensions.transport_sockets.tls.v3"
_ALPN = ["h2", "http/1.1"]


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
    is_ip = tls.server_name.replace(".", "").isdigit() or ":" in tls.server_name
    context: Json = {}
    if tls.verification is not Verification.NONE:
        san_type = "IP_ADDRESS" if is_ip else "DNS"
        context["validation_context"] = {
            "trusted_ca": {"filename": _authorities(plan, tls, target)},
            "match_typed_subject_alt_names": [
                {"san_type": san_type, "matcher": {"exact": tls.server_name}}
            ],
        }
    if tls.client_certificate:
        context["tls_certificates"] = [_certificate(plan, tls.client_certificate, target)]
    sni = {} if is_ip else {"sni": tls.server_name}
    name = f"{_CONTEXTS}.UpstreamTlsContext"
    return {"name": _SOCKET, "typed_config": typed(name, common_tls_context=context, **sni)}


def _authorities(plan: Plan, tls: Tls, target: EnvoyTarget) -> str:
    if tls.verification is Verification.OWN:
        return f"{target.xds_dir}/{_file(plan.authorities[tls.authorities])}"
    if not target.ca_file:
        message = f"TLS to {tls.server_name} needs a file of trusted authorities"
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
