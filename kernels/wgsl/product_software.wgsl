// c[z, row, column] = sum over k of a[z, row, k] * b[z, column, k], for software and integrated drivers.
//
// Each invocation keeps 8 rows x 4 columns in registers and walks over k in steps of 4. No workgroup memory and no
// barriers: lavapipe and SwiftShader run barriers as coroutines, and their "workgroup memory" is plain memory. Lanes of
// a workgroup are neighbours in columns, so that the left side's address is the same for (most of) them.
// Measured with vec4 buffers on lavapipe 22.3 (2 cores): 12-13 GFLOP/s; workgroup tiles reach 2-4 there.
//
// Generated: M, N, DEPTH, BATCH, SPLITS, CHUNK, LANES_N, LANES_M, TILES_M, TILES_N, ROW, A_ALONG_K, B_ALONG_K,
// LineA and line_a(z, row): what does not depend on k, computed once (these drivers move nothing out of loops),
// load_a(line, z, k), along_a(line, z, k) (4 along k), across_a(line, line, line, line, z, k) (4 rows), the same for
// b and columns, put(z, split, row, column, value).
// Lines outside of the matrix are clamped by the loaders, and dropped by `put`.
@compute @workgroup_size(LANES_N * LANES_M)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let number = group.y * ROW + group.x;
  let column = ((number % TILES_N) * LANES_N + lane % LANES_N) * 4u;
  let row = (((number / TILES_N) % TILES_M) * LANES_M + lane / LANES_N) * 8u;
  let part = number / (TILES_N * TILES_M);
  if (part >= BATCH * SPLITS || column >= N || row >= M) {
    return;
  }
  let z = part / SPLITS;
  let split = part % SPLITS;
  let begin = split * CHUNK;
  let end = min(begin + CHUNK, DEPTH);
  let even = begin + (end - begin) / 4u * 4u;
  var c0 = vec4<f32>();
  var c1 = vec4<f32>();
  var c2 = vec4<f32>();
  var c3 = vec4<f32>();
  var c4 = vec4<f32>();
  var c5 = vec4<f32>();
  var c6 = vec4<f32>();
  var c7 = vec4<f32>();
  let row0 = line_a(z, row + 0u);
  let row1 = line_a(z, row + 1u);
  let row2 = line_a(z, row + 2u);
  let row3 = line_a(z, row + 3u);
  let row4 = line_a(z, row + 4u);
  let row5 = line_a(z, row + 5u);
  let row6 = line_a(z, row + 6u);
  let row7 = line_a(z, row + 7u);
  let column0 = line_b(z, column + 0u);
  let column1 = line_b(z, column + 1u);
  let column2 = line_b(z, column + 2u);
  let column3 = line_b(z, column + 3u);
  for (var k = begin; k < even; k += 4u) {
    var b0: vec4<f32>;
    var b1: vec4<f32>;
    var b2: vec4<f32>;
    var b3: vec4<f32>;
    if (B_ALONG_K) {
      let t0 = along_b(column0, z, k);
      let t1 = along_b(column1, z, k);
      let t2 = along_b(column2, z, k);
      let t3 = along_b(column3, z, k);
      b0 = vec4<f32>(t0.x, t1.x, t2.x, t3.x);
      b1 = vec4<f32>(t0.y, t1.y, t2.y, t3.y);
      b2 = vec4<f32>(t0.z, t1.z, t2.z, t3.z);
      b3 = vec4<f32>(t0.w, t1.w, t2.w, t3.w);
    } else {
      b0 = across_b(column0, column1, column2, column3, z, k);
      b1 = across_b(column0, column1, column2, column3, z, k + 1u);
      b2 = across_b(column0, column1, column2, column3, z, k + 2u);
      b3 = across_b(column0, column1, column2, column3, z, k + 3u);
    }
    if (A_ALONG_K) {
      let a0 = along_a(row0, z, k);
      c0 += a0.x * b0 + a0.y * b1 + a0.z * b2 + a0.w * b3;
      let a1 = along_a(row1, z, k);
      c1 += a1.x * b0 + a1.y * b1 + a1.z * b2 + a1.w * b3;
      let a2 = along_a(row2, z, k);
      c2 += a2.x * b0 + a2.y * b1 + a2.z * b2 + a2.w * b3;
      let a3 = along_a(row3, z, k);
      c3 += a3.x * b0 + a3.y * b1 + a3.z * b2 + a3.w * b3;
      let a4 = along_a(row4, z, k);
      c4 += a4.x * b0 + a4.y * b1 + a4.z * b2 + a4.w * b3;
      let a5 = along_a(row5, z, k);
      c5 += a5.x * b0 + a5.y * b1 + a5.z * b2 + a5.w * b3;
      let a6 = along_a(row6, z, k);
      c6 += a6.x * b0 + a6.y * b1 + a6.z * b2 + a6.w * b3;
      let a7 = along_a(row7, z, k);
      c7 += a7.x * b0 + a7.y * b1 + a7.z * b2 + a7.w * b3;
    } else {
      let u0 = across_a(row0, row1, row2, row3, z, k + 0u);
      let v0 = across_a(row4, row5, row6, row7, z, k + 0u);
      let u1 = across_a(row0, row1, row2, row3, z, k + 1u);
      let v1 = across_a(row4, row5, row6, row7, z, k + 1u);
      let u2 = across_a(row0, row1, row2, row3, z, k + 2u);
      let v2 = across_a(row4, row5, row6, row7, z, k + 2u);
      let u3 = across_a(row0, row1, row2, row3, z, k + 3u);
      let v3 = across_a(row4, row5, row6, row7, z, k + 3u);
      c0 += u0.x * b0 + u1.x * b1 + u2.x * b2 + u3.x * b3;
      c1 += u0.y * b0 + u1.y * b1 + u2.y * b2 + u3.y * b3;
      c2 += u0.z * b0 + u1.z * b1 + u2.z * b2 + u3.z * b3;
      c3 += u0.w * b0 + u1.w * b1 + u2.w * b2 + u3.w * b3;
      c4 += v0.x * b0 + v1.x * b1 + v2.x * b2 + v3.x * b3;
      c5 += v0.y * b0 + v1.y * b1 + v2.y * b2 + v3.y * b3;
      c6 += v0.z * b0 + v1.z * b1 + v2.z * b2 + v3.z * b3;
      c7 += v0.w * b0 + v1.w * b1 + v2.w * b2 + v3.w * b3;
    }
  }
  if (DEPTH % 4u != 0u) {
    for (var k = even; k < end; k++) {
      let b = vec4<f32>(load_b(column0, z, k), load_b(column1, z, k), load_b(column2, z, k), load_b(column3, z, k));
      c0 += load_a(row0, z, k) * b;
      c1 += load_a(row1, z, k) * b;
      c2 += load_a(row2, z, k) * b;
      c3 += load_a(row3, z, k) * b;
      c4 += load_a(row4, z, k) * b;
      c5 += load_a(row5, z, k) * b;
      c6 += load_a(row6, z, k) * b;
      c7 += load_a(row7, z, k) * b;
    }
  }
  // One `put` for all, row by row and column by column out of the first register: 32 copies of an epilogue took these
  // drivers most of the time for compiling. Bounds that are not constant keep the loops.
  for (var r = 0u; r < min(8u, M - row); r++) {
    for (var j = 0u; j < min(4u, N - column); j++) {
      put(z, split, row + r, column + j, c0.x);
      c0 = c0.yzwx;
    }
    c0 = c1;
    c1 = c2;
    c2 = c3;
    c3 = c4;
    c4 = c5;
    c5 = c6;
    c6 = c7;
  }
}
