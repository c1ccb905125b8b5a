// c[z, row, column] = sum over k of a[z, row, k] * b[z, column, k], for software drivers whose subgroups exchange values.
//
// A workgroup is one subgroup: 16 rows x (4 columns per lane). Each lane fetches its own columns, but only its share of
// the rows, which the others get by broadcast: there is one fetch per lane for 42 multiplications, where the plain variant
// has one for 11. That counts where lanes are fetched one after the other: lavapipe takes 450 cycles for four numbers of
// each of 8 lanes on AVX2, as each waits for the store before it, and a broadcast about 6. Rows in lanes need a subgroup
// of 8 at least; larger ones fetch them twice. Measured on lavapipe 22.3 (AVX2, 2 cores): 5.5 GFLOP/s beside 1.5.
//
// Generated: M, N, DEPTH, BATCH, SPLITS, CHUNK, SUBGROUP, TILES_M, TILES_N, ROW, A_ALONG_K, B_ALONG_K, and the loaders of
// `product_software.wgsl`, and put. Lines outside of the matrix are clamped by the loaders, and dropped by `put`: every
// lane takes part in every broadcast.
@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let number = group.y * ROW + group.x;
  let column = ((number % TILES_N) * SUBGROUP + lane) * 4u;
  let row = ((number / TILES_N) % TILES_M) * 16u;
  let part = number / (TILES_N * TILES_M);
  if (part >= BATCH * SPLITS) {
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
  var c8 = vec4<f32>();
  var c9 = vec4<f32>();
  var c10 = vec4<f32>();
  var c11 = vec4<f32>();
  var c12 = vec4<f32>();
  var c13 = vec4<f32>();
  var c14 = vec4<f32>();
  var c15 = vec4<f32>();
  let column0 = line_b(z, column + 0u);
  let column1 = line_b(z, column + 1u);
  let column2 = line_b(z, column + 2u);
  let column3 = line_b(z, column + 3u);
  // Of every eight rows, a lane fetches one along k, or four rows at one of the four places along k.
  let one = row + lane % 8u;
  let one0 = line_a(z, one);
  let one1 = line_a(z, one + 8u);
  let place = lane % 4u;
  let four = row + lane / 4u % 2u * 4u;
  let four00 = line_a(z, four + 0u);
  let four01 = line_a(z, four + 1u);
  let four02 = line_a(z, four + 2u);
  let four03 = line_a(z, four + 3u);
  let four10 = line_a(z, four + 8u);
  let four11 = line_a(z, four + 9u);
  let four12 = line_a(z, four + 10u);
  let four13 = line_a(z, four + 11u);
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
      let s0 = along_a(one0, z, k);
      let s1 = along_a(one1, z, k);
      let a0 = subgroupBroadcast(s0, 0u);
      c0 += a0.x * b0 + a0.y * b1 + a0.z * b2 + a0.w * b3;
      let a1 = subgroupBroadcast(s0, 1u);
      c1 += a1.x * b0 + a1.y * b1 + a1.z * b2 + a1.w * b3;
      let a2 = subgroupBroadcast(s0, 2u);
      c2 += a2.x * b0 + a2.y * b1 + a2.z * b2 + a2.w * b3;
      let a3 = subgroupBroadcast(s0, 3u);
      c3 += a3.x * b0 + a3.y * b1 + a3.z * b2 + a3.w * b3;
      let a4 = subgroupBroadcast(s0, 4u);
      c4 += a4.x * b0 + a4.y * b1 + a4.z * b2 + a4.w * b3;
      let a5 = subgroupBroadcast(s0, 5u);
      c5 += a5.x * b0 + a5.y * b1 + a5.z * b2 + a5.w * b3;
      let a6 = subgroupBroadcast(s0, 6u);
      c6 += a6.x * b0 + a6.y * b1 + a6.z * b2 + a6.w * b3;
      let a7 = subgroupBroadcast(s0, 7u);
      c7 += a7.x * b0 + a7.y * b1 + a7.z * b2 + a7.w * b3;
      let a8 = subgroupBroadcast(s1, 0u);
      c8 += a8.x * b0 + a8.y * b1 + a8.z * b2 + a8.w * b3;
      let a9 = subgroupBroadcast(s1, 1u);
      c9 += a9.x * b0 + a9.y * b1 + a9.z * b2 + a9.w * b3;
      let a10 = subgroupBroadcast(s1, 2u);
      c10 += a10.x * b0 + a10.y * b1 + a10.z * b2 + a10.w * b3;
      let a11 = subgroupBroadcast(s1, 3u);
      c11 += a11.x * b0 + a11.y * b1 + a11.z * b2 + a11.w * b3;
      let a12 = subgroupBroadcast(s1, 4u);
      c12 += a12.x * b0 + a12.y * b1 + a12.z * b2 + a12.w * b3;
      let a13 = subgroupBroadcast(s1, 5u);
      c13 += a13.x * b0 + a13.y * b1 + a13.z * b2 + a13.w * b3;
      let a14 = subgroupBroadcast(s1, 6u);
      c14 += a14.x * b0 + a14.y * b1 + a14.z * b2 + a14.w * b3;
      let a15 = subgroupBroadcast(s1, 7u);
      c15 += a15.x * b0 + a15.y * b1 + a15.z * b2 + a15.w * b3;
    } else {
      let s0 = across_a(four00, four01, four02, four03, z, k + place);
      let s1 = across_a(four10, four11, four12, four13, z, k + place);
      let a00 = subgroupBroadcast(s0, 0u);
      let a01 = subgroupBroadcast(s0, 1u);
      let a02 = subgroupBroadcast(s0, 2u);
      let a03 = subgroupBroadcast(s0, 3u);
      c0 += a00.x * b0 + a01.x * b1 + a02.x * b2 + a03.x * b3;
      c1 += a00.y * b0 + a01.y * b1 + a02.y * b2 + a03.y * b3;
      c2 += a00.z * b0 + a01.z * b1 + a02.z * b2 + a03.z * b3;
      c3 += a00.w * b0 + a01.w * b1 + a02.w * b2 + a03.w * b3;
      let a10 = subgroupBroadcast(s0, 4u);
      let a11 = subgroupBroadcast(s0, 5u);
      let a12 = subgroupBroadcast(s0, 6u);
      let a13 = subgroupBroadcast(s0, 7u);
      c4 += a10.x * b0 + a11.x * b1 + a12.x * b2 + a13.x * b3;
      c5 += a10.y * b0 + a11.y * b1 + a12.y * b2 + a13.y * b3;
      c6 += a10.z * b0 + a11.z * b1 + a12.z * b2 + a13.z * b3;
      c7 += a10.w * b0 + a11.w * b1 + a12.w * b2 + a13.w * b3;
      let a20 = subgroupBroadcast(s1, 0u);
      let a21 = subgroupBroadcast(s1, 1u);
      let a22 = subgroupBroadcast(s1, 2u);
      let a23 = subgroupBroadcast(s1, 3u);
      c8 += a20.x * b0 + a21.x * b1 + a22.x * b2 + a23.x * b3;
      c9 += a20.y * b0 + a21.y * b1 + a22.y * b2 + a23.y * b3;
      c10 += a20.z * b0 + a21.z * b1 + a22.z * b2 + a23.z * b3;
      c11 += a20.w * b0 + a21.w * b1 + a22.w * b2 + a23.w * b3;
      let a30 = subgroupBroadcast(s1, 4u);
      let a31 = subgroupBroadcast(s1, 5u);
      let a32 = subgroupBroadcast(s1, 6u);
      let a33 = subgroupBroadcast(s1, 7u);
      c12 += a30.x * b0 + a31.x * b1 + a32.x * b2 + a33.x * b3;
      c13 += a30.y * b0 + a31.y * b1 + a32.y * b2 + a33.y * b3;
      c14 += a30.z * b0 + a31.z * b1 + a32.z * b2 + a33.z * b3;
      c15 += a30.w * b0 + a31.w * b1 + a32.w * b2 + a33.w * b3;
    }
  }
  if (DEPTH % 4u != 0u) {
    for (var k = even; k < end; k++) {
      let b = vec4<f32>(load_b(column0, z, k), load_b(column1, z, k), load_b(column2, z, k), load_b(column3, z, k));
      let s0 = load_a(one0, z, k);
      let s1 = load_a(one1, z, k);
      c0 += subgroupBroadcast(s0, 0u) * b;
      c1 += subgroupBroadcast(s0, 1u) * b;
      c2 += subgroupBroadcast(s0, 2u) * b;
      c3 += subgroupBroadcast(s0, 3u) * b;
      c4 += subgroupBroadcast(s0, 4u) * b;
      c5 += subgroupBroadcast(s0, 5u) * b;
      c6 += subgroupBroadcast(s0, 6u) * b;
      c7 += subgroupBroadcast(s0, 7u) * b;
      c8 += subgroupBroadcast(s1, 0u) * b;
      c9 += subgroupBroadcast(s1, 1u) * b;
      c10 += subgroupBroadcast(s1, 2u) * b;
      c11 += subgroupBroadcast(s1, 3u) * b;
      c12 += subgroupBroadcast(s1, 4u) * b;
      c13 += subgroupBroadcast(s1, 5u) * b;
      c14 += subgroupBroadcast(s1, 6u) * b;
      c15 += subgroupBroadcast(s1, 7u) * b;
    }
  }
  // One `put` for all, row by row and column by column out of the first register: 64 copies of an epilogue took these
  // drivers most of the time for compiling. Bounds that are not constant keep the loops.
  for (var r = 0u; r < min(16u, M - row); r++) {
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
    c7 = c8;
    c8 = c9;
    c9 = c10;
    c10 = c11;
    c11 = c12;
    c12 = c13;
    c13 = c14;
    c14 = c15;
  }
}
