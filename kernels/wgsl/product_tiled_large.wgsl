// c[z, row, column] = sum over k of a[z, row, k] * b[z, column, k], for GPUs and large sizes.
//
// A workgroup of 16 x 16 invocations makes a tile of 128 x 128, each 8 x 8 in registers as four blocks of 4 x 4 (so
// that neighbours read neighbouring vectors); steps of 8 along k go through workgroup memory (8.3 KiB). The next step
// is fetched into registers while this one is multiplied. 64 multiply-adds per 4 vector reads.
// Generated: M, N, DEPTH, BATCH, SPLITS, CHUNK, TILES_M, TILES_N, ROW, A_ALONG_K, B_ALONG_K,
// LineA and line_a(z, row): what does not depend on k, along_a(line, z, k) (4 along k), across_a(line, line, line,
// line, z, k) (4 rows), the same for b and columns, put(z, split, row, column, value).
// Loaders give 0 beyond DEPTH and clamp lines outside of the matrix; `put` drops those.
const BM = 128u;
const BN = 128u;
const BK = 8u;
// Vectors per line of a tile; one more than needed, against bank conflicts.
const PITCH = 33u;
var<workgroup> tile_a: array<vec4<f32>, BK * PITCH>;
var<workgroup> tile_b: array<vec4<f32>, BK * PITCH>;

fn fetch_a(l0: LineA, l1: LineA, l2: LineA, l3: LineA, z: u32, k: u32) -> vec4<f32> {
  if (A_ALONG_K) {
    return along_a(l0, z, k);
  }
  return across_a(l0, l1, l2, l3, z, k);
}

fn fetch_b(l0: LineB, l1: LineB, l2: LineB, l3: LineB, z: u32, k: u32) -> vec4<f32> {
  if (B_ALONG_K) {
    return along_b(l0, z, k);
  }
  return across_b(l0, l1, l2, l3, z, k);
}

