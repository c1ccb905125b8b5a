//! Products of matrices, the core of Matmul and Conv: which variant, which tiles, and how the text is put together.
//!
//! Every variant computes `c[z, row, column] = sum over k of a[z, row, k] * b[z, column, k]` and reaches its operands
//! only through generated loaders, its result only through `put`. Matmul's loaders are strided, Conv's are index
//! arithmetic (an implicit GEMM): see `matmul.rs` and `conv.rs`.

use std::fmt::Write;

use anygrad_core::DType;

use crate::body::Body;
use crate::buffers::{Buffers, Job};
use crate::map::{finish, fold};
use crate::registers;
use crate::shader::{Place, Refusal, Shader};
use crate::target::{Cooperative, Target};
use crate::words;

/// A batch of products, in the view of the variants.
#[derive(Debug)]
pub(crate) struct Product {
    /// Rows, columns, length of the sums, number of products.
    pub(crate) m: u64,
    pub(crate) n: u64,
    pub(crate) depth: u64,
    pub(crate) batch: u64,
    /// Whether a's numbers are better fetched four along k, else four rows; the same for b and columns.
    pub(crate) a_along_k: bool,
    pub(crate) b_along_k: bool,
    /// WGSL of `line_a(z, row)`, `load_a(line, z, k)`, `along_a`, `across_a`, the same for b, and of
    /// `point(z, row, column)`.
    pub(crate) functions: String,
}

/// Which file computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    Thin,
    Software,
    /// Software drivers whose subgroups exchange values, with that many rows per lane.
    Subgroup(u64),
    Tiled,
    TiledLarge,
    /// On hardware tiles of that side.
    Cooperative(u64),
}

impl Variant {
    /// In steps of how many along k numbers are fetched: beyond the end of the sums if their length is no multiple of it.
    pub(crate) fn step(self) -> u64 {
        match self {
            Variant::Thin => 1,
            Variant::Software | Variant::Subgroup(_) => 4,
            Variant::Tiled | Variant::TiledLarge | Variant::Cooperative(_) => 32,
        }
    }
}

/// A product's variant and in how many parts its sums are cut (each part goes to scratch; a reduction adds them up).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) variant: Variant,
    pub(crate) splits: u64,
}

/// How many workgroups fill a large GPU (132 multiprocessors on an H200), and a software driver's cores.
const FILLED: u64 = 128;
const FILLED_SOFTWARE: u64 = 8;
/// Parts of a sum are at least this long, for each costs a pass over the result.
const LEAST_PART: u64 = 256;

/// On software drivers: narrow products with at most so many multiplications are reductions, which compile in a quarter of the
/// time, and only products with so many keep 32 rows, which take half as much again for compiling as 16.
const THIN: u64 = 1 << 17;
const MANY_ROWS: u64 = 1 << 25;

/// The heuristics.
pub(crate) fn choose(m: u64, n: u64, depth: u64, batch: u64, factors: DType, target: &Target) -> Choice {
    let tiles = |bm: u64, bn: u64| m.div_ceil(bm) * n.div_ceil(bn) * batch;
    let work = m * n * depth * batch;
    let thin =
        !factors.is_float() || m < 4 || n < 4 || (target.software && work <= THIN && m.min(n) < 16 && depth > 32);
    let cooperative = cooperative(factors, target).filter(|side| m >= 2 * side && n >= 2 * side && depth >= *side);
    let (variant, groups, filled) = if thin {
        (Variant::Thin, (m * n * batch).div_ceil(64), if target.software { FILLED_SOFTWARE } else { 2 * FILLED })
    } else if let Some(side) = cooperative {
        (Variant::Cooperative(side), tiles(4 * side, 4 * side), FILLED)
    } else if target.software && target.broadcasts && target.subgroup >= 8 && m > 8 && n > 16 {
        let rows = if m > 16 && work >= MANY_ROWS { 32 } else { 16 };
        (Variant::Subgroup(rows), tiles(rows, 4 * u64::from(target.subgroup)), FILLED_SOFTWARE)
    } else if target.software || target.invocations < 256 {
        (Variant::Software, tiles(8, 4).div_ceil(64), FILLED_SOFTWARE)
    } else if tiles(128, 128) >= FILLED && m > 64 && n > 64 {
        (Variant::TiledLarge, tiles(128, 128), FILLED)
    } else {
        (Variant::Tiled, tiles(64, 64), FILLED)
    };
    let splits = if groups * 2 <= filled { (filled / groups.max(1)).min(depth / LEAST_PART).clamp(1, 64) } else { 1 };
    // Parts are whole tiles along k; none is empty.
    Choice { variant, splits: depth.div_ceil(part_length(depth, splits)).max(1) }
}

/// How long the parts of a sum are: a multiple of every variant's step along k.
fn part_length(depth: u64, splits: u64) -> u64 {
    depth.div_ceil(splits).next_multiple_of(32).max(32)
}

/// The side of the hardware tiles for factors of a type with f32 sums, the larger one if there are two.
fn cooperative(factors: DType, target: &Target) -> Option<u64> {
    let fits = |c: &&Cooperative| {
        let bytes = shared_bytes(u64::from(c.size));
        let known = c.size == 8 || c.size == 16;
        known && c.factors == factors && c.sum == DType::F32 && factors == DType::F16 && bytes <= target.workgroup_bytes
    };
    let enough = target.f16 && 4 * target.subgroup <= target.invocations;
    target.cooperative.iter().filter(|_| enough).filter(fits).map(|c| u64::from(c.size)).max()
}

