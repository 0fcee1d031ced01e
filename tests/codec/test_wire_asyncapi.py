"""The machine-readable protocol is the one that is spoken."""

from __future__ import annotations

import re
from typing import Any

import yaml

from beaver_actors.codec.wire import REPLIES, REQUESTS
from beaver_actors.core.facts import EVENT_NAMES
from scripts.asyncapi import FILE, document, text

SPOKEN_OF = (
    "NewJobObject", "JobObject", "EventObject", "StatusObject", "QueueObject", "EventFilter",
    "RegisterRequest", "ReportObject", "ReportReceipt", "LeasedJobObject", "WorkerObject", "FleetObject",
)  # fmt: skip
"""Types whose fields stand in the prose too."""


def test_the_file_is_made_from_the_types() -> None:
    """After a change of a message: python scripts/asyncapi.py --write."""
    assert FILE.read_text(encoding="utf-8") == text()


def test_the_file_says_what_the_document_is() -> None:
    """Round trip through YAML."""
    assert yaml.safe_load(text()) == document()


def test_no_reference_leads_nowhere() -> None:
    """Every $ref is followed to its end."""
    whole = document()

    def follow(node: Any) -> int:
        if isinstance(node, list):
            return sum(map(follow, node))
        if not isinstance(node, dict):
            return 0
        if "$ref" in node:
            target: Any = whole
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            return 1
        return sum(map(follow, node.values()))

    assert follow(whole) > 100


def test_every_message_and_every_event_is_in_it() -> None:
    """Requests by their operation, pushes and errors by their type; prose names them all as well."""
    whole = document()
    assert set(whole["operations"]) == {str(r.__struct_config__.tag) for r in REQUESTS} | {"push"}
    schemas = whole["components"]["schemas"]
    types = {
        kind
        for schema in schemas.values()
        for kind in schema.get("properties", {}).get("type", {}).get("enum", [])
    }
    assert {str(reply.__struct_config__.tag) for reply in REPLIES} <= types
    assert schemas["EventObject"]["properties"]["event"]["enum"] == sorted(EVENT_NAMES.values())
    prose = (FILE.parent / "protocol.md").read_text(encoding="utf-8")
    fields = {field for name in SPOKEN_OF for field in schemas[name]["properties"]}
    named = set(re.findall(r"`([a-z_]+)`", prose))
    spoken = fields | set(whole["operations"]) - {"push"} | set(EVENT_NAMES.values())
    assert not spoken - named
