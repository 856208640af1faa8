#!/bin/bash
# Fuzzes every parser of bytes from outside with libFuzzer and AddressSanitizer.
#
#   run.sh [SECONDS-PER-TARGET [TARGET...]]   fuzz, and keep what is new in Tests/Fuzz/corpus
#   run.sh --canary                           show that bugs put in on purpose are found
#
# Exits with 1 if a target crashed; the input stays in Tests/Fuzz/corpus/TARGET, so that every
# later test run replays it. FUZZ_JOBS says how many targets run at a time (default: the CPUs).
set -u -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
root=$PWD
build=$root/.build-fuzz
corpus=$root/Tests/Fuzz/corpus
work=$build/work
fuzz=$build/release/fuzz
jobs=${FUZZ_JOBS:-$(nproc)}
# A crash is reported by the sanitizer; a second report would only take minutes.
export SWIFT_BACKTRACE=enable=no
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:${ASAN_OPTIONS:-}
# Small enough to be kept in the repository: bytes of one target, and of one file.
keepBytes=16384
keepFiles=11

compile() {
    # The gold linker cannot read these objects' debug information.
    FUZZ=1 swift build -c release --product fuzz --scratch-path "$build" \
        -Xswiftc -sanitize=fuzzer,address -Xswiftc -use-ld=lld \
        -Xcc -fsanitize=address,fuzzer-no-link >"$build.log" 2>&1 || {
        tail -n 40 "$build.log" >&2
        echo "fuzz: the build failed; all of it is in $build.log" >&2
        exit 2
    }
}

# libfuzzer TARGET ARGUMENT...
libfuzzer() {
    local target=$1
    shift
    FUZZ_TARGET=$target timeout -k 5 "$((limit + 120))" "$fuzz" \
        -timeout=10 -rss_limit_mb=2048 -verbosity="${FUZZ_VERBOSITY:-1}" \
        -max_len="$(cat "$work/$target/seeds/maximum")" "$@" </dev/null
}

# one TARGET: fuzzes it from its seeds, its corpus and what earlier runs left.
one() {
    local target=$1
    local here=$work/$target
    mkdir -p "$here/seeds" "$here/found" "$here/crashes" "$corpus/$target"
    "$fuzz" describe "$target" "$here/seeds" || return 2
    local words=()
    [ -s "$here/seeds/words.dict" ] && words=(-dict="$here/seeds/words.dict")
    rm -rf "$here/start"
    mkdir "$here/start"
    mv "$here/seeds"/seed-* "$here/start/" 2>/dev/null
    libfuzzer "$target" "${words[@]}" -max_total_time="$limit" -print_final_stats=1 \
        -artifact_prefix="$here/crashes/" "$here/found" "$corpus/$target" "$here/start" \
        >"$here/log" 2>&1
    local status=$?
    local coverage executions
    coverage=$(grep -Eo 'cov: [0-9]+ ft: [0-9]+' "$here/log" | tail -n 1)
    executions=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$here/log")
    printf '%-18s %9s /s  %s\n' "$target" "${executions:-?}" "${coverage:-}"
    if [ $status -ne 0 ]; then
        echo "fuzz: $target crashed (exit status $status); the log is $here/log" >&2
        local file
        for file in "$here/crashes"/*; do
            [ -f "$file" ] || continue
            cp "$file" "$corpus/$target/"
            echo "  FUZZ_TARGET=$target SWIFT_BACKTRACE=enable=no $fuzz" \
                "$corpus/$target/${file##*/}" >&2
        done
        return 1
    fi
    keep "$target"
}

# keep TARGET: what adds coverage to what is kept already, within the limits of the repository.
keep() {
    local target=$1
    local here=$work/$target
    rm -rf "$here/merged"
    mkdir "$here/merged"
    cp "$corpus/$target"/* "$here/merged/" 2>/dev/null
    libfuzzer "$target" -merge=1 "$here/merged" "$here/found" "$here/start" \
        >"$here/merge.log" 2>&1 || {
        echo "fuzz: $target: merging failed; the log is $here/merge.log" >&2
        return 1
    }
    local bytes files file size
    bytes=$(cat "$corpus/$target"/* 2>/dev/null | wc -c)
    files=$(find "$corpus/$target" -type f | wc -l)
    # The smallest first: they say the most for their bytes.
    while read -r size file; do
        [ -e "$corpus/$target/${file##*/}" ] && continue
        [ "$files" -lt $keepFiles ] && [ $((bytes + size)) -le $keepBytes ] || break
        cp "$file" "$corpus/$target/"
        bytes=$((bytes + size))
        files=$((files + 1))
    done < <(spread "$here/merged")
}

# The files of a folder, `SIZE NAME`: every size, small to large, in eleven steps.
spread() {
    find "$1" -type f -printf '%s %p\n' | sort -n |
        awk -v keep=$keepFiles '{ line[NR] = $0 }
            END {
                step = NR > keep ? NR / keep : 1
                for (i = 1; int(i + 0.5) <= NR; i += step) print line[int(i + 0.5)]
            }'
}

# canary NAME: from nothing, because a seed may be what it dies of.
canary() {
    local name=$1
    local here=$work/$name
    rm -rf "$here"
    mkdir -p "$here/seeds" "$here/crashes"
    "$fuzz" describe "$name" "$here/seeds" || exit 2
    limit=30
    libfuzzer "$name" -max_total_time=$limit -artifact_prefix="$here/crashes/" \
        >"$here/log" 2>&1
    local status=$?
    if [ $status -eq 0 ] || ! compgen -G "$here/crashes/crash-*" >/dev/null; then
        echo "fuzz: the $name lives: a bug put in on purpose was not found in $limit s" >&2
        exit 1
    fi
    echo "fuzz: the $name was caught"
}

canaries() {
    canary canary
    canary cipher-canary
}

mkdir -p "$build" "$work"
compile
if [ "${1:-}" = --canary ]; then
    canaries
    exit 0
fi
canaries
limit=${1:-60}
case $limit in '' | *[!0-9]*)
    echo "usage: run.sh [SECONDS-PER-TARGET [TARGET...]] | --canary" >&2
    exit 2
    ;;
esac
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <("$fuzz" list)

failed=0
running=0
for target in "${targets[@]}"; do
    if [ "$running" -ge "$jobs" ]; then
        wait -n || failed=1
        running=$((running - 1))
    fi
    one "$target" &
    running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
    wait -n || failed=1
    running=$((running - 1))
done
exit $failed
