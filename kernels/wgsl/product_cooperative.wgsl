// c[z, row, column] = sum over k of a[z, row, k] * b[z, column, k], f16 factors and f32 sums on matrix hardware.
//
// Four subgroups make a tile of 4 SIDE x 4 SIDE; each owns a quarter of it as 2 x 2 hardware tiles (SIDE is 8 or 16).
// Steps of 2 SIDE along k go through workgroup memory as f16, which takes any strides and edges; the sums come back
// through workgroup memory as f32 (together 24 KiB for SIDE 16), for a hardware tile's elements cannot be read.
// Strides and targets of loads and stores are bound by `let` first: naga 30 cannot translate them in place.
//
// Generated: SIDE, SUBGROUP, MatrixA, MatrixB, MatrixC (aliases of the hardware tile), M, N, DEPTH, BATCH, SPLITS,
// CHUNK, TILES_M, TILES_N, ROW, A_ALONG_K, B_ALONG_K, LineA and line_a(z, row), along_a(line, z, k) (4 along k),
// across_a(line, line, line, line, z, k) (4 rows), the same for b and columns, put(z, split, row, column, value).
// Loaders give 0 beyond DEPTH and clamp lines outside of the matrix; `put` drops those.
const TILE = 4u * SIDE;
const BK = 2u * SIDE;
const THREADS = 4u * SUBGROUP;
// Vectors of four per operand and step, and how many of them one invocation fetches.
const FETCHES = TILE * BK / 4u;
var<workgroup> tile_a: array<f16, TILE * BK>;
var<workgroup> tile_b: array<f16, TILE * BK>;
var<workgroup> tile_c: array<f32, TILE * TILE>;

// a is kept as [row][k], whichever way it was fetched.
fn fetch_a(number: u32, z: u32, first: u32, k: u32) {
  if (A_ALONG_K) {
    let line = number / (BK / 4u);
    let q = number % (BK / 4u) * 4u;
    let v = along_a(line_a(z, first + line), z, k + q);
    let at = line * BK + q;
    tile_a[at] = f16(v.x);
    tile_a[at + 1u] = f16(v.y);
    tile_a[at + 2u] = f16(v.z);
    tile_a[at + 3u] = f16(v.w);
  } else {
    let line = number % (TILE / 4u) * 4u;
    let q = number / (TILE / 4u);
    let l = first + line;
    let v = across_a(line_a(z, l), line_a(z, l + 1u), line_a(z, l + 2u), line_a(z, l + 3u), z, k + q);
    let at = line * BK + q;
    tile_a[at] = f16(v.x);
    tile_a[at + BK] = f16(v.y);
    tile_a[at + 2u * BK] = f16(v.z);
    tile_a[at + 3u * BK] = f16(v.w);
  }
}

// b is kept as [k][column].
fn fetch_b(number: u32, z: u32, first: u32, k: u32) {
  if (B_ALONG_K) {
    let line = number / (BK / 4u);
    let q = number % (BK / 4u) * 4u;
    let v = along_b(line_b(z, first + line), z, k + q);
    let at = q * TILE + line;
    tile_b[at] = f16(v.x);
    tile_b[at + TILE] = f16(v.y);
    tile_b[at + 2u * TILE] = f16(v.z);
    tile_b[at + 3u * TILE] = f16(v.w);
  } else {
    let line = number % (TILE / 4u) * 4u;
    let q = number / (TILE / 4u);
    let l = first + line;
    let v = across_b(line_b(z, l), line_b(z, l + 1u), line_b(z, l + 2u), line_b(z, l + 3u), z, k + q);
    let at = q * TILE + line;
    tile_b[at] = f16(v.x);
    tile_b[at + 1u] = f16(v.y);
    tile_b[at + 2u] = f16(v.z);
    tile_b[at + 3u] = f16(v.w);
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let number = group.y * ROW + group.x;
  let part = number / (TILES_N * TILES_M);
  if (part >= BATCH * SPLITS) {
    return;
  }
  let first_column = (number % TILES_N) * TILE;
  let first_row = ((number / TILES_N) % TILES_M) * TILE;
  let z = part / SPLITS;
  let split = part % SPLITS;
  let begin = split * CHUNK;
  let end = min(begin + CHUNK, DEPTH);
  let own = lane / SUBGROUP;
  let own_row = own / 2u * 2u * SIDE;
  let own_column = own % 2u * 2u * SIDE;
  var c00 = MatrixC();
  var c01 = MatrixC();
  var c10 = MatrixC();
  var c11 = MatrixC();
  for (var k = begin; k < end; k += BK) {
    for (var fetch = lane; fetch < FETCHES; fetch += THREADS) {
      fetch_a(fetch, z, first_row, k);
      fetch_b(fetch, z, first_column, k);
    }
    workgroupBarrier();
    for (var q = 0u; q < BK; q += SIDE) {
      let pitch_a = BK;
      let pitch_b = TILE;
      let at_a0 = own_row * BK + q;
      let at_a1 = (own_row + SIDE) * BK + q;
      let at_b0 = q * TILE + own_column;
      let at_b1 = q * TILE + own_column + SIDE;
      let a0 = coopLoadT<MatrixA>(&tile_a[at_a0], pitch_a);
      let a1 = coopLoadT<MatrixA>(&tile_a[at_a1], pitch_a);
      let b0 = coopLoadT<MatrixB>(&tile_b[at_b0], pitch_b);
      let b1 = coopLoadT<MatrixB>(&tile_b[at_b1], pitch_b);
      c00 = coopMultiplyAdd(a0, b0, c00);
      c01 = coopMultiplyAdd(a0, b1, c01);
      c10 = coopMultiplyAdd(a1, b0, c10);
      c11 = coopMultiplyAdd(a1, b1, c11);
    }
    workgroupBarrier();
  }
  let pitch = TILE;
  let at00 = own_row * TILE + own_column;
  let at01 = at00 + SIDE;
  let at10 = at00 + SIDE * TILE;
  let at11 = at10 + SIDE;
  let r00 = c00;
  let r01 = c01;
  let r10 = c10;
  let r11 = c11;
  coopStoreT(r00, &tile_c[at00], pitch);
  coopStoreT(r01, &tile_c[at01], pitch);
  coopStoreT(r10, &tile_c[at10], pitch);
  coopStoreT(r11, &tile_c[at11], pitch);
  workgroupBarrier();
  for (var at = lane; at < TILE * TILE; at += THREADS) {
    put(z, split, first_row + at / TILE, first_column + at % TILE, tile_c[at]);
  }
}
