// out[i] = f(inputs at i), one invocation per point.
// Generated: POINTS, SIZE (invocations per workgroup), ROW (workgroups along x), epilogue(i, core).
// No workgroup memory. Workgroups are folded into x and y because one axis takes at most 65535.
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * ROW + group.x) * SIZE + lane;
  if (i < POINTS) {
    epilogue(i, 0.0);
  }
}
