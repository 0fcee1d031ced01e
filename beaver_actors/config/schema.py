"""The JSON Schema of the configuration file, for editors. Nothing here is used to judge a configuration.

msgspec writes it from the structs; the kinds that are written otherwise than they are kept (30 minutes are
`30m` in the file and 1800000 in the struct) put in their own form.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from beaver_actors.config.catalogue import CATALOGUE
from beaver_actors.config.settings import Config


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration file."""
    generated = msgspec.json.schema(Config)
    definitions = generated["$defs"]
    top = definitions.pop("Config")["properties"]
    for setting in CATALOGUE.values():
        properties = definitions[setting.section.capitalize()]["properties"] if setting.section else top
        if (shape := setting.shape) is not None:
            kinds = [*shape["type"], "null"] if setting.optional else shape["type"]
            properties[setting.key] = {"description": setting.meta.description, **shape, "type": kinds}
        properties[setting.key]["default"] = setting.write(setting.default)
    for name, section in definitions.items():
        # An empty section is allowed, because that is what is left when all in it is commented out.
        section["type"] = ["object", "null"]
        section["description"] = " ".join(section["description"].split())
        top[name.lower()] = {"$ref": f"#/$defs/{name}"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of a beaver_actors server",
        "type": ["object", "null"],
        "properties": top,
        "additionalProperties": False,
        "$defs": definitions,
    }


def schema_text() -> str:
    """Return the schema as it stands in `configs/beaver.schema.json`."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
