"""The Chrome trace event format as a JSON schema, written from its public document.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: the object format, and of the events
complete (X), counter (C), metadata (M) and flow (s, t, f) ones, all that we write.
"""

from typing import Any

_TIMES = {"type": "number", "minimum": 0}
_IDS = {"type": ["integer", "string"]}


def _event(phases: list[str], required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "if": {"properties": {"ph": {"enum": phases}}},
        "then": {"required": required, "properties": properties},
    }


CHROME_TRACE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["traceEvents"],
    "properties": {
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "traceEvents": {"type": "array", "items": {"$ref": "#/$defs/event"}},
    },
    "$defs": {
        "event": {
            "type": "object",
            "required": ["ph", "pid", "name"],
            "properties": {
                "ph": {"enum": ["X", "C", "M", "s", "t", "f"]},
                "pid": {"type": "integer"},
                "tid": {"type": "integer"},
                "name": {"type": "string", "minLength": 1},
                "cat": {"type": "string"},
                "args": {"type": "object"},
            },
            "allOf": [
                _event(["X"], ["ts", "dur", "tid"], ts=_TIMES, dur=_TIMES),
                _event(["C"], ["ts", "args"], ts=_TIMES, args={"additionalProperties": {"type": "number"}}),
                _event(["s", "t", "f"], ["ts", "tid", "id", "cat"], ts=_TIMES, id=_IDS),
                _event(["f"], [], bp={"const": "e"}),
                _event(
                    ["M"],
                    ["args"],
                    name={
                        "enum": [
                            "process_name",
                            "process_labels",
                            "process_sort_index",
                            "thread_name",
                            "thread_sort_index",
                        ]
                    },
                ),
            ],
        }
    },
}
"""Validates a whole trace file."""
