#!/usr/bin/env bash
# Lets a policy take the champion's place if it is at least as good: gate, then validation, then deployment.
#
#   scripts/examples/promote.sh POLICY [overrides]     such as ./run/checkpoints deployment.name=miner mission.cogs=4
#
# POLICY is a checkpoint folder, a bundle's policy or a class; the overrides hold for all three steps.
#
# The deployed version is printed. Exit codes: 0 promoted, 1 something failed, 2 the request was wrong, 3 the champion
# stays, and standard error says why.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=${DAF_PYTHON:-$root/.venv/bin/python} # scripts/setup makes it
if [ $# -lt 1 ]; then
    sed -n '2,/^set /{/^#/p}' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
policy=$1
shift

# Runs a task, and prints its status, or one of its result's facts.
daf() {
    local task=$1 field=$2 code=0 result
    shift 2
    result=$("$python" -m daf.run "task=$task" "deployment.policy=$policy" "$@" result_format=json) || code=$?
    "$python" -c 'import json, sys; told = json.load(sys.stdin); print({**told["facts"], "status": told["status"]}[sys.argv[1]])' \
        "$field" <<<"$result"
    return "$code"
}

if ! status=$(daf gate status "$@"); then
    case $status in
        refused) exit 3 ;;
        refused_request) exit 2 ;;
        *) exit 1 ;;
    esac
fi
daf validate verdict "$@" >&2
daf deploy location "$@"
