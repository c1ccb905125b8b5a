#!/usr/bin/env bash
# Everything that one wants to know of a GPU, in one go: that all kernels are right on it, then how fast it is beside
# its peers, as JSON and Markdown tables and logs under OUT (default: benches/results).
#
#   benches/gpu.sh                  builds what it needs, then measures
#   benches/gpu.sh --pack DIR       only builds, into DIR; for a machine without Rust
#   benches/gpu.sh --packed DIR     measures with what lies in DIR
#
# TORCH_PYTHON names a Python with PyTorch (CUDA or ROCm), PEERS burn's program (benches/README.md; --pack takes it along);
# what is not there is said to be absent. DEVICE (default gpu) is an adapter as `Device::open` takes it. Parts run one after
# the other, most important first; one that fails or outlasts its limit does not keep the others from running, and the last
# lines say so. PARTS lists those that are wanted (default: all); SECONDS_EACH is the limit of one (default 150); SMALL=1
# takes sizes that a software driver can do, for a dry run. On a machine lent for ten minutes: PARTS="cases bandwidth roof"
# in one call, PARTS="steps reinforcement unsupervised profile" in the next.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
mode=${1:-} directory=${2:-target/gpu}
device=${DEVICE:-gpu} out=${OUT:-benches/results} small=${SMALL:-} limit=${SECONDS_EACH:-150}
parts=${PARTS:-cases bandwidth roof steps reinforcement unsupervised profile}

pack() {
    local target=${CARGO_TARGET_DIR:-target} test
    mkdir -p "$1"
    cargo build --release -p anygrad-benches --bins || return
    cp "$target"/release/{compare,steps,bandwidth,reinforcement,unsupervised} "$1" || return
    test=$(cargo test --release --test cases_wgpu --no-run --message-format=json |
        grep -o '"executable":"[^"]*cases_wgpu[^"]*"' | tail -n 1 | cut -d'"' -f4)
    cp "$test" "$1/cases_wgpu" || return
    local peers=${PEERS:-target/peers-gpu/release/peers}
    [ ! -x "$peers" ] || strip -o "$1/peers" "$peers"
}

case $mode in
    --pack) pack "$directory"; exit ;;
    --packed) ;;
    "") pack "$directory" || exit ;;
    *) sed -n '2,18p' "$0"; exit 2 ;;
esac

mkdir -p "$out"
export BENCHES=$PWD/benches ANYGRAD_DEVICE=$device ANYGRAD_REQUIRE_GPU=1
[ ! -x "$directory/peers" ] || export PEERS=$PWD/$directory/peers
name=$out/$(date +%F)-gpu
failed=()

# part NAME LIMIT COMMAND...: if it is wanted; what it prints is kept.
part() {
    local part=$1 seconds=$2
    shift 2
    case " $parts " in *" ${part%%-*} "*) ;; *) return ;; esac
    echo "== $part ($(date +%T))"
    timeout --kill-after 10 "$seconds" "$@" 2>&1 | tee "$name-$part.log" | tail -n 60
    local status=${PIPESTATUS[0]}
    [ "$status" = 0 ] || failed+=("$part: status $status of $*")
}

elements=67108864 single=m1024,m2048,m4096,m8192,m4096-f16,c workloads=w1,w2,w3,w4,w5,w6 blocks=7 ppo=(--seeds 64)
if [ -n "$small" ]; then
    elements=1048576 single=m256 workloads=w1,w4 blocks=2 ppo=(--seeds 1 --environments 64)
fi
torch=(--peers torch) both=(--peers torch,burn-vulkan)

# Right: all operations of the table of cases against the reference.
part cases "$limit" "$directory/cases_wgpu" --test-threads 1
# Elementwise, softmax, layer norm, sums and Adam beside a copy: 80 % of it.
part bandwidth "$limit" "$directory/bandwidth" --device "$device" --elements "$elements"
# Products beside cuBLAS (70 % in f32 without TF32, 45 % in f16 with f32 sums) and the convolution beside cuDNN (60 %).
part roof "$limit" "$directory/compare" --device "$device" --workloads "$single" "${torch[@]}" --start none \
    --blocks "$blocks" --limit 60 --json "$name-roof.json"
# W1 to W6 beside PyTorch and burn, with losses checked, host time, first step and memory; W5 last, for it is the longest.
part steps "$((2 * limit))" "$directory/compare" --device "$device" --workloads "$workloads" "${both[@]}" \
    --blocks "$blocks" --limit 40 --json "$name-steps.json"
# PPO with 64 x 2,048 environments (10 million steps per second), and CartPole alone.
part reinforcement "$limit" "$directory/reinforcement" step ppo --device "$device" "${ppo[@]}"
# k-means, PCA, mixtures: seconds.
for task in kmeans kmeans_given pca gmm_diagonal gmm_full; do
    [ -n "$small" ] || part "unsupervised-$task" "$limit" "$directory/unsupervised" --device "$device" "$task"
done
# Where the time goes, and what the host takes.
for workload in ${workloads//,/ }; do
    part "profile-$workload" "$limit" "$directory/steps" --device "$device" --profile "$workload"
done

[ ${#failed[@]} = 0 ] || { printf 'did not end well: %s\n' "${failed[@]}"; exit 1; }
