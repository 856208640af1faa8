#!/bin/bash
# Worlds in trouble, bugs put in on purpose that they must find, and figures of a directory.
# SEEDS=n for more worlds, GATEWAYS=300 ENDPOINTS=10000 for the figures on record.
set -u
cd "$(dirname "$0")/../.."
simulate=${SIMULATE_DIRECTORY_BIN:-.build/release/simulate-directory}
"$simulate" --seeds "${SEEDS:-60}" --first "${FIRST:-100}" || exit 1
for canary in skips-prefix-check skips-duplicate-check merges-snapshots forgets-gap \
    takes-older-incarnation ignores-silence keeps-old-prefixes; do
    "$simulate" --seeds 200 --canary $canary >/dev/null || {
        echo "sim: the canary $canary was not found"
        exit 1
    }
done
echo 'every canary was found'
"$simulate" --gateways "${GATEWAYS:-60}" --endpoints "${ENDPOINTS:-2000}"
