// y[z, row] = sum over keys of weight * v[z, key], where weights are softmax(SCALE * q k^T) over the keys that a row
// sees, and the logarithm of each row's sum of exponentials. Scores exist for four keys at a time.
//
// Each invocation keeps ROWS queries and their sums in registers and walks over all keys that its workgroup sees; where
// a larger score appears, older sums are scaled down. On GPUs keys and values come through workgroup memory in steps of
// BLOCK; software drivers read them directly (their workgroup memory is plain memory and barriers are dear), and more
// rows share each read; loops over columns are kept from being unrolled there (by a bound that the compiler does not know:
// the workgroup's z is 0), for lavapipe compiles the unrolled text for 10 s. Source: Dao, "FlashAttention-2" (2023),
// algorithm 1.
//
// Generated: QUERIES, KEYS, WIDTH4, OUT, OUT4 (in vectors of four), BATCH, BLOCKS (workgroups per matrix), SIZE, ROWS,
// BLOCK, ROLLED (1: loops over columns must not be unrolled, 0: they may), CAUSAL, SCALE, ROW, base_q(z) and its kin,
// four_q(line, c) with line = base + row * STRIDE_Q, fetch(begin, lane, base_k, base_v), line_k(base, begin, key),
// near_k(line, c), the same for v, put(z, at, value).
const LOWEST = -1e30;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let number = group.y * ROW + group.x;
  let z = number / BLOCKS;
  if (z >= BATCH) {
    return;
  }
  let first = number % BLOCKS * SIZE * ROWS;
  let row = first + lane * ROWS;
  let width4 = WIDTH4 + ROLLED * group.z;
  let out4 = OUT4 + ROLLED * group.z;
  let start_q = base_q(z);
  let start_k = base_k(z);
  let start_v = base_v(z);
  var q: array<vec4<f32>, ROWS * WIDTH4>;
  var sums: array<vec4<f32>, ROWS * OUT4>;
  var largest: array<f32, ROWS>;
  var total: array<f32, ROWS>;
  for (var r = 0u; r < ROWS; r++) {
    largest[r] = LOWEST;
    let line = start_q + min(row + r, QUERIES - 1u) * STRIDE_Q;
    for (var c = 0u; c < width4; c++) {
      q[r * WIDTH4 + c] = SCALE * four_q(line, c);
    }
  }
  let end = select(KEYS, min(KEYS, first + SIZE * ROWS), CAUSAL);
  for (var begin = 0u; begin < end; begin += BLOCK) {
    fetch(begin, lane, start_k, start_v);
    let stop = min(begin + BLOCK, end);
    for (var key = begin; key < stop; key += 4u) {
      let k0 = line_k(start_k, begin, key);
      let k1 = line_k(start_k, begin, key + 1u);
      let k2 = line_k(start_k, begin, key + 2u);
      let k3 = line_k(start_k, begin, key + 3u);
      var p: array<vec4<f32>, ROWS>;
      for (var c = 0u; c < width4; c++) {
        let x0 = near_k(k0, c);
        let x1 = near_k(k1, c);
        let x2 = near_k(k2, c);
        let x3 = near_k(k3, c);
        for (var r = 0u; r < ROWS; r++) {
          let x = q[r * WIDTH4 + c];
          p[r] += vec4<f32>(dot(x, x0), dot(x, x1), dot(x, x2), dot(x, x3));
        }
      }
      let four = vec4<u32>(key, key + 1u, key + 2u, key + 3u);
      for (var r = 0u; r < ROWS; r++) {
        let limit = select(KEYS, min(KEYS, row + r + 1u), CAUSAL);
        let scores = select(p[r], vec4<f32>(LOWEST), four >= vec4<u32>(limit));
        let most = max(largest[r], max(max(scores.x, scores.y), max(scores.z, scores.w)));
        if (most > largest[r]) {
          let factor = weight_of(vec4<f32>(largest[r] - most)).x;
          total[r] *= factor;
          for (var c = 0u; c < out4; c++) {
            sums[r * OUT4 + c] *= factor;
          }
          largest[r] = most;
        }
        let weights = weight_of(scores - vec4<f32>(most));
        total[r] += weights.x + weights.y + (weights.z + weights.w);
        p[r] = weights;
      }
      let v0 = line_v(start_v, begin, key);
      let v1 = line_v(start_v, begin, key + 1u);
      let v2 = line_v(start_v, begin, key + 2u);
      let v3 = line_v(start_v, begin, key + 3u);
      for (var c = 0u; c < out4; c++) {
        let x0 = near_v(v0, c);
        let x1 = near_v(v1, c);
        let x2 = near_v(v2, c);
        let x3 = near_v(v3, c);
        for (var r = 0u; r < ROWS; r++) {
          let w = p[r];
          sums[r * OUT4 + c] += w.x * x0 + w.y * x1 + w.z * x2 + w.w * x3;
        }
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) {
    if (row + r < QUERIES) {
      for (var c = 0u; c < OUT; c++) {
        put(z, (row + r) * OUT + c, sums[r * OUT4 + c / 4u][c % 4u] / total[r]);
      }
      put(z, QUERIES * OUT + row + r, largest[r] + ln_of(total[r]));
    }
  }
}
