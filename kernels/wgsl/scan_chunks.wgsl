// out[before, p, after] = sum over j <= p of x[before, j, after].
//
// One invocation per chunk: it adds up the sums of the chunks before it (from scan_sums.wgsl), then walks over its own.
// Chunks are about as long as there are chunks. No workgroup memory.
// Generated: TOTAL (before * CHUNKS * AFTER), LENGTH, AFTER, CHUNK, CHUNKS, GROUP (invocations per workgroup), ROW,
// Number, value_at(i), kept(i), epilogue(i, core).
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
  for (var c = 0u; c < chunk; c++) {
    sum += kept((before * CHUNKS + c) * AFTER + after);
  }
  for (var j = chunk * CHUNK; j < min(chunk * CHUNK + CHUNK, LENGTH); j++) {
    let at = (before * LENGTH + j) * AFTER + after;
    sum += value_at(at);
    epilogue(at, sum);
  }
}
