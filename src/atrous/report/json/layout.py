"""JSON that people can read too."""

from __future__ import annotations

import json
from typing import Any


def as_json(value: Any, indent: str = "") -> str:
    """JSON with a line per entry, but lists of numbers and texts on a line of their own.

    >>> print(as_json({"shape": [1, 2], "rows": [[1, 2], [3, 4]]}))
    {
      "shape": [1, 2],
      "rows": [
        [1, 2],
        [3, 4]
      ]
    }
    """
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        told = [f"{json.dumps(str(k))}: {as_json(v, deeper)}" for k, v in value.items()]
    elif isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        told = [as_json(item, deeper) for item in value]
    else:
        return json.dumps(value)
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n{deeper}" + f",\n{deeper}".join(told) + f"\n{indent}{last}"
