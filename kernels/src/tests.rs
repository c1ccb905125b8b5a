//! Every text is valid WGSL, and a few properties of the generated shaders are pinned.

use anygrad_core::DType;
use anygrad_core::dtype::Scalar;
use anygrad_core::kernel::{
    Attention, AttentionGeometry, AttentionKind, Conv, ConvGeometry, ConvKind, Core, Extremum, Inst, Kernel, Matmul,
    Operand, Output, Reduction, Scatter, Slice,
};
use anygrad_core::scalar::{Binary, Unary};
use anygrad_core::view::{Layout, View};

use crate::{Cooperative, Lowered, Place, Target, generate, generate_shared};

/// Parses and validates every shader.
fn valid(lowered: &Lowered) {
    for shader in &lowered.passes {
        let module = naga::front::wgsl::parse_str(&shader.text)
            .unwrap_or_else(|e| panic!("{}\n{}", e.emit_to_string(&shader.text), shader.text));
        let flags = naga::valid::ValidationFlags::all();
        let mut validator = naga::valid::Validator::new(flags, naga::valid::Capabilities::all());
        if let Err(e) = validator.validate(&module) {
            panic!("{}\n{}", e.emit_to_string(&shader.text), shader.text);
        }
        assert_eq!(module.entry_points.len(), 1);
        let bound = module.global_variables.iter().filter(|(_, v)| v.binding.is_some()).count();
        assert_eq!(bound, shader.bindings.len());
    }
}

fn targets() -> Vec<Target> {
    let cooperative = vec![
        Cooperative { size: 8, factors: DType::F16, sum: DType::F32 },
        Cooperative { size: 16, factors: DType::F16, sum: DType::F32 },
    ];
    vec![
        Target::default(),
        Target { software: true, bindings: 10, ..Target::default() },
        Target { software: true, subgroup: 8, broadcasts: true, words: true, ..Target::default() },
        Target { invocations: 1024, workgroup_bytes: 49152, f16: true, ..Target::default() },
        Target { f16: true, cooperative: cooperative[..1].to_vec(), subgroup: 8, ..Target::default() },
        Target { f16: true, workgroup_bytes: 32768, cooperative, ..Target::default() },
    ]
}

fn f32s(len: usize) -> Slice {
    Slice { dtype: DType::F32, len }
}

fn kernel(core: Core, outer: &[usize], inner: &[usize], inputs: Vec<Slice>, body: Vec<Inst>) -> Kernel {
    let mut kernel = Kernel { core, outer: outer.to_vec(), inner: inner.to_vec(), inputs, body, outputs: vec![] };
    let value = kernel.body.len() - 1;
    let shape = if kernel.is_inner()[value] { [outer, inner].concat() } else { outer.to_vec() };
    let slice = Slice { dtype: kernel.dtypes()[value], len: shape.iter().product() };
    kernel.outputs = vec![Output { value, slice, view: View::contiguous(&shape), aliases: None }];
    kernel
}

fn load(input: usize, shape: &[usize]) -> Inst {
    Inst::Load { input, layout: Layout::contiguous(shape) }
}

fn matmul(m: usize, n: usize, k: usize, dtype: DType) -> Kernel {
    let operand = |input, row_stride| Operand { input, offset: 0, batch_strides: vec![], row_stride, column_stride: 1 };
    let core = Core::Matmul(Matmul { batch: vec![], m, n, k, a: operand(0, k), b: operand(1, n) });
    let inputs = vec![Slice { dtype, len: m * k }, Slice { dtype, len: k * n }];
    kernel(core, &[m, n], &[], inputs, vec![Inst::Core])
}

#[test]
fn every_scalar_map_is_valid() {
    for target in targets() {
        for dtype in [DType::F32, DType::I32, DType::U32, DType::Bool] {
            for op in Unary::ALL.into_iter().filter(|op| op.takes(dtype)) {
                let body = vec![load(0, &[8]), Inst::Unary(op, 0)];
                valid(&generate(&kernel(Core::Map, &[8], &[], vec![Slice { dtype, len: 8 }], body), &target).unwrap());
            }
            for op in Binary::ALL.into_iter().filter(|op| op.takes(dtype)) {
                let body = vec![load(0, &[8]), load(1, &[8]), Inst::Binary(op, 0, 1)];
                let inputs = vec![Slice { dtype, len: 8 }; 2];
                valid(&generate(&kernel(Core::Map, &[8], &[], inputs, body), &target).unwrap());
            }
        }
    }
}

