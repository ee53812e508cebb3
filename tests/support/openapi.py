"""Compares answers with docs/openapi.json, strictly: what is not described is an error."""

import json
import os

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def _is_of(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, _TYPES[name])


class Description:
    def __init__(self, document=None):
        if document is None:
            with open(os.path.join(REPOSITORY, "docs", "openapi.json"), encoding="utf-8") as file:
                document = json.load(file)
        self.document = document
        self.paths = document["paths"]

    def schema_of(self, path, method="get", status="200", content="application/json"):
        answer = self.resolved(self.paths[path][method]["responses"][status])
        return answer["content"][content]["schema"]

    def resolved(self, part):
        while "$ref" in part:
            at = self.document
            for step in part["$ref"].removeprefix("#/").split("/"):
                at = at[step]
            part = at
        return part

    def problems(self, value, schema, place="$"):
        """What of `value` is not as `schema` says, in words; empty: nothing. The keywords of JSON Schema that the
        document uses, and no others."""
        schema = self.resolved(schema)
        unknown = set(schema) - {"type", "properties", "required", "additionalProperties", "items", "enum", "description",
                                 "minimum", "maximum", "default"}
        assert not unknown, f"{place}: {unknown} is not checked"
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(_is_of(value, name) for name in names):
            return [f"{place} is {value!r}, no {' or '.join(names)}"]
        if "enum" in schema and value not in schema["enum"]:
            return [f"{place} is {value!r}, none of {schema['enum']}"]
        found = []
        if isinstance(value, dict):
            properties = schema.get("properties", {})
            found += [f"{place} has no {name}" for name in schema.get("required", []) if name not in value]
            for name, member in value.items():
                if name in properties:
                    found += self.problems(member, properties[name], f"{place}.{name}")
                    continue
                rest = schema.get("additionalProperties", False)
                if rest is False:
                    found.append(f"{place}.{name} is not described")
                elif rest is not True:
                    found += self.problems(member, rest, f"{place}.{name}")
        elif isinstance(value, list):
            for number, item in enumerate(value):
                found += self.problems(item, schema["items"], f"{place}[{number}]")
        return found
