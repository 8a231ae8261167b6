"""Kubernetes objects held against the published types, strictly: an unknown key, a key that stands
twice, a missing required field and a value of another type are each an error."""
import json
import pathlib
import re
import subprocess

import yaml

SUPPORT = pathlib.Path(__file__).resolve().parents[1] / "support"


class StrictLoader(yaml.SafeLoader):
    """YAML 1.1 as Kubernetes' clients read it, with doubled keys as errors."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def documents(text):
    return [d for d in yaml.load_all(text, StrictLoader) if d is not None]


class Schema:
    def __init__(self):
        self.directory = pathlib.Path(
            subprocess.run([SUPPORT / "kubernetes_schema"], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.strip())
        self.fields, self.needed = {}, {}

    def load(self, name):
        """{field: type}, {required field} of a type."""
        if name not in self.fields:
            source = (self.directory / f"{name}.js").read_text()
            table = re.search(r"attributeTypeMap = (\[.*?\n\]);", source, re.S).group(1)
            self.fields[name] = {f["baseName"]: f["type"] for f in json.loads(table)}
            declared = (self.directory / f"{name}.d.ts").read_text()
            self.needed[name] = set(re.findall(r"^    '(\w+)': ", declared, re.M))
        return self.fields[name], self.needed[name]

    def type_of(self, document):
        version = document["apiVersion"].split("/")[-1]
        return f"V{version[1:]}{document['kind']}"

    def errors(self, document):
        return list(self.check(self.type_of(document), document, ""))

    def check(self, kind, value, where):
        if kind.startswith("Array<"):
            if not isinstance(value, list):
                yield f"{where}: not a list"
                return
            for i, item in enumerate(value):
                yield from self.check(kind[6:-1], item, f"{where}[{i}]")
        elif kind.startswith("{ [key: string]: "):
            if not isinstance(value, dict):
                yield f"{where}: not a map"
                return
            for key, item in value.items():
                yield from self.check(kind[17:-3], item, f"{where}.{key}")
        elif kind in PLAIN:
            if not isinstance(value, PLAIN[kind]) or (
                    isinstance(value, bool) and kind != "boolean"):
                yield f"{where}: {value!r} is not a {kind}"
        else:
            yield from self.check_object(kind, value, where)

    def check_object(self, kind, value, where):
        if not isinstance(value, dict):
            yield f"{where}: {value!r} is not a {kind}"
            return
        fields, needed = self.load(kind)
        for key, item in value.items():
            if key not in fields:
                yield f"{where}.{key}: {kind} has no such field"
            elif item is None:
                yield f"{where}.{key}: null"
            else:
                yield from self.check(fields[key], item, f"{where}.{key}")
        for key in sorted(needed - value.keys()):
            yield f"{where}: {kind} needs {key}"


PLAIN = {
    "string": str,
    "number": (int, float),
    "boolean": bool,
    "IntOrString": (int, str),
    "Date": str,
    "any": object,
}
