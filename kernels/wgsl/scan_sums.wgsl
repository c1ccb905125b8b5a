// Sums of chunks along the middle axis of [before, length, after], for scan_chunks.wgsl.
//
// One invocation per chunk; neighbours along `after` are neighbours in memory.
// Generated: TOTAL (before * CHUNKS * AFTER), LENGTH, AFTER, CHUNK, CHUNKS, GROUP (invocations per workgroup), ROW,
// Number, value_at(i), keep(i, sum).
@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * ROW + group.x) * GROUP + lane;
  if (i >= TOTAL) {
    return;
  }
  let after = i % AFTER;
  let chunk = i / AFTER % CHUNKS;
  let before = i / (AFTER * CHUNKS);
  var sum = Number();
  for (var j = chunk * CHUNK; j < min(chunk * CHUNK + CHUNK, LENGTH); j++) {
    sum += value_at((before * LENGTH + j) * AFTER + after);
  }
  keep(i, sum);
}
