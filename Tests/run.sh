#!/bin/bash
# Builds once and runs every suite; the last line counts them. `run.sh NAME...` runs only those.
set -u
cd "$(dirname "$0")/.."
python=/usr/bin/python3
bin=$PWD/.build/release
export SLICE_GATEWAY_BIN=$bin/slice-gateway SLICECTL_BIN=$bin/slicectl WAN_RELAY=$bin/wan-relay
export SLICE_CNI_BIN=$bin/slice-cni SLICE_BROKER_BIN=$bin/slice-broker WIRE_ECHO=$bin/wire-echo
export PYTHONPATH=$PWD/Tests/Lab PYTHONDONTWRITEBYTECODE=1
passed=() failed=()

suite() {  # NAME COMMAND...
    local name=$1 start=$SECONDS
    shift
    if [ ${#wanted[@]} -gt 0 ] && [[ ! " ${wanted[*]} " == *" $name "* ]]; then return; fi
    printf '\n== %s\n' "$name"
    if "$@"; then passed+=("$name"); else failed+=("$name"); fi
    printf '== %s: %s s\n' "$name" $((SECONDS - start))
}

quiet() {  # prints the output only of what fails
    local log
    log=$(mktemp)
    "$@" >"$log" 2>&1
    local code=$?
    if [ $code -ne 0 ]; then tail -n 400 "$log"; else tail -n 1 "$log"; fi
    rm -f "$log"
    return $code
}

wanted=("$@")
# Clients of Kafka that Debian does not have, pinned.
python_suites='\ (wire|clients|kafka|scenarios)\ '
if [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " =~ $python_suites ]]; then
    KAFKA_PYTHON_SITE=$(Tests/Clients/site.sh) || exit 1
    export KAFKA_PYTHON_SITE
fi
if [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" kubernetes "* ]]; then
    KUBERNETES_SITE=$(Tests/Clients/site.sh Kubernetes) || exit 1
    export KUBERNETES_SITE
fi
needs_build='\ (build|systemd|swift|rooms|sim|cost|directory|lab|interop|scenarios|bench|wire'
needs_build+='|clients|kafka)\ '
if [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " =~ $needs_build ]]; then
    printf '== build\n'
    start=$SECONDS
    quiet swift build -c release --build-tests || exit 1
    ln -sf slice-gateway "$bin/slice-gateway-wireguard"
    printf '== build: %s s\n' $((SECONDS - start))
fi

suite tidy $python Tests/Tidy/tidy.py
suite docs $python Tests/Tidy/kafka_tables.py
suite schemas $python Sources/Kafka/Schemas/generate.py --check
suite reference $python Tests/NoiseTests/reference/wireguard_reference.py check
suite systemd Tests/Systemd/check.sh
# Apart, because the second keeps every core busy and the first has sockets with patience.
calculating='RaftTests|ReplicationTests|MetadataTests|CommitLogTests|GroupsTests'
calculating+='|BrokerCoreTests|Kafka(Wire|Records)Tests|Slice(Directory|Policy)Tests'
suite swift quiet swift test -c release --skip-build --skip "$calculating"
suite rooms quiet swift test -c release --skip-build --filter "$calculating"
suite sim Tests/Simulation/run.sh
suite cost $python Tests/PacketCost/check.py
suite kubernetes $python -m pytest -q Tests/Kubernetes
suite directory Tests/DirectorySimulation/run.sh
suite wire $python -m pytest -q Tests/KafkaWire
suite clients $python -m pytest -q Tests/Clients
suite lab $python -m pytest -q Tests/Lab
suite bench $python -m pytest -q Tests/Bench
suite interop $python -m pytest -q Tests/Interop
suite scenarios $python -m pytest -q Tests/Scenarios
suite kafka $python -m pytest -q Tests/KafkaScenarios

printf '\n%s passed, %s failed\n' ${#passed[@]} ${#failed[@]}
if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failed[*]}"
    exit 1
fi
