#!/bin/bash
# Holds the units to what their comments promise, without a running systemd: systemd finds nothing
# to complain about and the ratings do not slip. Of the gateway's: nothing gives the service a mount
# namespace of its own, every system call that the daemon was seen to make passes the filter, and
# the daemon does its work under it.
set -u
cd "$(dirname "$0")"
unit=../../Systemd/slice-gateway.service
worst=45 # tenths of the exposure level that systemd-analyze prints
brokerUnit=../../Systemd/slice-broker.service
brokerWorst=13
failures=0

fail() {
    printf 'systemd: %s\n' "$*" >&2
    failures=$((failures + 1))
}

command -v systemd-analyze >/dev/null || {
    fail 'systemd-analyze is missing: apt-get install systemd (or make deps)'
    exit 1
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# rate UNIT WORST: systemd finds nothing to complain about, and the rating does not slip.
rate() {
    local name=${1##*/} complaints rating code
    # The programs need not be installed where the unit looks for them.
    sed -E 's#^(Exec[A-Za-z]+=)/usr/local/bin/[a-z-]+#\1/bin/true#' "$1" >"$scratch/$name"
    complaints=$(systemd-analyze verify "$scratch/$name" 2>&1)
    code=$?
    if [ $code -ne 0 ] || [ -n "$complaints" ]; then
        fail "$name: systemd-analyze verify: exit code $code: $complaints"
    fi
    rating=$(systemd-analyze security --no-pager --offline=true --threshold="$2" \
        "$scratch/$name" 2>&1)
    code=$?
    level=$(printf '%s\n' "$rating" | sed -n 's/.*Overall exposure level.*: \([0-9.]*\) .*/\1/p')
    [ $code -eq 0 ] ||
        fail "$name: systemd-analyze security: exposure ${level:-?}, more than $2 tenths"
}
rate "$brokerUnit" $brokerWorst
brokerLevel=$level
rate "$unit" $worst

# While the gateway still attaches, the broker ends again and again; only wrong configuration is
# final.
for line in StartLimitIntervalSec=0 Restart=on-failure RestartSec=2 RestartPreventExitStatus=2; do
    grep -qx "$line" "$brokerUnit" || fail "the broker is given up: no $line"
done

# systemd.exec(5): any of these gives the service a mount namespace from which no mount reaches
# the host, and nobody would see the router namespaces under /run/netns.
forbidden='ProtectSystem|ProtectHome|ProtectProc|ProcSubset|ProtectKernelTunables'
forbidden+='|ProtectKernelModules|ProtectKernelLogs|ProtectControlGroups|PrivateTmp'
forbidden+='|PrivateDevices|PrivateMounts|PrivateIPC|PrivatePIDs|PrivateBPF|IPCNamespacePath'
forbidden+='|PrivateUsers|PrivateNetwork'
forbidden+='|NetworkNamespacePath|ReadWritePaths|ReadOnlyPaths|InaccessiblePaths|ExecPaths'
forbidden+='|NoExecPaths|BindPaths|BindReadOnlyPaths|TemporaryFileSystem|MountImages'
forbidden+='|ExtensionImages|ExtensionDirectories|RootDirectory|RootImage|DynamicUser'
forbidden+='|LogNamespace|MountFlags'
found=$(grep -nE "^($forbidden)=" "$unit") && fail "breaks the way of mounts to the host: $found"

# The filter's lines in their order, as sets of calls.
members() { # GROUP: its calls, groups inside it followed
    local word
    for word in $(systemd-analyze --no-pager syscall-filter "$1" | sed '1d; s/#.*//'); do
        case $word in
            @*) members "$word" ;;
            *) printf '%s\n' "$word" ;;
        esac
    done
}
: >"$scratch/allowed"
while IFS= read -r line; do
    words=${line#SystemCallFilter=}
    drop=no
    case $words in '~'*) drop=yes words=${words#\~} ;; esac
    for word in $words; do
        case $word in
            @*) members "$word" ;;
            *) printf '%s\n' "$word" ;;
        esac
    done | sort -u >"$scratch/named"
    if [ $drop = yes ]; then
        comm -23 "$scratch/allowed" "$scratch/named" >"$scratch/next"
    else
        sort -u "$scratch/allowed" "$scratch/named" >"$scratch/next"
    fi
    mv "$scratch/next" "$scratch/allowed"
