"""Connections made ahead of requests: what all that have them must keep to."""

from aigw.api.model import Rule

PREDICTIVE_PRECONNECT = Rule(
    "EG-7",
    "!(has(self.connection) && has(self.connection.preconnect) && "
    "has(self.connection.preconnect.predictivePercent)) || "
    "(has(self.loadBalancer) && self.loadBalancer.type in ['Random', 'RoundRobin'])",
    "predictivePercent in preconnect policy only works with RoundRobin or Random load balancers",
)
