"""Writes a plan to where Envoy and the core read it."""

import json
from pathlib import Path
from typing import Any

import aigw
from aigw.plan import Plan
from aigw.render import envoy as rendering
from aigw.standalone.layout import Layout, write
from aigw.standalone.options import DataPlane, RunOptions

BOOTSTRAP = "bootstrap.json"
