"""The operator: objects of a cluster in; generated objects, statuses and filter configs out.

    watch (kopf) ─▶ Objects ─▶ View (pure: compiler, rendering, conditions) ─▶ Work ─▶ Api
                                 └▶ Plan for the extension server, configs for the data planes

Only `watch` knows kopf, only `api` knows the Kubernetes client. Everything that follows from the
objects is in the `View`, which is made anew, incrementally, when they have changed; what is
written is compared with the cluster object by object, so a lost event or a lost write is made
good by the next look.
"""

from aigw.controller.api import Api, ApiError
from aigw.controller.controller import Controller, Options
from aigw.controller.delivery import Delivery
from aigw.controller.pods import Pods

__all__ = ["Api", "ApiError", "Controller", "Delivery", "Options", "Pods"]
