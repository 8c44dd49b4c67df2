"""What a request would do, without sending it: rule, backends, what each provider would be asked.

Start at `explain`.
"""

from aigw.explain.asking import Asked, Question
from aigw.explain.explanation import BackendView, Explanation, QuestionError, RuleView, explain
from aigw.explain.left_out import LeftOut, left_out_of

__all__ = [
    "Asked",
    "BackendView",
    "Explanation",
    "LeftOut",
    "Question",
    "QuestionError",
    "RuleView",
    "explain",
    "left_out_of",
]
