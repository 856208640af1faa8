"""Our files for Kubernetes, held against its schemas; what they name is there."""

import json
import re

import pytest
import yaml

from schemas import FOLDER, RELEASES, REPOSITORY, all_documents, documents, validator

FILES = all_documents()


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("file, number, document", FILES,
                         ids=[f"{file}-{number}" for file, number, _ in FILES])
def test_kubernetes_takes_it(release, file, number, document):
    problems = [f"{error.json_path}: {error.message}"
                for error in validator(release, document).iter_errors(document)]
    assert problems == []


@pytest.mark.parametrize("change", [
    lambda document: document["spec"]["template"]["spec"].update(hostNetwrok=True),
    lambda document: document["spec"].pop("selector"),
    lambda document: document["spec"]["template"]["spec"]["volumes"].append("x"),
])
def test_the_schemas_find_faults(change):
    document, = documents("gateway.yaml")
    change(document)
    assert list(validator(RELEASES[1], document).iter_errors(document))


def test_files_name_each_other():
    everything = {(one["kind"], one["metadata"]["name"]): one for _, _, one in FILES}
    names = {name for kind, name in everything if kind == "Namespace"}
    for _, _, one in FILES:
        assert one["metadata"].get("namespace", "kafka") in names
    for kind, name in (("DaemonSet", "slice-gateway"), ("StatefulSet", "broker")):
        pod = everything[kind, name]["spec"]["template"]
        selector = everything[kind, name]["spec"]["selector"]
        assert pod["metadata"]["labels"] == selector["matchLabels"]
        spec = pod["spec"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        volumes |= {claim["metadata"]["name"]: claim for claim in
                    everything[kind, name]["spec"].get("volumeClaimTemplates", [])}
        used = {mount["name"] for container in spec["containers"] + spec.get("initContainers", [])
                for mount in container["volumeMounts"]}
        assert used == set(volumes)
        for volume in volumes.values():
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in everything
        if "serviceAccountName" in spec:
            assert ("ServiceAccount", spec["serviceAccountName"]) in everything
    # Brokers run where the gateway is, and are what the mapping attaches.
    gateway = everything["DaemonSet", "slice-gateway"]["spec"]["template"]["spec"]
    brokers = everything["StatefulSet", "broker"]
    for key, value in brokers["spec"]["template"]["spec"]["nodeSelector"].items():
        assert gateway["nodeSelector"][key] == value
    plugin = json.loads(everything["ConfigMap", "slice-gateway"]["data"]["slice-cni.json"])
    mapping = plugin["namespaces"][brokers["metadata"]["namespace"]]
    assert f"{brokers['metadata']['name']}-0".startswith(mapping["pods"][0].rstrip("*"))
    the_slice, = documents("slice.yaml")
    assert mapping["slice"] == the_slice["metadata"]["name"]
    admitted = {one["name"] for one in the_slice["spec"]["namespaces"]}
    assert {one["namespace"] for one in plugin["namespaces"].values()} <= admitted


def test_the_configuration_is_the_gateways():
    """Only fields that gateway.conf knows."""
    data = next(one for _, _, one in FILES if one["kind"] == "ConfigMap"
                and one["metadata"]["name"] == "slice-gateway")["data"]
    config = yaml.safe_load(data["gateway.conf"])
    reference = (REPOSITORY / "gateway.conf").read_text()
    for key in [*config, *config["slices"][0]]:
        assert re.search(rf"(?m)^#? *(?:- )?{key}:", reference), key


def test_every_file_is_explained():
    readme = (FOLDER / "README.md").read_text()
    for path in FOLDER.iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in readme, path.name
