// sum[before, s, after] = sum over j in rising order of updates[before, j, after] where index[before, j, after] = s.
//
// The indices of each row were sorted with their numbers j (stably, so that equal indices stay in rising order):
// one invocation per element of the result finds its run by bisection and adds it up. No atomics, a fixed order.
// Generated: POINTS, SIZES (of the middle axis), COUNT, AFTER, ROWS_AFTER (AFTER if the index depends on it, else 1),
// GROUP (invocations per workgroup), ROW, Number, sorted_at(slot) -> (index, j), update_at, epilogue(i, core).
@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * ROW + group.x) * GROUP + lane;
  if (i >= POINTS) {
    return;
  }
  let after = i % AFTER;
  let s = i / AFTER % SIZES;
  let before = i / (AFTER * SIZES);
  let start = (before * ROWS_AFTER + after % ROWS_AFTER) * COUNT;
  var low = 0u;
  var high = COUNT;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (sorted_at(start + middle).x < s) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  var sum = Number();
  for (; low < COUNT; low++) {
    let entry = sorted_at(start + low);
    if (entry.x != s) {
      break;
    }
    sum += update_at(before, entry.y, after);
  }
  epilogue(i, sum);
}
