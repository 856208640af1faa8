"""Kubernetes' own schemas, and our files."""

import json
import os
from pathlib import Path

import jsonschema
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "Docs/Kubernetes"
# The oldest of which there are schemas that a cluster may still have, and the newest.
RELEASES = ("v1.27.0", "v1.37.0")


def documents(file):
    return [one for one in yaml.safe_load_all((FOLDER / file).read_text()) if one is not None]


def all_documents():
    return [(path.name, number, one) for path in sorted(FOLDER.glob("*.yaml"))
            for number, one in enumerate(documents(path.name)) if one["kind"] != "Slice"]


def validator(release, document):
    """For one object, strict: a field that the API server would drop is an error."""
    folder = (Path(os.environ["KUBERNETES_SITE"]) / "kubernetes_validate/kubernetes-json-schema"
              / f"{release}-local-strict")
    group, _, version = document["apiVersion"].rpartition("/")
    parts = [document["kind"].lower(), *([group.split(".")[0]] if group else []), version]
    path = folder / ("-".join(parts) + ".json")
    schema = json.loads(path.read_text())
    return jsonschema.Draft7Validator(schema, resolver=Offline(folder, schema))


class Offline(jsonschema.RefResolver):
    """The schemas call themselves by addresses; they are files beside each other."""

    read = {}

    def __init__(self, folder, schema):
        super().__init__("", schema)
        self.folder = folder

    def resolve_remote(self, address):
        path = self.folder / address.rsplit("/", 1)[-1]
        if path not in self.read:
            self.read[path] = json.loads(path.read_text())
        return self.read[path]


def slice_schema():
    """The Slice's, as the API server keeps it: what is not named is dropped, and here an error."""
    definition, = documents("crd.yaml")
    return definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def strict(schema):
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if "properties" in schema:
        made["properties"] = {key: strict(value) for key, value in schema["properties"].items()}
        # `metadata` is the API server's own.
        made["additionalProperties"] = False
    return made


def slice_problems(document):
    checker = jsonschema.Draft7Validator(strict(slice_schema()))
    return [f"{error.json_path}: {error.message}" for error in checker.iter_errors(document)]
