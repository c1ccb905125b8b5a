// c[z, row, column] = sum over k of a[z, row, k] * b[z, column, k], for software and integrated drivers.
//
// Each invocation keeps ROWS rows x 4 columns in registers and walks over k in steps of 4. No workgroup memory and no
// barriers: lavapipe and SwiftShader run barriers as coroutines, and their "workgroup memory" is plain memory. Lanes of
// a workgroup are neighbours in columns, so that the left side's address is the same for (most of) them. Registers have
// names, for these drivers keep arrays in memory: `registers.rs` writes their lines in the place of those with `//:`.
//
// Two variants. Plain: 8 rows, and a lane fetches all that it needs. Where subgroups exchange values (SHARES): 16 or 32
// rows, a workgroup is one subgroup, and each lane fetches its own columns but only its share of the rows, which the others
// get by broadcast: one fetch per lane for 64 multiplications, where the plain variant has one for 11. That counts where
// lanes are fetched one after the other: lavapipe on AVX2 takes 450 cycles for four numbers of each of 8 lanes, as each
// waits for the store before it (265 as two 64-bit numbers), and a broadcast about 6. Rows in lanes need a subgroup of 8 at
// least; larger ones fetch them more than once.
// Measured on lavapipe 22.3 (2 cores): plain 12-13 GFLOP/s with AVX-512 (workgroup tiles 2-4), 1.5 with AVX2 (768x512x784),
// where 16 shared rows reach 5.9 and in 64-bit numbers 10.4, 32 rows 8.6 and 14.3.
//
// Generated: M, N, DEPTH, BATCH, SPLITS, CHUNK, ROWS, SHARES, LANES_N, LANES_M, TILES_M, TILES_N, ROW, B_ALONG_K,
// LineA and line_a(z, row): what does not depend on k, computed once (these drivers move nothing out of loops),
// load_a(line, z, k), along_a(line, z, k) (4 along k), across_a(line, line, line, line, z, k) (4 rows), the same for
// b and columns, put(z, split, row, column, value).
// Lines outside of the matrix are clamped by the loaders, and dropped by `put`; beyond the end of the sums the loaders give 0.
@compute @workgroup_size(LANES_N * LANES_M)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let number = group.y * ROW + group.x;
  let column = ((number % TILES_N) * LANES_N + lane % LANES_N) * 4u;
  let row = (((number / TILES_N) % TILES_M) * LANES_M + lane / LANES_N) * ROWS;
  let part = number / (TILES_N * TILES_M);
  // All lanes take part in every broadcast.
  if (part >= BATCH * SPLITS || (!SHARES && (column >= N || row >= M))) {
    return;
  }
  let z = part / SPLITS;
  let split = part % SPLITS;
  let begin = split * CHUNK;
  let end = min(begin + CHUNK, DEPTH);
  //: registers
  //: lines
  let column0 = line_b(z, column + 0u);
  let column1 = line_b(z, column + 1u);
  let column2 = line_b(z, column + 2u);
  let column3 = line_b(z, column + 3u);
  for (var k = begin; k < end; k += 4u) {
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
    //: step
  }
  // One `put` for all, row by row and column by column out of the first register: copies of an epilogue took these drivers
  // most of the time for compiling. Bounds that are not constant keep the loops.
  for (var r = 0u; r < min(ROWS, M - row); r++) {
    for (var j = 0u; j < min(4u, N - column); j++) {
      put(z, split, row + r, column + j, c0.x);
      c0 = c0.yzwx;
    }
    //: shift
  }
}