#[test]
fn reductions_are_valid_in_every_shape() {
    for target in targets() {
        for (outer, inner) in [(1, 100_000), (3, 0), (1000, 8), (64, 64), (5, 3000)] {
            for strides in [vec![inner as isize, 1], vec![1, outer as isize]] {
                let layout = Layout::of(View { shape: vec![outer, inner], strides, offset: 0, mask: None });
                for how in [Reduction::Sum, Reduction::Prod, Reduction::Max, Reduction::Min] {
                    let body = vec![
                        Inst::Load { input: 0, layout: layout.clone() },
                        Inst::Reduce(how, 0),
                        Inst::Binary(Binary::Sub, 0, 1),
                        Inst::ArgReduce(Extremum::Max, 2),
                    ];
                    valid(
                        &generate(&kernel(Core::Map, &[outer], &[inner], vec![f32s(outer * inner)], body), &target)
                            .unwrap(),
                    );
                    let body = vec![Inst::Load { input: 0, layout: layout.clone() }, Inst::Reduce(how, 0)];
                    valid(
                        &generate(&kernel(Core::Map, &[outer], &[inner], vec![f32s(outer * inner)], body), &target)
                            .unwrap(),
                    );
                }
            }
        }
    }
}

#[test]
fn products_are_valid_in_every_shape() {
    for target in targets() {
        for (m, n, k) in
            [(1, 1, 1), (3, 500, 9), (64, 64, 64), (65, 63, 17), (2048, 2048, 16), (16, 16, 4096), (8, 8, 0)]
        {
            valid(&generate(&matmul(m, n, k, DType::F32), &target).unwrap());
            if target.f16 {
                valid(&generate(&matmul(m, n, k, DType::F16), &target).unwrap());
            }
        }
        for kind in [ConvKind::Forward, ConvKind::InputGradient, ConvKind::WeightGradient] {
            for (groups, channels) in [(1, 16), (8, 8)] {
                let geometry = ConvGeometry {
                    batch: 4,
                    c_in: channels,
                    c_out: channels,
                    groups,
                    input: vec![16, 15],
                    taps: vec![3, 2],
                    output: vec![8, 8],
                    stride: vec![2, 2],
                    padding: vec![1, 1],
                    dilation: vec![1, 1],
                };
                let (x, w, y) = (4 * channels * 240, channels * channels / groups * 6, 4 * channels * 64);
                let (outer, inputs) = match kind {
                    ConvKind::Forward => (vec![4, channels, 8, 8], vec![f32s(x), f32s(w)]),
                    ConvKind::InputGradient => (vec![4, channels, 16, 15], vec![f32s(y), f32s(w)]),
                    ConvKind::WeightGradient => (vec![channels, channels / groups, 3, 2], vec![f32s(x), f32s(y)]),
                };
                let core = Core::Conv(Conv { kind, a: 0, b: 1, geometry });
                valid(&generate(&kernel(core, &outer, &[], inputs, vec![Inst::Core]), &target).unwrap());
            }
        }
    }
}

#[test]
fn attentions_are_valid_in_every_shape() {
    for target in targets() {
        for (t, s, d, e, causal) in [
            (1, 1, 1, 1, false),
            (64, 64, 32, 32, true),
            (65, 33, 17, 5, true),
            (7, 300, 64, 64, false),
            (3, 3, 640, 640, true),
        ] {
            for kind in [AttentionKind::Forward, AttentionKind::Gradient] {
                let geometry =
                    AttentionGeometry { queries: t, keys: s, width: d, out: e, causal, scale: Scalar(0.125) };
                let sizes = geometry.operands(kind);
                let operand = |(input, &[rows, columns]): (usize, &[usize; 2])| Operand {
                    input,
                    offset: 0,
                    batch_strides: vec![rows * columns],
                    row_stride: columns,
                    column_stride: 1,
                };
                let operands = sizes.iter().enumerate().map(operand).collect();
                let outer = [3, geometry.length(kind)];
                let inputs = sizes.iter().map(|s| f32s(3 * s[0] * s[1])).collect();
                let core = Core::Attention(Attention { kind, geometry, batch: vec![3], operands });
                let lowered = generate(&kernel(core, &outer, &[], inputs, vec![Inst::Core]), &target).unwrap();
                valid(&lowered);
                let tiled = lowered.passes.iter().all(|pass| pass.workgroup_bytes > 0);
                assert_eq!(tiled, !target.software && d < 640, "{:?}", lowered.passes[0].variant);
            }
        }
    }
}

#[test]
fn scatters_sorts_and_scans_are_valid() {
    for target in targets() {
        for count in [3, 500] {
            let shape = [2, count, 4];
            let view = View { shape: shape.to_vec(), strides: vec![count as isize, 1, 0], offset: 0, mask: None };
            let scatter = Scatter { index: (0, view), updates: (1, View::contiguous(&shape)) };
            let inputs = vec![Slice { dtype: DType::I32, len: 2 * count }, f32s(8 * count)];
            valid(
                &generate(&kernel(Core::Scatter(scatter), &[2, 7, 4], &[], inputs, vec![Inst::Core]), &target).unwrap(),
            );
        }
        for n in [1, 60, 3000] {
            for descending in [false, true] {
                let core = Core::Argsort { input: 0, descending };
                valid(&generate(&kernel(core, &[2, n], &[], vec![f32s(2 * n)], vec![Inst::Core]), &target).unwrap());
            }
            let core = Core::CumulativeSum { input: 0 };
            valid(&generate(&kernel(core, &[2, n, 3], &[], vec![f32s(6 * n)], vec![Inst::Core]), &target).unwrap());
        }
    }
}

