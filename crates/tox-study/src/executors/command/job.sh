#!/bin/sh
# One task: {{ name }}. A signal reaches the trial too, and this script sees it end.
trap : TERM INT
{{ command }} --id {{ ids }} > {{ log }} 2>&1
code=$?
printf '%s\n' "$code" > {{ over }}
exit "$code"
