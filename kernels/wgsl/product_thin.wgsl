// c[z, row, column] = sum over k of a[z, row, k] * b[z, column, k], one invocation per number: for shapes where no
// operand would be used more than a few times (depthwise convolutions), and for integers. No workgroup memory.
//
// Generated: M, N, DEPTH, BATCH, SPLITS, CHUNK, SIZE, ROW, Number, line_a(z, row), line_b(z, column),
// load_a(line, z, k), load_b(line, z, k), put(z, split, row, column, value).
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let number = (group.y * ROW + group.x) * SIZE + lane;
  let column = number % N;
  let row = number / N % M;
  let part = number / (N * M);
  if (part >= BATCH * SPLITS) {
    return;
  }
  let z = part / SPLITS;
  let split = part % SPLITS;
  let begin = split * CHUNK;
  let end = min(begin + CHUNK, DEPTH);
  let row_line = line_a(z, row);
  let column_line = line_b(z, column);
  var sum = Number();
  for (var k = begin; k < end; k++) {
    sum += load_a(row_line, z, k) * load_b(column_line, z, k);
  }
  put(z, split, row, column, sum);
}