#[test]
fn equal_kernels_give_equal_texts_and_unused_functions_stay_out() {
    let gelu = |n: usize| kernel(Core::Map, &[n], &[], vec![f32s(n)], vec![load(0, &[n]), Inst::Unary(Unary::Erf, 0)]);
    let text = |n| generate(&gelu(n), &Target::default()).unwrap().passes[0].text.clone();
    assert_eq!(text(100), text(100));
    assert_ne!(text(100), text(200));
    assert!(text(100).contains("fn erf_of") && text(100).contains("fn exp_of") && !text(100).contains("fn tanh_of"));
}

#[test]
fn the_variant_follows_target_and_shape() {
    let variant = |k: &Kernel, t: &Target| generate(k, t).unwrap().passes[0].variant.clone();
    let software = Target { software: true, ..Target::default() };
    assert!(variant(&matmul(512, 512, 512, DType::F32), &software).starts_with("product_software"));
    let lanes = Target { software: true, subgroup: 8, broadcasts: true, ..Target::default() };
    assert!(variant(&matmul(512, 512, 512, DType::F32), &lanes).starts_with("product_subgroup"));
    assert!(variant(&matmul(512, 10, 512, DType::F32), &lanes).starts_with("product_software"));
    assert!(variant(&matmul(512, 512, 512, DType::F32), &Target::default()).starts_with("product_tiled "));
    assert!(variant(&matmul(2048, 2048, 512, DType::F32), &Target::default()).starts_with("product_tiled_large"));
    assert!(variant(&matmul(1, 512, 512, DType::F32), &Target::default()).starts_with("reduce_columns"));
    let matrices = targets().pop().unwrap();
    assert!(variant(&matmul(512, 512, 512, DType::F16), &matrices).starts_with("product_cooperative"));
    assert!(variant(&matmul(512, 512, 512, DType::F32), &matrices).starts_with("product_tiled "));
    // A long sum of a small result is cut, and a second pass adds the parts up.
    let cut = generate(&matmul(64, 64, 65536, DType::F32), &Target::default()).unwrap();
    assert_eq!((cut.passes.len(), cut.scratch.len()), (2, 1));
    // Software drivers get no workgroup memory for rows of moderate length.
    let rows =
        kernel(Core::Map, &[64], &[64], vec![f32s(4096)], vec![load(0, &[64, 64]), Inst::Reduce(Reduction::Sum, 0)]);
    assert_eq!(generate(&rows, &software).unwrap().passes[0].workgroup_bytes, 0);
    assert!(generate(&rows, &Target::default()).unwrap().passes[0].workgroup_bytes > 0);
}

#[test]
fn updates_in_place_bind_once_and_shared_inputs_are_read_write() {
    let body = vec![load(0, &[8]), load(1, &[8]), Inst::Binary(Binary::Add, 0, 1)];
    let mut add = kernel(Core::Map, &[8], &[], vec![f32s(8), f32s(8)], body);
    let plain = generate(&add, &Target::default()).unwrap();
    assert_eq!(plain.passes[0].bindings.len(), 3);
    let shared = generate_shared(&add, &Target::default(), &[1]).unwrap();
    assert!(shared.passes[0].bindings.iter().any(|b| b.place == Place::Input(1) && b.writes));
    add.outputs[0].aliases = Some(0);
    let in_place = generate(&add, &Target::default()).unwrap();
    assert_eq!(in_place.passes[0].bindings.len(), 2);
}

#[test]
fn what_a_target_cannot_do_is_refused() {
    let neg = |dtype| {
        kernel(Core::Map, &[8], &[], vec![Slice { dtype, len: 8 }], vec![load(0, &[8]), Inst::Unary(Unary::Neg, 0)])
    };
    assert!(generate(&neg(DType::F64), &Target::default()).is_err());
    assert!(generate(&neg(DType::F16), &Target::default()).is_err());
    assert!(generate(&neg(DType::F16), &Target { f16: true, ..Target::default() }).is_ok());
    let few = Target { bindings: 1, ..Target::default() };
    assert!(generate(&neg(DType::F32), &few).is_err());
    let tight = Target { workgroup_bytes: 1024, ..Target::default() };
    assert!(generate(&matmul(256, 256, 256, DType::F32), &tight).is_err());
}
