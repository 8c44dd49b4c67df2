"""Names of rules and backends that Gateways have in common, or with other settings."""

from collections.abc import Mapping
from dataclasses import replace

from aigw.compile.routes import CompiledRule
from aigw.plan import Backend, BackendGroup, Member, Rule


def distinct(
    item: CompiledRule,
    gateway: str,
    rules: Mapping[str, Rule],
    backends: Mapping[str, Backend],
) -> CompiledRule:
    """The same rule, with other names for what another Gateway has with other settings.

    `rules` and `backends` are those that have their names already.
    """
    suffix = f"@{gateway}"
    names = {
        backend.name: backend.name + suffix
        for backend in item.backends
        if backends.get(backend.name, backend) != backend
    }
    if names:
        item = _with_backends(item, names)
    if all(rules.get(rule.id, rule) == rule for rule in item.rules):
        return item
    narrowed = tuple((replace(rule, id=rule.id + suffix), paths) for rule, paths in item.narrowed)
    return replace(item, rule=replace(item.rule, id=item.rule.id + suffix), narrowed=narrowed)


def _with_backends(item: CompiledRule, names: Mapping[str, str]) -> CompiledRule:
    def renamed(rule: Rule) -> Rule:
        groups = tuple(
            BackendGroup(
                tuple(
                    Member(names.get(one.backend, one.backend), one.weight) for one in group.members
                )
            )
            for group in rule.groups
        )
        return replace(rule, groups=groups)

    return replace(
        item,
        rule=renamed(item.rule),
        narrowed=tuple((renamed(rule), paths) for rule, paths in item.narrowed),
        backends=tuple(
            replace(backend, name=names.get(backend.name, backend.name))
            for backend in item.backends
        ),
    )