/// Workgroup memory of the cooperative variant: two f16 operands and the f32 sums.
fn shared_bytes(side: u64) -> u32 {
    (2 * 2 * (4 * side * 2 * side) + 4 * (16 * side * side)) as u32
}

/// The dispatch of a product. With a `scratch` place, sums (or parts of them) go there as `[splits, points]` and the
/// body is left to a later pass; else the body runs as the epilogue.
pub(crate) fn lower(
    job: &Job,
    mut buffers: Buffers<'_>,
    product: &Product,
    choice: Choice,
    scratch: Option<Place>,
    target: &Target,
) -> Result<Shader, Refusal> {
    let Choice { variant, splits } = choice;
    let (m, n, batch) = (product.m, product.n, product.batch);
    let dtype = job.kernel.core_dtype();
    let chunk = part_length(product.depth, splits);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "const M = {m}u;\nconst N = {n}u;\nconst DEPTH = {}u;\nconst BATCH = {batch}u;\nconst SPLITS = {splits}u;\n\
         const CHUNK = {chunk}u;\nconst A_ALONG_K = {};\nconst B_ALONG_K = {};\nalias Number = {};",
        product.depth,
        product.a_along_k,
        product.b_along_k,
        words::held(dtype),
    );
    let (file, groups, bytes, name) = match variant {
        Variant::Thin => {
            let _ = writeln!(text, "const SIZE = 64u;");
            (include_str!("../wgsl/product_thin.wgsl"), (m * n * batch * splits).div_ceil(64), 0, "product_thin")
        }
        Variant::Software | Variant::Subgroup(_) => {
            let (rows, lanes_m, lanes_n, name) = match variant {
                Variant::Subgroup(rows) => (rows, 1, u64::from(target.subgroup), "product_subgroup"),
                _ => {
                    let lanes_n = n.div_ceil(4).next_power_of_two().min(64);
                    (8, (64 / lanes_n).min(m.div_ceil(8).next_power_of_two()), lanes_n, "product_software")
                }
            };
            let (tiles_m, tiles_n) = (m.div_ceil(rows * lanes_m), n.div_ceil(4 * lanes_n));
            let shares = variant != Variant::Software;
            let _ = writeln!(
                text,
                "const ROWS = {rows}u;\nconst SHARES = {shares};\nconst LANES_N = {lanes_n}u;\n\
                 const LANES_M = {lanes_m}u;\nconst TILES_M = {tiles_m}u;\nconst TILES_N = {tiles_n}u;"
            );
            (&*registers::product(rows, shares, product.a_along_k), tiles_m * tiles_n * batch * splits, 0, name)
        }
        Variant::Cooperative(side) => {
            let (tiles_m, tiles_n) = (m.div_ceil(4 * side), n.div_ceil(4 * side));
            let _ = writeln!(
                text,
                "const SIDE = {side}u;\nconst SUBGROUP = {}u;\nconst TILES_M = {tiles_m}u;\nconst TILES_N = {tiles_n}u;",
                target.subgroup
            );
            for (role, kind) in [("A", "f16"), ("B", "f16"), ("C", "f32")] {
                let _ = writeln!(text, "alias Matrix{role} = coop_mat{side}x{side}<{kind}, {role}>;");
            }
            let file = include_str!("../wgsl/product_cooperative.wgsl");
            (file, tiles_m * tiles_n * batch * splits, shared_bytes(side), "product_cooperative")
        }
        Variant::Tiled | Variant::TiledLarge => {
            let large = variant == Variant::TiledLarge;
            let (tile, bytes) = if large { (128, 2 * 8 * 33 * 16) } else { (64, 2 * 16 * 17 * 16) };
            let (tiles_m, tiles_n) = (m.div_ceil(tile), n.div_ceil(tile));
            let _ = writeln!(text, "const TILES_M = {tiles_m}u;\nconst TILES_N = {tiles_n}u;");
            let (file, name) = if large {
                (include_str!("../wgsl/product_tiled_large.wgsl"), "product_tiled_large")
            } else {
                (include_str!("../wgsl/product_tiled.wgsl"), "product_tiled")
            };
            (file, tiles_m * tiles_n * batch * splits, bytes, name)
        }
    };
    let workgroups = fold(target, groups)?;
    let _ = writeln!(text, "const ROW = {}u;", workgroups[0]);
    text.push_str(file);
    text.push_str(&product.functions);
    text.push_str(&put(job, &mut buffers, scratch));
    finish(
        text,
        buffers,
        target,
        workgroups,
        bytes,
        format!("{name} {m}x{n}x{} by {batch}, {splits} parts", product.depth),
    )
}

/// `put(z, split, row, column, value)`: drops what is outside, and hands the rest to scratch or to the epilogue.
fn put(job: &Job, buffers: &mut Buffers<'_>, scratch: Option<Place>) -> String {
    let last = match scratch {
        Some(place) => {
            let name = buffers.raw(place, job.kernel.core_dtype(), true);
            format!("{name}[split * {}u + point(z, row, column)] = value;", job.kernel.outer_len())
        }
        None => "epilogue(point(z, row, column), value);".to_string(),
    };
    let mut text = format!(
        "fn put(z: u32, split: u32, row: u32, column: u32, value: Number) {{\n\
         if ((row < M) & (column < N)) {{\n{last}\n}}\n}}\n"
    );
    if scratch.is_none() {
        text.push_str(&Body::new(&job.kernel).epilogue(buffers));
    }
    text
}
