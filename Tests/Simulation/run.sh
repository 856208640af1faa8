#!/bin/bash
# Seeds of the cluster simulation, and bugs put in on purpose that it must find. SEEDS=n for more.
set -u
cd "$(dirname "$0")/../.."
simulate=${SIMULATE_BIN:-.build/release/simulate}
"$simulate" --seeds "${SEEDS:-300}" --first "${FIRST:-1}" || exit 1
# The same seed does the same: the trace is folded from every event.
[ "$("$simulate" --seeds 2 --first 7)" = "$("$simulate" --seeds 2 --first 7)" ] || {
    echo 'sim: one seed has two traces'
    exit 1
}
for canary in votes-twice skips-epoch-check forgets-flush forgets-vote ignores-sync \
    acknowledges-early; do
    "$simulate" --canary $canary --seeds 300 | tail -n 1 | grep -v 'NOT FOUND' || exit 1
done
