#!/usr/bin/env bash
# Everything that one wants to know of a GPU, in one go: that all kernels are right on it, then how fast it is beside
# its peers, as JSON and a Markdown table under OUT (default: benches/results).
#
#   benches/gpu.sh                  builds what it needs, then measures
#   benches/gpu.sh --pack DIR       only builds, into DIR; for a machine without Rust
#   benches/gpu.sh --packed DIR     measures with what lies in DIR
#
# TORCH_PYTHON names a Python with PyTorch (CUDA or ROCm); without it PyTorch is said to be absent.
# DEVICE (default gpu) is an adapter as `Device::open` takes it, WORKLOADS a list as `compare` takes it.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-} directory=${2:-target/gpu}
device=${DEVICE:-gpu} out=${OUT:-benches/results}
workloads=${WORKLOADS:-w1,w2,w3,w4,w5,w6,m1024,m2048,m4096,m8192,m4096-f16,c}

pack() {
    mkdir -p "$1"
    cargo build --release -p anygrad-benches --bins
    local target=${CARGO_TARGET_DIR:-target} test
    cp "$target"/release/{compare,steps} "$1"
    test=$(cargo test --release --test cases_wgpu --no-run --message-format=json |
        grep -o '"executable":"[^"]*cases_wgpu[^"]*"' | tail -n 1 | cut -d'"' -f4)
    cp "$test" "$1/cases_wgpu"
}

case $mode in
    --pack) pack "$directory"; exit ;;
    --packed) ;;
    "") pack "$directory" ;;
    *) sed -n '2,12p' "$0"; exit 2 ;;
esac

mkdir -p "$out"
export BENCHES=$PWD/benches ANYGRAD_DEVICE=$device ANYGRAD_REQUIRE_GPU=1
name=$out/$(date +%F)-gpu
echo "== correct?"
"$directory/cases_wgpu" --test-threads 1 2>&1 | tee "$name-cases.log" | tail -n 30
echo "== fast?"
"$directory/compare" --device "$device" --workloads "$workloads" --peers torch --json "$name.json"
echo "== where the time goes"
for workload in w1 w2 w3 w4 w5 w6; do
    "$directory/steps" --device "$device" --profile "$workload" | tee -a "$name-profile.log" | head -n 16
done
