//! Kernels with reductions: chains over the same row in one dispatch (softmax, layer norm), by `lanes` invocations per
//! outer point and `points` outer points per workgroup.
//!
//! Each lane walks over its share of the inner points once per stage, in registers; lanes meet in a tree in workgroup
//! memory. One lane per point needs neither memory nor barriers: the shape for software drivers. Inner values are
//! computed again in each stage, for reading twice from cache is cheaper than keeping a row.
//! If neighbouring outer points are neighbours in memory, invocations are dealt points first (column reductions), else
//! lanes first (row reductions), so that loads coalesce.

use std::collections::BTreeSet;
use std::fmt::Write;

use anygrad_core::DType;
use anygrad_core::kernel::{Extremum, Inst, Kernel, Reduction, Reg};

use crate::body::{Body, is_reduction};
use crate::buffers::{Buffers, Job};
use crate::map::{finish, fold};
use crate::shader::{Refusal, Shader};
use crate::target::Target;
use crate::words;

/// How the invocations of a workgroup are dealt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Outer points per workgroup.
    pub(crate) points: u64,
    /// Invocations per outer point; a power of two.
    pub(crate) lanes: u64,
    /// Neighbouring invocations are neighbouring outer points.
    pub(crate) points_first: bool,
}

/// Whether neighbouring outer points lie closer in memory than neighbouring inner points, for most of the loads.
pub(crate) fn points_first(kernel: &Kernel) -> bool {
    let mut votes = 0;
    for inst in &kernel.body {
        let Inst::Load { layout, .. } = inst else { continue };
        let view = &layout.views()[0];
        if kernel.inner.is_empty() || view.shape.len() != kernel.outer.len() + kernel.inner.len() {
            continue;
        }
        let step = |axes: std::ops::Range<usize>| {
            axes.rev().find(|&a| view.shape[a] > 1).map_or(usize::MAX, |a| match view.strides[a].unsigned_abs() {
                0 => usize::MAX,
                stride => stride,
            })
        };
        let (outer, inner) = (step(0..kernel.outer.len()), step(kernel.outer.len()..view.shape.len()));
        // What is the same along one of the two stays in cache whatever the order.
        if outer != usize::MAX && inner != usize::MAX {
            votes += i32::from(outer < inner) - i32::from(inner < outer);
        }
    }
    votes > 0
}

/// The shape for a kernel on a target.
pub(crate) fn shape(kernel: &Kernel, target: &Target) -> Shape {
    let (outer, inner) = (kernel.outer_len() as u64, kernel.inner_len() as u64);
    let points_first = points_first(kernel);
    let most = u64::from(target.invocations).min(256);
    if target.software {
        // Lanes only where there are too few points to fill two cores' vectors and a row is long.
        let lanes = if outer < 16 && inner >= 4096 { 64 } else { 1 };
        return Shape { points: (64 / lanes).min(outer.next_power_of_two()), lanes, points_first };
    }
    // At least four elements per lane; in column order 32 points side by side fill a memory transaction.
    let wanted = (inner / 4).max(1).next_power_of_two();
    let lanes = if points_first && outer >= 32 {
        // 2048 * 64 invocations fill the largest device of 2024.
        let filled = (131_072 / outer).max(1).next_power_of_two();
        wanted.min(most / 32).min(filled)
    } else {
        wanted.min(most)
    };
    Shape { points: (most / lanes).min(outer.next_power_of_two()), lanes, points_first }
}

/// The one dispatch of a kernel with reductions.
pub(crate) fn lower(job: &Job, target: &Target, shared: &[usize]) -> Result<Shader, Refusal> {
    let kernel = &job.kernel;
    let shape = shape(kernel, target);
    let body = Body::new(kernel);
    let mut buffers = Buffers::new(job, shared);
    let keeps_loops = target.software && kernel.inner_len() > 4;
    let mut writer = Writer { body: &body, shape, keeps_loops, text: String::new(), hoisted: BTreeSet::new() };
    let lanes_used = writer.main(&mut buffers);
    let outer = kernel.outer_len() as u64;
    let workgroups = fold(target, outer.div_ceil(shape.points))?;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "const OUTER = {outer}u;\nconst INNER = {}u;\nconst POINTS = {}u;\nconst LANES = {}u;\nconst ROW = {}u;",
        kernel.inner_len(),
        shape.points,
        shape.lanes,
        workgroups[0]
    );
    // A lane's neighbour in the tree is that many invocations away.
    let _ = writeln!(text, "const STEP = {}u;", if shape.points_first { shape.points } else { 1 });
    let mut bytes = 0;
    for (kind, tree) in &lanes_used {
        let size = if *kind == "arg" { 8 } else { 4 };
        bytes += size * (shape.points * shape.lanes) as u32;
        let element = if *kind == "arg" { "vec2<u32>" } else { kind };
        let _ = writeln!(text, "var<workgroup> shared_{kind}: array<{element}, POINTS * LANES>;");
        text.push_str(tree);
    }
    text.push_str(&writer.text);
    let order = if shape.points_first { "columns" } else { "rows" };
    finish(text, buffers, target, workgroups, bytes, format!("reduce_{order} {}x{}", shape.points, shape.lanes))
}

