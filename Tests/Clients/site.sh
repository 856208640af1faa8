#!/bin/sh
# Installs the packages of Tests/Clients/requirements.txt into .build-python, or those of another
# suite into a folder of its own, if they are not there yet, and prints the folder:
#   KAFKA_PYTHON_SITE=$(Tests/Clients/site.sh)
#   KUBERNETES_SITE=$(Tests/Clients/site.sh Kubernetes)
set -eu
cd "$(dirname "$0")/../.."
folder=$PWD/.build-python${1:+-$1}
wanted=Tests/${1:-Clients}/requirements.txt
if ! cmp -s "$wanted" "$folder/requirements.txt"; then
    rm -rf "$folder"
    /usr/bin/python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --no-deps --target "$folder" --requirement "$wanted" >&2
    cp "$wanted" "$folder/requirements.txt"  # last: the sign that all of it is there
fi
printf '%s\n' "$folder"
