"""Plan to Envoy configuration and to the core's filter config.

`render_filter_config` and `render_credentials` make the documents of the runtime directory,
`render_envoy` the files of Envoy. Nothing here reads or writes files, and nothing given to
Envoy is secret.
"""

from aigw.render.envoy.arguments import log_arguments, log_targets
from aigw.render.envoy.config import (
    CDS_FILE,
    LDS_FILE,
    EnvoyConfig,
    bootstrap,
    render_envoy,
    self_contained,
)
from aigw.render.envoy.credentials import render_credentials
from aigw.render.envoy.egress import envoy_environment
from aigw.render.envoy.filter_config import Ledger, joined_filter_config, render_filter_config
from aigw.render.envoy.target import DataPlane, EnvoyTarget
from aigw.render.envoy.trust import system_ca_file

__all__ = [
    "CDS_FILE",
    "LDS_FILE",
    "DataPlane",
    "EnvoyConfig",
    "EnvoyTarget",
    "Ledger",
    "bootstrap",
    "envoy_environment",
    "joined_filter_config",
    "log_arguments",
    "log_targets",
    "render_credentials",
    "render_envoy",
    "render_filter_config",
    "self_contained",
    "system_ca_file",
]
