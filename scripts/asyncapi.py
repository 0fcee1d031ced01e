"""Write `docs/asyncapi.yaml`, the machine-readable protocol, from the message types.

    python scripts/asyncapi.py            print it
    python scripts/asyncapi.py --write    write the file

`tests/codec/test_wire_asyncapi.py` holds the file against this.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import yaml

from beaver_actors.codec.wire import CBOR_PROTOCOL, JSON_PROTOCOL, REQUESTS, Error
from beaver_actors.codec.wire_oks import OKS
from beaver_actors.codec.wire_watch_messages import EventPush, EventsPush, GapPush, StatusPush
from beaver_actors.codec.wire_worker_messages import LeasePush, NoticePush

FILE = Path(__file__).parent.parent / "docs" / "asyncapi.yaml"

DESCRIPTION = f"""\
A durable job queue in one process. Every message is one JSON object in a text message (subprotocol
{JSON_PROTOCOL}, or none), or the same as a CBOR map in a binary message ({CBOR_PROTOCOL}). Replies have
the form of their request. `docs/protocol.md` is the same in prose.
"""

PUSHES: tuple[type[msgspec.Struct], ...] = (
    StatusPush,
    EventPush,
    EventsPush,
    GapPush,
    LeasePush,
    NoticePush,
)


def document() -> dict[str, Any]:
    """The whole document."""
    oks = list(dict.fromkeys(ok for group in OKS.values() for ok in group))
    messages: list[type[msgspec.Struct]] = [*REQUESTS, *oks, Error, *PUSHES]
    _, schemas = msgspec.json.schema_components(messages, ref_template="#/components/schemas/{name}")
    _tidy(schemas)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "beaver_actors",
            "version": "1",
            "description": " ".join(DESCRIPTION.split()),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:7440",
                "protocol": "ws",
                "description": "The default address. With a token set, send `Authorization: Bearer …`.",
            }
        },
        "channels": {
            "connection": {
                "address": "/ws",
                "description": "One WebSocket; requests and pushes share it.",
                "messages": {message.__name__: _ref("messages", message) for message in messages},
            }
        },
        "operations": {
            **{str(request.__struct_config__.tag): _operation(request) for request in REQUESTS},
            "push": {
                "action": "send",
                "channel": {"$ref": "#/channels/connection"},
                "summary": "To the holder of a subscription, and to workers.",
                "messages": [_channel_ref(push) for push in PUSHES],
            },
        },
        "components": {
            "messages": {message.__name__: _message(message, schemas) for message in messages},
            "schemas": schemas,
        },
    }


def _operation(request: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "action": "receive",
        "channel": {"$ref": "#/channels/connection"},
        "messages": [_channel_ref(request)],
        "reply": {
            "channel": {"$ref": "#/channels/connection"},
            "messages": [*map(_channel_ref, OKS[request]), _channel_ref(Error)],
        },
    }


def _message(message: type[msgspec.Struct], schemas: dict[str, Any]) -> dict[str, Any]:
    """A message, with the field that ties a reply to its request."""
    described: dict[str, Any] = {
        "name": message.__name__,
        "summary": schemas[message.__name__]["description"],
    }
    field = "id" if message in REQUESTS else "re" if "re" in message.__struct_fields__ else None
    if field is not None:
        described["correlationId"] = {"location": f"$message.payload#/{field}"}
    return {**described, "payload": _ref("schemas", message)}


def _tidy(schema: Any) -> None:
    """Descriptions become one line: docstrings are broken and indented for readers of the code.
    `discriminator` goes: AsyncAPI means something else by it, and the variants differ by their own `enum`."""
    if isinstance(schema, list):
        for item in schema:
            _tidy(item)
    elif isinstance(schema, dict):
        schema.pop("discriminator", None)
        for item in schema.values():
            _tidy(item)
        if isinstance(schema.get("description"), str):
            schema["description"] = " ".join(schema["description"].split())


def _ref(section: str, message: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/{section}/{message.__name__}"}


def _channel_ref(message: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/channels/connection/messages/{message.__name__}"}


class _Dumper(yaml.SafeDumper):
    """Without anchors: what occurs twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text() -> str:
    """The file's contents."""
    head = "# Generated by scripts/asyncapi.py from the types in beaver_actors/codec; do not edit.\n"
    return head + yaml.dump(document(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        FILE.write_text(text(), encoding="utf-8")
    else:
        print(text(), end="")
