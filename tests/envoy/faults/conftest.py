"""Makes the gateway of `beds.faults` known to the tests of this folder."""

from __future__ import annotations

from beds.faults import _beds, beds, gateway

__all__ = ["_beds", "beds", "gateway"]
