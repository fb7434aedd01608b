#!/usr/bin/env bash
# Scores a policy on a suite of missions every night, keeps one line a night, and says when the score falls.
#
#   scripts/examples/nightly_benchmark.sh [overrides]      such as policy=lstm policy.weights=/models/best.pt
#
# Environment: DAF_NIGHTLY is the folder of all nights (./nightly), DAF_TOLERANCE how far the score may fall (0.05).
# In a crontab: 0 2 * * * /path/to/daf/scripts/examples/nightly_benchmark.sh policy=starter
#
# Exit codes: 0 done, 1 the benchmark failed, 2 the request was wrong, 3 the score is lower than the night before.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=${DAF_PYTHON:-$root/.venv/bin/python} # scripts/setup makes it
nights=${DAF_NIGHTLY:-nightly}
mkdir -p "$nights"

folder=$nights/$(date +%Y-%m-%d_%H-%M-%S)
"$python" -m daf.run task=benchmark evaluation.cache=off "$@" "output_dir=$folder" result_format=json >"$nights/last.json"

"$python" - "$nights/last.json" "$nights/scores.csv" "${DAF_TOLERANCE:-0.05}" <<'PYTHON'
import json, pathlib, sys

result, scores, tolerance = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2]), float(sys.argv[3])
before = scores.read_text().splitlines() if scores.exists() else []
score, folder = result["objective"], result["output_dir"]
with scores.open("a") as file:
    file.write(f"{folder},{'' if score is None else score},{result['run_id']}\n")
last = [line.split(",")[1] for line in before if line.split(",")[1]]
print(f"score {score}, the night before {last[-1] if last else 'none'}: {folder}")
if last and score is not None and score < float(last[-1]) - tolerance:
    sys.exit(3)
PYTHON
