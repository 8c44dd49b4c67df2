"""A provider as one rule uses it."""

from dataclasses import dataclass

from aigw.plan.costs import Cost
from aigw.plan.credentials import Auth
from aigw.plan.endpoint import Endpoint
from aigw.plan.tls import Tls


@dataclass(frozen=True, slots=True)
class Schema:
    """API that a provider speaks; `prefix` as written, with or without slashes.

    `chat_only`: an OpenAI-compatible server without completions and responses.
    """

    name: str
    prefix: str = ""
    version: str = ""
    chat_only: bool = False


@dataclass(frozen=True, slots=True)
class HeaderMutation:
    """Header changes before an attempt; names are lower case, removals come first."""

    set: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BodyMutation:
    """Changes of the provider's JSON body: (path, value) pairs, removals come first."""

    set: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Backend:
    """One backendRef of one rule, with everything an attempt against it needs.

    `name` is `<ns>/<backend>/route/<route>/rule/<i>/ref/<j>`, `backend` and `route` are
    `<ns>/<name>`; the name ends in `@<ns>/<gateway>` where another Gateway reaches it otherwise.
    `host` is the host of the first endpoint: signatures cover it. `http2`: plain HTTP/2 without
    negotiation. `is_fallback`: after the others of its priority. `price_list` is the id of that of
    its provider, empty where there is none.
    """

    name: str
    backend: str
    route: str
    schema: Schema
    endpoints: tuple[Endpoint, ...]
    host: str
    tls: Tls | None = None
    model_name_override: str = ""
    auth: Auth | None = None
    header_mutation: HeaderMutation = HeaderMutation()
    body_mutation: BodyMutation = BodyMutation()
    costs: tuple[Cost, ...] = ()
    http2: bool = False
    is_fallback: bool = False
    price_list: str = ""
