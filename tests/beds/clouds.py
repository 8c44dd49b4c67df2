"""The servers that give tokens: an OIDC issuer, AWS STS, Pod Identity, Entra ID, Google."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from beds.authority import Authority

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pytest


@dataclass(frozen=True, slots=True)
class Call:
    """A request that a server got; `host` is of the URL, also where it came by a proxy."""

    method: str
    host: str
    path: str
    headers: Mapping[str, str]
    body: str

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form."""
        return dict(parse_qsl(self.body))


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply."""

    status: int = 200
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: object, status: int = 200) -> Answer:
        """A JSON document."""
        return cls(status, json.dumps(value))


@dataclass(slots=True)
class Cloud:
    """A server with an answer by path; what is not known is 404. Answers can change at any time."""

    tls: ssl.SSLContext | None = None
    answers: dict[str, Answer | Callable[[Call], Answer]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None

    @property
    def host(self) -> str:
        """`localhost` and the port."""
        assert self._server is not None
        return f"localhost:{self._server.server_port}"

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"{'https' if self.tls else 'http'}://{self.host}"

    def called(self, path: str) -> list[Call]:
        """The requests for a path so far."""
        return [call for call in self.calls if call.path == path]

    def answer(self, call: Call) -> Answer:
        """Records a request and answers it."""
        self.calls.append(call)
        found = self.answers.get(call.path, Answer(404, "{}"))
        return found if isinstance(found, Answer) else found(call)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(cloud: Cloud) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            url = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            host = url.netloc or headers.get("host", "")
            answer = cloud.answer(Call(self.command, host, url.path, headers, body))
            content = answer.body.encode()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(answer.status)
                self.send_header("content-type", answer.content_type)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 - names that the base class looks for

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Handler


_OURS = re.compile(r"^(AWS|AZURE|GOOGLE|GCE|AI_GATEWAY|CLOUDSDK)_|_PROXY$|^SSL_CERT", re.IGNORECASE)


def forget_clouds(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Takes all credentials of the developer and of the machine away, and all proxies."""
    for name in filter(_OURS.search, list(os.environ)):
        monkeypatch.delenv(name)
    for name, value in nothing_around(folder).items():
        monkeypatch.setenv(name, value)


def nothing_around(folder: Path) -> dict[str, str]:
    """Variables for which no cloud is found around the process."""
    return {
        "HOME": str(folder),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "CLOUDSDK_CONFIG": str(folder),
        "NO_GCE_CHECK": "true",
    }


# --- what is asked of them ---


def oidc_issuer(cloud: Cloud, **members: Any) -> str:  # noqa: ANN401
    """An issuer at `/idp`; `members` are added to its discovery document. Its address."""
    issuer = f"{cloud.url}/idp"
    document = {"issuer": issuer, "token_endpoint": f"{issuer}/token", **members}
    cloud.answers["/idp/.well-known/openid-configuration"] = Answer.json(document)
    cloud.answers["/idp/token"] = Answer.json({"access_token": "oidc-token", "expires_in": 300})
    return issuer


def sts_keys(key_id: str, seconds: int = 3600) -> Answer:
    """The reply to AssumeRoleWithWebIdentity."""
    name = "AssumeRoleWithWebIdentity"
    keys = (
        f"<AccessKeyId>{key_id}</AccessKeyId><SecretAccessKey>s-{key_id}</SecretAccessKey>"
        f"<SessionToken>t-{key_id}</SessionToken><Expiration>{_in(seconds)}</Expiration>"
    )
    body = (
        f'<{name}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{name}Result>'
        f"<Credentials>{keys}</Credentials></{name}Result></{name}Response>"
    )
    return Answer(200, body, "text/xml")


def sts_error(code: str, message: str) -> Answer:
    """A refusal of STS."""
    fault = f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>"
    return Answer(403, f"<ErrorResponse><Error>{fault}</Error></ErrorResponse>", "text/xml")


def container_keys(key_id: str, seconds: int = 3600) -> Answer:
    """The reply of a container endpoint (Pod Identity), and of the instance metadata."""
    return Answer.json(
        {
            "Code": "Success",
            "AccessKeyId": key_id,
            "SecretAccessKey": f"s-{key_id}",
            "Token": f"t-{key_id}",
            "Expiration": _in(seconds),
        }
    )


def entra(cloud: Cloud, tenant: str) -> str:
    """A tenant of Entra ID; the path of its token endpoint."""
    base = f"{cloud.url}/{tenant}"
    document = {
        "issuer": f"{base}/v2.0",
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "token_endpoint": f"{base}/oauth2/v2.0/token",
    }
    cloud.answers[f"/{tenant}/v2.0/.well-known/openid-configuration"] = Answer.json(document)
    reply = {"access_token": "entra-token", "expires_in": 3599, "token_type": "Bearer"}
    path = f"/{tenant}/oauth2/v2.0/token"
    cloud.answers[path] = Answer.json(reply)
    return path


def google_token(token: str, seconds: int = 3600) -> Answer:
    """The reply of Google's token endpoints."""
    issued = "urn:ietf:params:oauth:token-type:access_token"
    reply = {"access_token": token, "expires_in": seconds, "token_type": "Bearer"}
    return Answer.json({**reply, "issued_token_type": issued})


def service_account(cloud: Cloud) -> dict[str, str]:
    """A key file whose token endpoint is `/google/token`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "type": "service_account",
        "project_id": "p",
        "client_email": "a@b.example",
        "private_key": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        "token_uri": f"{cloud.url}/google/token",
    }


def _in(seconds: int) -> str:
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """TLS for `localhost`, and the file of who vouches for it."""
    authority = Authority()
    file = folder / "ca.pem"
    file.write_text(authority.pem)
    return authority.server("localhost", "127.0.0.1"), file
