// c[z, row, column] = sum over k of a[z, row, k] * b[z, column, k], for software drivers whose subgroups exchange values.
//
// A workgroup is one subgroup: 32 rows x (4 columns per lane). Each lane fetches its own columns, but only its share of the
// rows, which the others get by broadcast: one fetch per lane for 64 multiplications, where the plain variant has one for
// 11. That counts where lanes are fetched one after the other: lavapipe on AVX2 takes 450 cycles for four numbers of each
// of 8 lanes, as each waits for the store before it (265 as two 64-bit numbers), and a broadcast about 6. Rows in lanes
// need a subgroup of 8 at least; larger ones fetch them more than once.
// Measured on lavapipe 22.3 (AVX2, 2 cores, 768x512x784): plain 1.5 GFLOP/s; by 16 rows 5.9, in 64-bit numbers 10.4; by 32
// rows 8.6, in 64-bit numbers 14.3.
//
// Generated: M, N, DEPTH, BATCH, SPLITS, CHUNK, SUBGROUP, TILES_M, TILES_N, ROW, A_ALONG_K, B_ALONG_K, and the loaders and
// `put` of `product_software.wgsl`. Lines outside of the matrix are clamped by the loaders, and dropped by `put`: every lane
// takes part in every broadcast.
@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let number = group.y * ROW + group.x;
  let column = ((number % TILES_N) * SUBGROUP + lane) * 4u;
  let row = ((number / TILES_N) % TILES_M) * 32u;
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
  var c16 = vec4<f32>();
  var c17 = vec4<f32>();
  var c18 = vec4<f32>();
  var c19 = vec4<f32>();
  var c20 = vec4<f32>();
  var c21 = vec4<f32>();
  var c22 = vec4<f32>();
  var c23 = vec4<f32>();
  var c24 = vec4<f32>();
  var c25 = vec4<f32>();
  var c26 = vec4<f32>();
  var c27 = vec4<f32>();
  var c28 = vec4<f32>();
  var c29 = vec4<f32>();
  var c30 = vec4<f32>();
  var c31 = vec4<f32>();
  let column0 = line_b(z, column + 0u);
  let column1 = line_b(z, column + 1u);
  let column2 = line_b(z, column + 2u);
  let column3 = line_b(z, column + 3u);
  // Of every eight rows, a lane fetches one along k, or four at one of four places along k.
  let one = row + lane % 8u;
  let one0 = line_a(z, one + 0u);
  let one1 = line_a(z, one + 8u);
  let one2 = line_a(z, one + 16u);
  let one3 = line_a(z, one + 24u);
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
  let four20 = line_a(z, four + 16u);
  let four21 = line_a(z, four + 17u);
  let four22 = line_a(z, four + 18u);
  let four23 = line_a(z, four + 19u);
  let four30 = line_a(z, four + 24u);
  let four31 = line_a(z, four + 25u);
  let four32 = line_a(z, four + 26u);
  let four33 = line_a(z, four + 27u);
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
      let s2 = along_a(one2, z, k);
      let s3 = along_a(one3, z, k);
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
      let a16 = subgroupBroadcast(s2, 0u);
      c16 += a16.x * b0 + a16.y * b1 + a16.z * b2 + a16.w * b3;
      let a17 = subgroupBroadcast(s2, 1u);
      c17 += a17.x * b0 + a17.y * b1 + a17.z * b2 + a17.w * b3;
      let a18 = subgroupBroadcast(s2, 2u);
      c18 += a18.x * b0 + a18.y * b1 + a18.z * b2 + a18.w * b3;
      let a19 = subgroupBroadcast(s2, 3u);
      c19 += a19.x * b0 + a19.y * b1 + a19.z * b2 + a19.w * b3;
      let a20 = subgroupBroadcast(s2, 4u);
      c20 += a20.x * b0 + a20.y * b1 + a20.z * b2 + a20.w * b3;
      let a21 = subgroupBroadcast(s2, 5u);
      c21 += a21.x * b0 + a21.y * b1 + a21.z * b2 + a21.w * b3;
      let a22 = subgroupBroadcast(s2, 6u);
      c22 += a22.x * b0 + a22.y * b1 + a22.z * b2 + a22.w * b3;
      let a23 = subgroupBroadcast(s2, 7u);
      c23 += a23.x * b0 + a23.y * b1 + a23.z * b2 + a23.w * b3;
      let a24 = subgroupBroadcast(s3, 0u);
      c24 += a24.x * b0 + a24.y * b1 + a24.z * b2 + a24.w * b3;
      let a25 = subgroupBroadcast(s3, 1u);
      c25 += a25.x * b0 + a25.y * b1 + a25.z * b2 + a25.w * b3;
      let a26 = subgroupBroadcast(s3, 2u);
      c26 += a26.x * b0 + a26.y * b1 + a26.z * b2 + a26.w * b3;
      let a27 = subgroupBroadcast(s3, 3u);
      c27 += a27.x * b0 + a27.y * b1 + a27.z * b2 + a27.w * b3;
      let a28 = subgroupBroadcast(s3, 4u);
      c28 += a28.x * b0 + a28.y * b1 + a28.z * b2 + a28.w * b3;
      let a29 = subgroupBroadcast(s3, 5u);
      c29 += a29.x * b0 + a29.y * b1 + a29.z * b2 + a29.w * b3;
      let a30 = subgroupBroadcast(s3, 6u);
      c30 += a30.x * b0 + a30.y * b1 + a30.z * b2 + a30.w * b3;
      let a31 = subgroupBroadcast(s3, 7u);
      c31 += a31.x * b0 + a31.y * b1 + a31.z * b2 + a31.w * b3;
    } else {
      let s0 = across_a(four00, four01, four02, four03, z, k + place);
      let s1 = across_a(four10, four11, four12, four13, z, k + place);
      let s2 = across_a(four20, four21, four22, four23, z, k + place);
      let s3 = across_a(four30, four31, four32, four33, z, k + place);
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
      let a40 = subgroupBroadcast(s2, 0u);
      let a41 = subgroupBroadcast(s2, 1u);
      let a42 = subgroupBroadcast(s2, 2u);
      let a43 = subgroupBroadcast(s2, 3u);
      c16 += a40.x * b0 + a41.x * b1 + a42.x * b2 + a43.x * b3;
      c17 += a40.y * b0 + a41.y * b1 + a42.y * b2 + a43.y * b3;
      c18 += a40.z * b0 + a41.z * b1 + a42.z * b2 + a43.z * b3;
      c19 += a40.w * b0 + a41.w * b1 + a42.w * b2 + a43.w * b3;
      let a50 = subgroupBroadcast(s2, 4u);
      let a51 = subgroupBroadcast(s2, 5u);
      let a52 = subgroupBroadcast(s2, 6u);
      let a53 = subgroupBroadcast(s2, 7u);
      c20 += a50.x * b0 + a51.x * b1 + a52.x * b2 + a53.x * b3;
      c21 += a50.y * b0 + a51.y * b1 + a52.y * b2 + a53.y * b3;
      c22 += a50.z * b0 + a51.z * b1 + a52.z * b2 + a53.z * b3;
      c23 += a50.w * b0 + a51.w * b1 + a52.w * b2 + a53.w * b3;
      let a60 = subgroupBroadcast(s3, 0u);
      let a61 = subgroupBroadcast(s3, 1u);
      let a62 = subgroupBroadcast(s3, 2u);
      let a63 = subgroupBroadcast(s3, 3u);
      c24 += a60.x * b0 + a61.x * b1 + a62.x * b2 + a63.x * b3;
      c25 += a60.y * b0 + a61.y * b1 + a62.y * b2 + a63.y * b3;
      c26 += a60.z * b0 + a61.z * b1 + a62.z * b2 + a63.z * b3;
      c27 += a60.w * b0 + a61.w * b1 + a62.w * b2 + a63.w * b3;
      let a70 = subgroupBroadcast(s3, 4u);
      let a71 = subgroupBroadcast(s3, 5u);
      let a72 = subgroupBroadcast(s3, 6u);
      let a73 = subgroupBroadcast(s3, 7u);
      c28 += a70.x * b0 + a71.x * b1 + a72.x * b2 + a73.x * b3;
      c29 += a70.y * b0 + a71.y * b1 + a72.y * b2 + a73.y * b3;
      c30 += a70.z * b0 + a71.z * b1 + a72.z * b2 + a73.z * b3;
      c31 += a70.w * b0 + a71.w * b1 + a72.w * b2 + a73.w * b3;
    }
  }
  if (DEPTH % 4u != 0u) {
    for (var k = even; k < end; k++) {
      let b = vec4<f32>(load_b(column0, z, k), load_b(column1, z, k), load_b(column2, z, k), load_b(column3, z, k));
      let s0 = load_a(one0, z, k);
      let s1 = load_a(one1, z, k);
      let s2 = load_a(one2, z, k);
      let s3 = load_a(one3, z, k);
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
      c16 += subgroupBroadcast(s2, 0u) * b;
      c17 += subgroupBroadcast(s2, 1u) * b;
      c18 += subgroupBroadcast(s2, 2u) * b;
      c19 += subgroupBroadcast(s2, 3u) * b;
      c20 += subgroupBroadcast(s2, 4u) * b;
      c21 += subgroupBroadcast(s2, 5u) * b;
      c22 += subgroupBroadcast(s2, 6u) * b;
      c23 += subgroupBroadcast(s2, 7u) * b;
      c24 += subgroupBroadcast(s3, 0u) * b;
      c25 += subgroupBroadcast(s3, 1u) * b;
      c26 += subgroupBroadcast(s3, 2u) * b;
      c27 += subgroupBroadcast(s3, 3u) * b;
      c28 += subgroupBroadcast(s3, 4u) * b;
      c29 += subgroupBroadcast(s3, 5u) * b;
      c30 += subgroupBroadcast(s3, 6u) * b;
      c31 += subgroupBroadcast(s3, 7u) * b;
    }
  }
  // One `put` for all, row by row and column by column out of the first register: copies of an epilogue took these drivers
  // most of the time for compiling. Bounds that are not constant keep the loops.
  for (var r = 0u; r < min(32u, M - row); r++) {
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
    c15 = c16;
    c16 = c17;
    c17 = c18;
    c18 = c19;
    c19 = c20;
    c20 = c21;
    c21 = c22;
    c22 = c23;
    c23 = c24;
    c24 = c25;
    c25 = c26;
    c26 = c27;
    c27 = c28;
    c28 = c29;
    c29 = c30;
    c30 = c31;
  }
}
