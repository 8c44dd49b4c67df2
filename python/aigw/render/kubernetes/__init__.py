"""Resources to the objects that a cluster needs beside them. Pure.

Start at `objects_of`.
"""

from aigw.render.kubernetes.routes import Surroundings, http_route, objects_of, route_filters

__all__ = ["Surroundings", "http_route", "objects_of", "route_filters"]
