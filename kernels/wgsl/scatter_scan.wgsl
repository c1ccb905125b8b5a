// sum[before, s, after] = sum over j in rising order of updates[before, j, after] where index[before, j, after] = s.
//
// One invocation per element of the result walks over all updates: no atomics, a fixed order, and cheap as long as
// there are few updates per element (picking one column per row, and its gradient).
// Generated: POINTS, SIZES (of the middle axis), COUNT, AFTER, GROUP (invocations per workgroup), ROW, Number,
// index_at(before, j, after), update_at(before, j, after), epilogue(i, core).
@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * ROW + group.x) * GROUP + lane;
  if (i >= POINTS) {
    return;
  }
  let after = i % AFTER;
  let s = i / AFTER % SIZES;
  let before = i / (AFTER * SIZES);
  var sum = Number();
  for (var j = 0u; j < COUNT; j++) {
    if (index_at(before, j, after) == s) {
      sum += update_at(before, j, after);
    }
  }
  epilogue(i, sum);
}
