"""What a request would do, without sending it: rule, backends, what each provider would be asked.

Start at `explain`.
"""

from aigw.explain.explanation import Asked, BackendView, Explanation, Question, RuleView, explain
from aigw.explain.left_out import LeftOut, left_out_of

__all__ = [
    "Asked",
    "BackendView",
    "Explanation",
    "LeftOut",
    "Question",
    "RuleView",
    "explain",
    "left_out_of",
]
