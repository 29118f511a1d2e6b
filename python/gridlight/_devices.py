"""The devices of this machine."""

import json
from typing import Any

from . import _gridlight


def devices() -> list[dict[str, Any]]:
    """The GPUs of this machine with driver and limits, each tried, and which one ``device="auto"`` takes and why."""
    return json.loads(_gridlight.devices())
