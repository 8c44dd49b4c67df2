"""When an object of the cluster is as it should be."""

from __future__ import annotations

import copy
from typing import Any

from aigw.controller.generated import complete, filters_of, foreign_fields, is_in_place
from aigw.controller.objects import Objects
from aigw.controller.view import Viewer
from aigw.plan import EndpointPrefixes
from beds.cluster_objects import backend, gateway, route

Json = dict[str, Any]


def wanted(kind: str, name: str) -> Json:
    objects = Objects()
    for document in (gateway(), *backend("a"), route("chat", ("m", "a"))):
        objects.put(document)
    view = Viewer(EndpointPrefixes()).view(objects)
    found = next(key for key in view.generated if (key.kind, key.name) == (kind, name))
    generated = view.generated[found]
    owner = objects.get(generated.owner)
    assert owner
    return complete(generated, owner)


def stored(document: Json) -> Json:
    """As an API server has it, with defaults and without empty lists."""
    live = copy.deepcopy(document)
    live["spec"].pop("hostnames")
    live["spec"]["rules"][0]["matches"][0]["path"]["type"] = "PathPrefix"
    live["spec"]["rules"][0]["backendRefs"][0]["weight"] = 1
    live["metadata"]["labels"] = {"of": "somebody else"}
    return live


def test_defaults_and_labels_of_others_are_no_difference() -> None:
    http = wanted("HTTPRoute", "chat")
    assert is_in_place(http, stored(http))
    assert foreign_fields(http, stored(http)) is None


def test_a_field_that_others_have_added_is_a_difference_wherever_it_is() -> None:
    http = wanted("HTTPRoute", "chat")
    for place in (
        lambda spec: spec["rules"][0]["matches"][0],
        lambda spec: spec["rules"][1],
        lambda spec: spec["rules"][0]["backendRefs"][0],
        lambda spec: spec,
    ):
        live = stored(http)
        place(live["spec"])["forged"] = True
        assert not is_in_place(http, live)


def test_what_applying_does_not_take_back_is_patched_away() -> None:
    rewrite = wanted("HTTPRouteFilter", "ai-eg-host-rewrite-chat")
    live = copy.deepcopy(rewrite)
    live["spec"]["urlRewrite"]["path"] = {"type": "Forged"}
    live["spec"]["credentialInjection"] = {}
    assert not is_in_place(rewrite, live)
    assert foreign_fields(rewrite, live) == {
        "spec": {"urlRewrite": {"path": None}, "credentialInjection": None}
    }


def test_an_http_route_names_its_filters() -> None:
    names = {identity.name for identity in filters_of(wanted("HTTPRoute", "chat"))}
    assert names == {"ai-eg-host-rewrite-chat", "ai-eg-route-not-found-response-chat"}
