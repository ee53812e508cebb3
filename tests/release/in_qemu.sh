#!/usr/bin/env bash
# tests/release/in_qemu.sh SYSTEM PROGRAM: runs a test program for 64-bit ARM in QEMU, with the libraries below SYSTEM, all its tests but
# those that not_in_qemu lists. Prints how many ran, and what failed.
set -euo pipefail
left_out=$(sed -n '/^[^#]/p' "$(dirname "$0")/not_in_qemu" | paste -sd:)
name=$(basename "$2")
export VERGE_SIMULATION_RUNS=${VERGE_SIMULATION_RUNS:-20}  # of 300 otherwise
if timeout 1800 qemu-aarch64 -L "$1" "$2" "--gtest_filter=-$left_out" >"$2.log" 2>&1; then
  echo "$name: $(sed -n 's/^\[==========\] \([0-9]* test.* ran\..*\)/\1/p' "$2.log")"
else
  echo "$name failed ($?):"
  grep -vE '^\[( +OK | RUN  |-----)' "$2.log" | tail -40
  exit 1
fi
