"""Request headers that become attributes, by variables of the environment."""

from __future__ import annotations

import pytest

from aigw.plan import Attributes
from aigw.standalone.attributes import BASE, LOGS, METRICS, attributes
from aigw.standalone.errors import RunError


def test_logs_know_one_header_and_metrics_none() -> None:
    assert attributes({}) == Attributes((), (("agent-session-id", "session.id"),))


def test_a_signal_has_its_own_mapping_over_the_common_one() -> None:
    environment = {BASE: "x-a:a, X-B : b:c", METRICS: "x-a:own,x-c:c", LOGS: ""}
    common = (("x-a", "a"), ("x-b", "b:c"))
    assert attributes(environment) == Attributes(
        (("x-a", "own"), ("x-b", "b:c"), ("x-c", "c")), common
    )


def test_of_two_attributes_of_a_header_the_later_wins() -> None:
    assert attributes({METRICS: "x-a:one,X-A:two"}).metrics == (("x-a", "two"),)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            BASE,
            "x-a:a,,x-b:b",
            "invalid request header attributes: empty header-attribute pair at position 2",
        ),
        (
            METRICS,
            "x-a",
            "invalid metrics request header attributes: invalid header-attribute pair at "
            'position 1: "x-a" (expected format: header:attribute)',
        ),
        (
            LOGS,
            "x-a:a, :b",
            'invalid log request header attributes: empty header or attribute at position 2: ":b"',
        ),
    ],
)
def test_a_wrong_mapping_is_named(name: str, text: str, message: str) -> None:
    with pytest.raises(RunError) as error:
        attributes({name: text})
    assert str(error.value) == message
