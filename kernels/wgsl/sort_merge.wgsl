// Merges neighbouring sorted runs of RUN elements into runs of 2 RUN: every element finds its place by bisecting the
// other run. Elements of the left run come before equal ones of the right run, so the sort is stable.
//
// log2(length) dispatches, each without workgroup memory or barriers.
// Generated: TOTAL (rows * LENGTH), LENGTH, RUN, GROUP (invocations per workgroup), ROW, sorted_at(slot) -> (key, j),
// emit(slot, key, j).
@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * ROW + group.x) * GROUP + lane;
  if (i >= TOTAL) {
    return;
  }
  let first = i / LENGTH * LENGTH;
  let at = i % LENGTH;
  let entry = sorted_at(i);
  let begin = at / (2u * RUN) * (2u * RUN);
  let middle = min(begin + RUN, LENGTH);
  let right = at >= middle;
  let other = select(middle, begin, right);
  var low = other;
  var high = select(min(begin + 2u * RUN, LENGTH), middle, right);
  while (low < high) {
    let half = (low + high) / 2u;
    let key = sorted_at(first + half).x;
    if (key < entry.x || (right && key == entry.x)) {
      low = half + 1u;
    } else {
      high = half;
    }
  }
  let own = at - select(begin, middle, right);
  emit(first + begin + own + low - other, entry.x, entry.y);
}