fn put4(z: u32, split: u32, row: u32, column: u32, c: vec4<f32>) {
  put(z, split, row, column, c.x);
  put(z, split, row, column + 1u, c.y);
  put(z, split, row, column + 2u, c.z);
  put(z, split, row, column + 3u, c.w);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let number = group.y * ROW + group.x;
  let part = number / (TILES_N * TILES_M);
  if (part >= BATCH * SPLITS) {
    return;
  }
  let first_column = (number % TILES_N) * BN;
  let first_row = ((number / TILES_N) % TILES_M) * BM;
  let z = part / SPLITS;
  let split = part % SPLITS;
  let begin = split * CHUNK;
  let end = min(begin + CHUNK, DEPTH);
  // What this invocation fetches: four numbers of each tile, along k or along the lines.
  let a_line = select(lane % 32u * 4u, lane / 2u, A_ALONG_K);
  let a_k = select(lane / 32u, lane % 2u * 4u, A_ALONG_K);
  let b_line = select(lane % 32u * 4u, lane / 2u, B_ALONG_K);
  let b_k = select(lane / 32u, lane % 2u * 4u, B_ALONG_K);
  // What it computes: 8 x 8 numbers, in blocks of 4 x 4 that are 64 apart.
  let x = lane % 16u;
  let y = lane / 16u;
  var c0l = vec4<f32>();
  var c0r = vec4<f32>();
  var c1l = vec4<f32>();
  var c1r = vec4<f32>();
  var c2l = vec4<f32>();
  var c2r = vec4<f32>();
  var c3l = vec4<f32>();
  var c3r = vec4<f32>();
  var c4l = vec4<f32>();
  var c4r = vec4<f32>();
  var c5l = vec4<f32>();
  var c5r = vec4<f32>();
  var c6l = vec4<f32>();
  var c6r = vec4<f32>();
  var c7l = vec4<f32>();
  var c7r = vec4<f32>();
  // Four lines, or one of which four numbers along k are fetched.
  let a_step = select(1u, 0u, A_ALONG_K);
  let a0 = line_a(z, first_row + a_line);
  let a1 = line_a(z, first_row + a_line + a_step);
  let a2 = line_a(z, first_row + a_line + 2u * a_step);
  let a3 = line_a(z, first_row + a_line + 3u * a_step);
  let b_step = select(1u, 0u, B_ALONG_K);
  let b0 = line_b(z, first_column + b_line);
  let b1 = line_b(z, first_column + b_line + b_step);
  let b2 = line_b(z, first_column + b_line + 2u * b_step);
  let b3 = line_b(z, first_column + b_line + 3u * b_step);
  var next_a = fetch_a(a0, a1, a2, a3, z, begin + a_k);
  var next_b = fetch_b(b0, b1, b2, b3, z, begin + b_k);
  for (var k = begin; k < end; k += BK) {
    if (A_ALONG_K) {
      let line = a_line / 4u;
      let lane_of_line = a_line % 4u;
      tile_a[a_k * PITCH + line][lane_of_line] = next_a.x;
      tile_a[(a_k + 1u) * PITCH + line][lane_of_line] = next_a.y;
      tile_a[(a_k + 2u) * PITCH + line][lane_of_line] = next_a.z;
      tile_a[(a_k + 3u) * PITCH + line][lane_of_line] = next_a.w;
    } else {
      tile_a[a_k * PITCH + a_line / 4u] = next_a;
    }
    if (B_ALONG_K) {
      let line = b_line / 4u;
      let lane_of_line = b_line % 4u;
      tile_b[b_k * PITCH + line][lane_of_line] = next_b.x;
      tile_b[(b_k + 1u) * PITCH + line][lane_of_line] = next_b.y;
      tile_b[(b_k + 2u) * PITCH + line][lane_of_line] = next_b.z;
      tile_b[(b_k + 3u) * PITCH + line][lane_of_line] = next_b.w;
    } else {
      tile_b[b_k * PITCH + b_line / 4u] = next_b;
    }
    workgroupBarrier();
    // Fetched while the products below run.
    if (k + BK < end) {
      next_a = fetch_a(a0, a1, a2, a3, z, k + BK + a_k);
      next_b = fetch_b(b0, b1, b2, b3, z, k + BK + b_k);
    }
    for (var q = 0u; q < BK; q++) {
      let a = tile_a[q * PITCH + y];
      let d = tile_a[q * PITCH + 16u + y];
      let l = tile_b[q * PITCH + x];
      let r = tile_b[q * PITCH + 16u + x];
      c0l += a.x * l;
      c0r += a.x * r;
      c1l += a.y * l;
      c1r += a.y * r;
      c2l += a.z * l;
      c2r += a.z * r;
      c3l += a.w * l;
      c3r += a.w * r;
      c4l += d.x * l;
      c4r += d.x * r;
      c5l += d.y * l;
      c5r += d.y * r;
      c6l += d.z * l;
      c6r += d.z * r;
      c7l += d.w * l;
      c7r += d.w * r;
    }
    workgroupBarrier();
  }
  let row = first_row + y * 4u;
  let column = first_column + x * 4u;
  put4(z, split, row + 0u, column, c0l);
  put4(z, split, row + 0u, column + 64u, c0r);
  put4(z, split, row + 1u, column, c1l);
  put4(z, split, row + 1u, column + 64u, c1r);
  put4(z, split, row + 2u, column, c2l);
  put4(z, split, row + 2u, column + 64u, c2r);
  put4(z, split, row + 3u, column, c3l);
  put4(z, split, row + 3u, column + 64u, c3r);
  put4(z, split, row + 64u, column, c4l);
  put4(z, split, row + 64u, column + 64u, c4r);
  put4(z, split, row + 65u, column, c5l);
  put4(z, split, row + 65u, column + 64u, c5r);
  put4(z, split, row + 66u, column, c6l);
  put4(z, split, row + 66u, column + 64u, c6r);
  put4(z, split, row + 67u, column, c7l);
  put4(z, split, row + 67u, column + 64u, c7r);
}
