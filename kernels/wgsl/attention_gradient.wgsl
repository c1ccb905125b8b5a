// Gradients of an attention from the logarithms l of its rows' sums: with p = exp(SCALE * q k^T - l) and
// g = p * (dy v^T - delta), rows of queries get dq = SCALE * g k, rows of keys get dk = SCALE * g^T q and dv = p^T dy.
//
// Two dispatches of this text: rows are queries (a = q, b = dy; others are k, v), or rows are keys (a = k, b = v; others
// are q, dy). Each invocation keeps ROWS rows and their results in registers and walks over the others, so nothing is
// added up between invocations. Memory is used as in attention_forward.wgsl.
// Source: Dao, "FlashAttention-2" (2023), algorithm 2, with its outer loop on each side in turn.
//
// Generated: OWN, OTHERS (numbers of rows), OF_KEYS (whether rows are keys), A, A4, B, B4 (columns, in vectors of four),
// BATCH, BLOCKS, SIZE, ROWS, BLOCK, ROLLED, STEP (blocks begin at its multiples), CAUSAL, SCALE, ROW, START_A, START_B
// (of the results), base_own_a(z) and its kin, four_own_a(line, c) with line = base + row * STRIDE_OWN_A, fetch(begin,
// lane, base_a, base_b), line_a(base, begin, other), near_a(line, c), the same for b, logarithm(z, query),
// delta(z, query), put(z, at, value).
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let number = group.y * ROW + group.x;
  let z = number / BLOCKS;
  if (z >= BATCH) {
    return;
  }
  let first = number % BLOCKS * SIZE * ROWS;
  let row = first + lane * ROWS;
  let a4 = A4 + ROLLED * group.z;
  let b4 = B4 + ROLLED * group.z;
  let own_a = base_own_a(z);
  let own_b = base_own_b(z);
  let start_a = base_a(z);
  let start_b = base_b(z);
  let start_l = base_l(z);
  let start_delta = base_delta(z);
  var a: array<vec4<f32>, ROWS * A4>;
  var b: array<vec4<f32>, ROWS * B4>;
  var sums_a: array<vec4<f32>, ROWS * A4>;
  var sums_b: array<vec4<f32>, ROWS * B4>;
  var own_l: array<f32, ROWS>;
  var own_delta: array<f32, ROWS>;
  for (var r = 0u; r < ROWS; r++) {
    let own = min(row + r, OWN - 1u);
    let line_own_a = own_a + own * STRIDE_OWN_A;
    let line_own_b = own_b + own * STRIDE_OWN_B;
    for (var c = 0u; c < a4; c++) {
      a[r * A4 + c] = SCALE * four_own_a(line_own_a, c);
    }
    for (var c = 0u; c < b4; c++) {
      b[r * B4 + c] = four_own_b(line_own_b, c);
    }
    if (!OF_KEYS) {
      own_l[r] = logarithm(start_l, own);
      own_delta[r] = delta(start_delta, own);
    }
  }
  // Queries see keys up to their own number; keys are seen by queries from their own number on.
  let low = select(0u, first / STEP * STEP, CAUSAL & OF_KEYS);
  let high = select(OTHERS, min(OTHERS, first + SIZE * ROWS), CAUSAL & !OF_KEYS);
  for (var begin = low; begin < high; begin += BLOCK) {
    fetch(begin, lane, start_a, start_b);
    let stop = min(begin + BLOCK, high);
    for (var other = begin; other < stop; other += 4u) {
      let a0 = line_a(start_a, begin, other);
      let a1 = line_a(start_a, begin, other + 1u);
      let a2 = line_a(start_a, begin, other + 2u);
      let a3 = line_a(start_a, begin, other + 3u);
      let b0 = line_b(start_b, begin, other);
      let b1 = line_b(start_b, begin, other + 1u);
      let b2 = line_b(start_b, begin, other + 2u);
      let b3 = line_b(start_b, begin, other + 3u);
      let four = vec4<u32>(other, other + 1u, other + 2u, other + 3u);
      var other_l = vec4<f32>();
      var other_delta = vec4<f32>();
      if (OF_KEYS) {
        let at = min(four, vec4<u32>(OTHERS - 1u));
        other_l = vec4<f32>(logarithm(start_l, at.x), logarithm(start_l, at.y), logarithm(start_l, at.z),
          logarithm(start_l, at.w));
        other_delta = vec4<f32>(delta(start_delta, at.x), delta(start_delta, at.y), delta(start_delta, at.z),
          delta(start_delta, at.w));
      }
      var p: array<vec4<f32>, ROWS>;
      var g: array<vec4<f32>, ROWS>;
      for (var c = 0u; c < a4; c++) {
        let x0 = near_a(a0, c);
        let x1 = near_a(a1, c);
        let x2 = near_a(a2, c);
        let x3 = near_a(a3, c);
        for (var r = 0u; r < ROWS; r++) {
          let x = a[r * A4 + c];
          p[r] += vec4<f32>(dot(x, x0), dot(x, x1), dot(x, x2), dot(x, x3));
        }
      }
      for (var c = 0u; c < b4; c++) {
        let x0 = near_b(b0, c);
        let x1 = near_b(b1, c);
        let x2 = near_b(b2, c);
        let x3 = near_b(b3, c);
        for (var r = 0u; r < ROWS; r++) {
          let x = b[r * B4 + c];
          g[r] += vec4<f32>(dot(x, x0), dot(x, x1), dot(x, x2), dot(x, x3));
        }
      }
      for (var r = 0u; r < ROWS; r++) {
        let l = select(vec4<f32>(own_l[r]), other_l, OF_KEYS);
        let less = select(vec4<f32>(own_delta[r]), other_delta, OF_KEYS);
        var hidden = four >= vec4<u32>(OTHERS);
        if (CAUSAL) {
          hidden = hidden | select(four > vec4<u32>(row + r), four < vec4<u32>(row + r), OF_KEYS);
        }
        p[r] = select(weight_of(p[r] - l), vec4<f32>(), hidden);
        g[r] = select(p[r] * (g[r] - less), vec4<f32>(), hidden);
      }
      for (var c = 0u; c < a4; c++) {
        let x0 = near_a(a0, c);
        let x1 = near_a(a1, c);
        let x2 = near_a(a2, c);
        let x3 = near_a(a3, c);
        for (var r = 0u; r < ROWS; r++) {
          let w = g[r];
          sums_a[r * A4 + c] += w.x * x0 + w.y * x1 + w.z * x2 + w.w * x3;
        }
      }
      if (OF_KEYS) {
        for (var c = 0u; c < b4; c++) {
          let x0 = near_b(b0, c);
          let x1 = near_b(b1, c);
          let x2 = near_b(b2, c);
          let x3 = near_b(b3, c);
          for (var r = 0u; r < ROWS; r++) {
            let w = p[r];
            sums_b[r * B4 + c] += w.x * x0 + w.y * x1 + w.z * x2 + w.w * x3;
          }
        }
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) {
    if (row + r < OWN) {
      for (var c = 0u; c < A; c++) {
        put(z, START_A + (row + r) * A + c, SCALE * sums_a[r * A4 + c / 4u][c % 4u]);
      }
      if (OF_KEYS) {
        for (var c = 0u; c < B; c++) {
          put(z, START_B + (row + r) * B + c, sums_b[r * B4 + c / 4u][c % 4u]);
        }
      }
    }
  }
}
