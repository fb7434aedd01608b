#!/usr/bin/env bash
# Runs a sweep to its end, whatever crashes meanwhile: the same command goes on with the trials that are not done.
#
#   scripts/examples/resuming_sweep.sh NAME optimizer.lr=1e-4,3e-4,1e-3 [overrides]
#
# NAME is the study's: it is how the next start finds what is done, so that the script itself may be started again.
# Environment: DAF_ATTEMPTS is how often it starts in all (5), DAF_WAIT the seconds between two starts (10).
#
# The result is printed as JSON; the log goes to standard error. Exit codes: 0 done, 1 it failed every time, 2 the
# request was wrong, 130 or 143 somebody ended it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=${DAF_PYTHON:-$root/.venv/bin/python} # scripts/setup makes it
if [ $# -lt 2 ]; then
    sed -n '2,/^set /{/^#/p}' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
name=$1
shift

attempts=${DAF_ATTEMPTS:-5}
for attempt in $(seq "$attempts"); do
    code=0
    "$python" -m daf.run -m "sweep.name=$name" "$@" result_format=json || code=$?
    case $code in
        0 | 2 | 129 | 130 | 143) exit "$code" ;; # done, wrong, or ended by somebody
    esac
    echo "attempt $attempt of $attempts ended with $code" >&2
    [ "$attempt" = "$attempts" ] || sleep "${DAF_WAIT:-10}"
done
exit 1
