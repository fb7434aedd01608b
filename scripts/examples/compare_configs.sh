#!/usr/bin/env bash
# Trains two configs several times each, and says which of them is better, if either is shown to be.
#
#   scripts/examples/compare_configs.sh '{optimizer.lr:0.001}' '{optimizer.lr:0.01}' [overrides]
#
# Each config sets keys of policy, optimizer and training; the overrides hold for both, such as mission=miner_tutorial.
# Environment: DAF_TRAININGS is how often each is trained (3).
#
# Prints "first", "second" or "neither". Exit codes: 0 one of them has won, 1 the work failed, 2 the request was wrong,
# 3 neither was shown to be better: more trainings or episodes may tell.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=${DAF_PYTHON:-$root/.venv/bin/python} # scripts/setup makes it
if [ $# -lt 2 ]; then
    sed -n '2,/^set /{/^#/p}' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
first=$1 second=$2
shift 2

result=$("$python" -m daf.run task=compare "comparison.trainings=${DAF_TRAININGS:-3}" "$@" \
    "+comparison.algorithms.first=$first" "+comparison.algorithms.second=$second" result_format=json)

winner=$("$python" -c 'import json, sys; print(json.load(sys.stdin)["facts"].get("winner", "neither"))' <<<"$result")
echo "$winner"
[ "$winner" != neither ] || exit 3
