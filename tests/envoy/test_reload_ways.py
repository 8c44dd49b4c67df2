"""Edits of the ways to providers while requests are running."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from typing import TYPE_CHECKING

import yaml
from test_reload import Editor, Load, base, status

from beds.gateway import run_gateway
from beds.resources import GROUP, BackendSpec, gateway_yaml, resource, rule
from beds.tunnels import ConnectProxy

if TYPE_CHECKING:
    from beds.ports import FreePorts
    from beds.provider import LoopThread, ProviderBed

FAR = {"fqdn": {"hostname": "far.test", "port": 80}}


def behind(port: int, proxy: int) -> str:
    """A Gateway whose provider is behind a proxy."""
    settings = {"forwardProxy": {"address": f"127.0.0.1:{proxy}"}}
    config = resource(f"{GROUP}/v1beta1", "GatewayConfig", "settings", **settings)
    text = gateway_yaml(port, [BackendSpec("far", 0, endpoint=FAR)], [rule("far", "far")], config)
    gateway, *others = yaml.safe_load_all(text)
    gateway["metadata"]["annotations"] = {f"{GROUP}/gateway-config": "settings"}
    return yaml.safe_dump_all([gateway, *others])


def test_another_proxy_is_used_at_once_and_no_request_fails(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed, loop_thread: LoopThread
) -> None:
    port = free_port()
    proxies = [ConnectProxy({"far.test:80": provider.port}) for _ in range(3)]
    with ExitStack() as stack:
        for proxy in proxies:
            stack.enter_context(proxy.running(loop_thread))
        texts = [behind(port, proxy.port) for proxy in proxies]
        gateway = stack.enter_context(run_gateway(*host, config=texts[0]))
        load = stack.enter_context(Load(port, ("far",)))
        gateway.wait_until(lambda: len(load.answers) > 20, "answers")
        for text, proxy in zip(texts[1:], proxies[1:], strict=True):
            Editor(gateway).write(text)
            gateway.wait_until(lambda proxy=proxy: proxy.asked, "use of the other proxy", 5)
    assert load.faults == []


def test_an_edit_may_be_the_first_to_need_the_proxy_of_the_environment(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed, loop_thread: LoopThread
) -> None:
    port = free_port()
    credentials = base64.b64encode(b"user:canary").decode()
    proxy = ConnectProxy({"far.test:80": provider.port}, f"Basic {credentials}")
    with proxy.running(loop_thread):
        extra = {"HTTP_PROXY": f"http://user:canary@127.0.0.1:{proxy.port}"}
        with run_gateway(*host, config=base(port, provider, "a"), extra=extra) as gateway:
            assert status(gateway, "a") == 200
            backends = [BackendSpec("far", 0, endpoint=FAR)]
            said = Editor(gateway).write(gateway_yaml(port, backends, [rule("far", "far")]))
            assert "next time" not in said
            assert status(gateway, "far") == 200
            assert "canary" not in gateway.errors
