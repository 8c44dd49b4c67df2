"""Backends that cannot serve an endpoint are skipped there."""

from aigw.plan import Plan
from beds.documents import compile_documents
from beds.resources import BackendSpec, Resource, gateway_yaml, rule


def plan_of(*refs: Resource, **schemas: str) -> Plan:
    """A route to backends of these schemas."""
    backends = [BackendSpec(name, 443, {"name": schema}) for name, schema in schemas.items()]
    plan = compile_documents(gateway_yaml(1975, backends, [rule("m", *refs)])).plan
    assert plan is not None
    return plan


def served(plan: Plan, path: str) -> list[list[str]]:
    """Backends by priority for requests to `path`, as the routes say."""
    matches = plan.ports[0].listeners[0].virtual_hosts[0].matches
    match = next(match for match in matches if not match.paths or path in match.paths)
    groups = plan.rules[match.rule].groups
    return [[member.backend.split("/")[1] for member in group.members] for group in groups]


def test_each_endpoint_has_the_backends_that_can_serve_it() -> None:
    refs = ({"name": "a", "weight": 3}, {"name": "c"}, {"name": "o", "priority": 1})
    plan = plan_of(*refs, a="Anthropic", c="Cohere", o="OpenAI")
    assert served(plan, "/v1/images/generations") == [["o"]]
    assert served(plan, "/cohere/v2/rerank") == [["c"]]
    assert served(plan, "/anthropic/v1/messages/count_tokens") == [["a"]]
    one = next(rule for rule in plan.rules.values() if served(plan, "/v1/images/generations"))
    assert one.timeouts.request_ms > 0


def test_one_group_that_is_left_is_not_retried() -> None:
    plan = plan_of({"name": "a"}, {"name": "o", "priority": 1}, a="Anthropic", o="OpenAI")
    retries = {
        tuple(group.members[0].backend.split("/")[1] for group in rule.groups): rule.retry
        for rule in plan.rules.values()
    }
    assert retries[("a", "o")] is not None
    assert retries[("o",)] is None


def test_an_endpoint_that_nobody_serves_keeps_all_backends() -> None:
    plan = plan_of({"name": "a"}, {"name": "c"}, a="Anthropic", c="Cohere")
    assert served(plan, "/v1/audio/speech") == [["a", "c"]]


def test_equal_backends_need_no_further_rule() -> None:
    plan = plan_of({"name": "a"}, {"name": "b"}, a="OpenAI", b="OpenAI")
    assert len(plan.rules) == 1
