"""The extension service of Envoy Gateway: rewrites the xDS of AI routes.

`rewrite` and `name_endpoints` are the rewriting itself, pure functions over bytes and the plan;
`ExtensionServer` offers them by gRPC. The controller that makes the plan is another package.
"""

from aigw.extension.config_stream import ConfigStream
from aigw.extension.rewrite import Bundle, Rewritten, name_endpoints, rewrite
from aigw.extension.served import Served
from aigw.extension.server import ExtensionServer, ServerOptions
from aigw.extension.settings import Settings

__all__ = [
    "Bundle",
    "ConfigStream",
    "ExtensionServer",
    "Rewritten",
    "Served",
    "ServerOptions",
    "Settings",
    "name_endpoints",
    "rewrite",
]