done < <(grep '^SystemCallFilter=' "$unit")
# What systemd lets through of itself, always.
members @default | sort -u "$scratch/allowed" - >"$scratch/next"
grep -v '^#' syscalls.txt | sort -u >"$scratch/needed"
[ -s "$scratch/needed" ] || fail 'syscalls.txt is empty'
refused=$(comm -13 "$scratch/next" "$scratch/needed" | tr '\n' ' ')
[ -z "$refused" ] || fail "the filter refuses what the daemon needs: $refused"

# The daemon itself, confined as the unit has it: a slice comes up, a process's namespace is
# attached, and the router namespace is seen from outside.
ran='not run: it needs root and the built programs'
confined() {
    local base=$scratch/run prefix=sdck$$- router=sdck$$-check gateway app
    mkdir -p "$base"
    "$SLICECTL_BIN" keygen --owner --output "$base/owner.key" >"$base/owner.pub" 2>/dev/null
    "$SLICECTL_BIN" keygen --output "$base/west.key" >"$base/west.pub" 2>/dev/null
    "$SLICECTL_BIN" slice new --name check --prefix 10.80.0.0/16 --prefix fd00:80::/48 \
        --cluster "west=here,192.0.2.1:51820,$(cat "$base/west.pub")" --namespace kafka \
        --output "$base/check.yaml" >/dev/null 2>&1
    "$SLICECTL_BIN" slice sign "$base/check.yaml" --key "$base/owner.key" >/dev/null 2>&1
    cat >"$base/gateway.conf" <<EOF
cluster: west
stateDirectory: $base/state
adminSocket: $base/socket/admin.sock
namespacePrefix: $prefix
slices:
  - manifest: $base/check.yaml
    owner: $(cat "$base/owner.pub")
    privateKeyFile: $base/west.key
EOF
    # With all capabilities, as a container without limits has them.
    unshare --net sleep 60 &
    app=$!
    SLICE_GATEWAY_WG_SOCKETS=$base/wg unshare --net ./confine.py "$unit" \
        "$SLICE_GATEWAY_BIN" --config "$base/gateway.conf" >"$base/log" 2>&1 &
    gateway=$!
    ask() { "$SLICECTL_BIN" --socket "$base/socket/admin.sock" "$@" >>"$base/said" 2>&1; }
    # Attaching twice changes nothing, so it may be asked for until the slice is up.
    for _ in $(seq 100); do
        ask attach check kafka/app --pid $app && break
        kill -0 $gateway 2>/dev/null || break
        sleep 0.1
    done
    ask attach check kafka/app --pid $app || fail "confined: attach: $(tail -n 3 "$base/said")"
    ask ping check 10.80.1.2 -c 1 || fail "confined: ping: $(tail -n 3 "$base/said")"
    ask reload || fail "confined: reload: $(tail -n 3 "$base/said")"
    grep -q " /run/netns/$router " /proc/self/mountinfo ||
        fail 'confined: the router namespace is not seen from outside'
    kill -TERM $gateway
    wait $gateway || fail "confined: the daemon ended with $?: $(tail -n 5 "$base/log")"
    "$SLICE_GATEWAY_BIN" cleanup --config "$base/gateway.conf" >/dev/null ||
        fail 'confined: cleanup'
    [ ! -e "/run/netns/$router" ] || fail 'confined: the router namespace is left behind'
    kill $app
    wait $app 2>/dev/null
    ran='runs confined'
}
if [ "$(id -u)" = 0 ] && [ -x "${SLICE_GATEWAY_BIN:-}" ] && [ -x "${SLICECTL_BIN:-}" ]; then
    confined
fi

if [ $failures -gt 0 ]; then exit 1; fi
printf 'gateway: verified, exposure level %s, %s system calls pass the filter; daemon %s\n' \
    "$level" "$(wc -l <"$scratch/needed")" "$ran"
printf 'broker: verified, exposure level %s\n' "$brokerLevel"
