#!/bin/bash
# Holds the unit to what its comments promise, without a running systemd: systemd finds nothing to
# complain about, the rating does not slip, nothing gives the service a mount namespace of its
# own, and every system call that the daemon was seen to make passes the filter.
set -u
cd "$(dirname "$0")"
unit=../../Systemd/slice-gateway.service
worst=48 # tenths of the exposure level that systemd-analyze prints
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

# The programs need not be installed where the unit looks for them.
sed -E 's#^(Exec[A-Za-z]+=)/usr/local/bin/[a-z-]+#\1/bin/true#' "$unit" \
    >"$scratch/slice-gateway.service"

complaints=$(systemd-analyze verify "$scratch/slice-gateway.service" 2>&1)
code=$?
if [ $code -ne 0 ] || [ -n "$complaints" ]; then
    fail "systemd-analyze verify: exit code $code: $complaints"
fi

rating=$(systemd-analyze security --no-pager --offline=true --threshold=$worst \
    "$scratch/slice-gateway.service" 2>&1)
code=$?
level=$(printf '%s\n' "$rating" | sed -n 's/.*Overall exposure level.*: \([0-9.]*\) .*/\1/p')
[ $code -eq 0 ] || fail "systemd-analyze security: exposure ${level:-?}, more than $worst tenths"

# systemd.exec(5): any of these gives the service a mount namespace from which no mount reaches
# the host, and nobody would see the router namespaces under /run/netns.
forbidden='ProtectSystem|ProtectHome|ProtectProc|ProcSubset|ProtectKernelTunables'
forbidden+='|ProtectKernelModules|ProtectKernelLogs|ProtectControlGroups|PrivateTmp'
forbidden+='|PrivateDevices|PrivateMounts|PrivateIPC|IPCNamespacePath|PrivateUsers|PrivateNetwork'
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

if [ $failures -gt 0 ]; then exit 1; fi
printf 'unit: verified, exposure level %s, %s system calls pass the filter\n' \
    "$level" "$(wc -l <"$scratch/needed")"