/// Writes `main`.
struct Writer<'a> {
    body: &'a Body<'a>,
    shape: Shape,
    /// Software drivers unroll loops of up to 32 turns, and need three times as long for compiling a row of ten. Where they
    /// cannot know at which number a lane begins (it is 0), they do not.
    keeps_loops: bool,
    text: String,
    hoisted: BTreeSet<Reg>,
}

/// Names of the shared arrays that are needed, each with its tree functions.
type Trees = std::collections::BTreeMap<&'static str, String>;

impl Writer<'_> {
    fn main(&mut self, buffers: &mut Buffers<'_>) -> Trees {
        let (body, shape) = (self.body, self.shape);
        let mut trees = Trees::new();
        self.text.push_str(
            "@compute @workgroup_size(POINTS * LANES)\n\
             fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {\n",
        );
        let (slot, lane) = match (shape.lanes, shape.points_first) {
            (1, _) => ("local", if self.keeps_loops { "group.z" } else { "0u" }),
            (_, true) => ("local % POINTS", "local / POINTS"),
            (_, false) => ("local / LANES", "local % LANES"),
        };
        let _ = writeln!(self.text, "let point = (group.y * ROW + group.x) * POINTS + {slot};\nlet lane = {lane};");
        self.text.push_str("let i = min(point, OUTER - 1u);\nlet mine = point < OUTER;\n");
        if shape.lanes == 1 {
            self.text.push_str("if (!mine) { return; }\n");
        }
        let last = body.stage.iter().zip(&body.live).filter(|(_, live)| **live).map(|(s, _)| *s).max().unwrap_or(0);
        let mut done: BTreeSet<Reg> = BTreeSet::new();
        for stage in 0..=last {
            // Reductions of the stage before are done: outer values of this stage can be had.
            let outer: BTreeSet<Reg> = self.live().filter(|&r| !body.inner[r] && body.stage[r] == stage).collect();
            let (hoisted, lines) = body.statements(&outer, buffers);
            self.text.push_str(&hoisted);
            self.text.push_str(&lines);
            done.extend(outer);
            let next: Vec<Reg> =
                self.live().filter(|&r| is_reduction(&body.kernel.body[r]) && body.stage[r] == stage + 1).collect();
            if !next.is_empty() {
                self.stage(&next, buffers, &mut trees);
            }
        }
        self.outputs(buffers);
        self.text.push_str("}\n");
        trees
    }

    fn live(&self) -> impl Iterator<Item = Reg> + '_ {
        (0..self.body.live.len()).filter(|&r| self.body.live[r])
    }

    /// The loop of one stage and the trees after it.
    fn stage(&mut self, reductions: &[Reg], buffers: &mut Buffers<'_>, trees: &mut Trees) {
        let body = self.body;
        let trips = (body.kernel.inner_len() as u64).div_ceil(self.shape.lanes);
        let mut inside = String::new();
        let mut after = String::new();
        for &r in reductions {
            match &body.kernel.body[r] {
                Inst::Reduce(how, x) => {
                    let dtype = body.types[r];
                    let _ = writeln!(self.text, "var sum_{r} = {};", words::literal(dtype, how.neutral(dtype)));
                    let value = format!("r{x}");
                    if *how == Reduction::Sum && dtype.is_float() && trips > 512 {
                        // Sums of 256 first: the rounding error of a long sum grows with its length.
                        let _ = writeln!(self.text, "var part_{r} = 0.0;");
                        let _ = writeln!(inside, "part_{r} += {value};");
                        let _ =
                            writeln!(inside, "if ((trip & 255u) == 255u) {{ sum_{r} += part_{r}; part_{r} = 0.0; }}");
                        let _ = writeln!(after, "sum_{r} += part_{r};");
                    } else {
                        let total = words::combine(*how, dtype, &format!("sum_{r}"), &value);
                        let _ = writeln!(inside, "sum_{r} = {total};");
                    }
                    after.push_str(&self.meet(r, *how, dtype, trees));
                }
                Inst::ArgReduce(which, x) => {
                    let order = if *which == Extremum::Max { "order" } else { "reverse_order" };
                    let value = format!("r{x}");
                    let (value, suffix) = match body.types[*x] {
                        DType::I32 => (value, "i32"),
                        DType::U32 => (value, "u32"),
                        DType::Bool => (format!("u32({value})"), "u32"),
                        _ => (value, "f32"),
                    };
                    let _ = writeln!(self.text, "var best_{r} = vec2<u32>(0u, 0xffffffffu);");
                    let _ = writeln!(inside, "best_{r} = better(best_{r}, vec2<u32>({order}_{suffix}({value}), j));");
                    after.push_str(&self.meet_arg(r, trees));
                }
                _ => {}
            }
        }
        let roots = reductions.iter().flat_map(|&r| crate::body::operands(&body.kernel.body[r]));
        let wanted = body.closure(roots, |r| body.inner[r]);
        let lines = self.loop_lines(&wanted, buffers);
        let trip = if inside.contains("trip") { "let trip = (j - lane) / LANES;\n" } else { "" };
        let _ = write!(self.text, "for (var j = lane; j < INNER; j += LANES) {{\n{trip}{lines}{inside}}}\n{after}");
    }

    /// Statements of inner registers; what they hoist goes before the loop, once.
    fn loop_lines(&mut self, wanted: &BTreeSet<Reg>, buffers: &mut Buffers<'_>) -> String {
        let mut lines = String::new();
        for &r in wanted {
            let (hoisted, line) = self.body.statement(r, buffers);
            if self.hoisted.insert(r) {
                self.text.push_str(&hoisted);
            }
            lines.push_str(&line);
        }
        lines
    }

    /// `result_r`: the lanes' sums made one.
    fn meet(&self, r: Reg, how: Reduction, dtype: DType, trees: &mut Trees) -> String {
        if self.shape.lanes == 1 {
            return format!("let result_{r} = sum_{r};\n");
        }
        let kind = words::held(dtype);
        let name = format!("across_{how:?}_{kind}").to_lowercase();
        let tree = trees.entry(kind).or_default();
        if !tree.contains(&name) {
            let array = format!("shared_{kind}");
            let both = words::combine(how, dtype, &format!("{array}[local]"), &format!("{array}[local + half * STEP]"));
            let _ = write!(tree, "{}", across(&name, kind, &array, &both));
        }
        format!("let result_{r} = {name}(sum_{r}, local, lane);\n")
    }

    fn meet_arg(&self, r: Reg, trees: &mut Trees) -> String {
        let tree = trees.entry("arg").or_default();
        if tree.is_empty() {
            tree.push_str(
                "fn better(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> {\n\
                 return select(x, y, (y.x > x.x) | ((y.x == x.x) & (y.y < x.y)));\n}\n",
            );
            tree.push_str(&across(
                "across_arg",
                "vec2<u32>",
                "shared_arg",
                "better(shared_arg[local], shared_arg[local + half * STEP])",
            ));
        }
        let best =
            if self.shape.lanes == 1 { format!("best_{r}") } else { format!("across_arg(best_{r}, local, lane)") };
        format!("let result_{r} = i32({best}.y & 0x7fffffffu) * select(0i, 1i, INNER > 0u);\n")
    }

    /// The last part: what is written.
    fn outputs(&mut self, buffers: &mut Buffers<'_>) {
        let body = self.body;
        let inner: Vec<Reg> = body.kernel.outputs.iter().map(|o| o.value).filter(|&r| body.inner[r]).collect();
        let lanes = self.shape.lanes > 1;
        if !inner.is_empty() {
            let wanted = body.closure(inner.iter().copied(), |r| body.inner[r]);
            let lines = self.loop_lines(&wanted, buffers);
            let stores = body.stores(|r| body.inner[r], buffers);
            if lanes {
                self.text.push_str("if (mine) {\n");
            }
            let _ = write!(self.text, "for (var j = lane; j < INNER; j += LANES) {{\n{lines}{stores}}}\n");
            if lanes {
                self.text.push_str("}\n");
            }
        }
        let stores = body.stores(|r| !body.inner[r], buffers);
        if lanes {
            let _ = write!(self.text, "if (mine && lane == 0u) {{\n{stores}}}\n");
        } else {
            self.text.push_str(&stores);
        }
    }
}

/// A tree over the lanes of each point; the same value comes back to all of them.
fn across(name: &str, kind: &str, array: &str, both: &str) -> String {
    format!(
        "fn {name}(x: {kind}, local: u32, lane: u32) -> {kind} {{\n\
         {array}[local] = x;\n\
         workgroupBarrier();\n\
         for (var half = LANES / 2u; half > 0u; half = half / 2u) {{\n\
         if (lane < half) {{ {array}[local] = {both}; }}\n\
         workgroupBarrier();\n\
         }}\n\
         let total = {array}[local - lane * STEP];\n\
         workgroupBarrier();\n\
         return total;\n\
         }}\n"
    )
}
