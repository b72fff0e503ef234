#!/usr/bin/env bash
# count.sh PROGRAM [DEVICE] > counts.csv: what a step of each kind asks of a device, the difference between 3 and 13
# steps (P-DARTS: 2 and 6) over their number. PROGRAM is the example `steps`, see README.md; count.c is built beside it.
set -euo pipefail
program=$(realpath "$1") device=${2:-vulkan:0} here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O1 -shared -fPIC -fvisibility=hidden -Wl,-Bsymbolic "$here/count.c" -o "$work/libtoxcount.so"
cp "$here/count.json" "$work"
cd "$work"
echo "step,launches,submits,copies,bytes,waits_newest,waits_older"
for kind in ${TOX_KINDS:-enas pgd-linf pgd-l2 trades pdarts}; do
  few=3 many=13
  if [ "$kind" = pdarts ]; then few=2 many=6; fi
  rm -f counts.jsonl
  for n in $few $many; do
    VK_LAYER_PATH=$work VK_INSTANCE_LAYERS=VK_LAYER_TOX_count TOX_COUNT=counts.jsonl \
      "$program" "$kind" "$n" "$device" >&2
  done
  awk -v kind="$kind" -v steps=$((many - few)) -F '[:,}]' '
    { for (i = 2; i <= 12; i += 2) { if (NR == 1) first[i] = $i; else value[i] = ($i - first[i]) / steps } }
    END { line = kind; for (i = 2; i <= 12; i += 2) line = line "," value[i]; print line }' counts.jsonl
done
