// Sorts blocks of each row by (key, number): every element counts how many of its block come before it.
//
// Quadratic in the block, but without workgroup memory or barriers; blocks are 32 to 256 long, rows of that length are
// done in this one dispatch, longer ones go on in sort_merge.wgsl.
// Generated: TOTAL (rows * LENGTH), LENGTH, BLOCK, GROUP (invocations per workgroup), ROW, key_at(row, j),
// emit(slot, key, j).
@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * ROW + group.x) * GROUP + lane;
  if (i >= TOTAL) {
    return;
  }
  let row = i / LENGTH;
  let j = i % LENGTH;
  let key = key_at(row, j);
  let begin = j / BLOCK * BLOCK;
  let end = min(begin + BLOCK, LENGTH);
  var rank = 0u;
  for (var other = begin; other < j; other++) {
    rank += select(0u, 1u, key_at(row, other) <= key);
  }
  for (var other = j + 1u; other < end; other++) {
    rank += select(0u, 1u, key_at(row, other) < key);
  }
  emit(row * LENGTH + begin + rank, key, j);
}
