use super::*;
use crate::dtype::Scalar;
use crate::kernel::{Matmul, Operand, Output, Slice};
use crate::scalar::Unary;

fn slice(len: usize) -> Slice {
    Slice { dtype: DType::F32, len }
}

fn output(value: usize, shape: &[usize]) -> Output {
    let slice = slice(shape.iter().product());
    Output { value, slice, view: View::contiguous(shape), aliases: None }
}

#[test]
fn a_softmax_is_one_kernel() {
    let body = vec![
        Inst::Load { input: 0, layout: Layout::contiguous(&[2, 3]) },
        Inst::Reduce(Reduction::Max, 0),
        Inst::Binary(Binary::Sub, 0, 1),
        Inst::Unary(Unary::Exp, 2),
        Inst::Reduce(Reduction::Sum, 3),
        Inst::Binary(Binary::Div, 3, 4),
    ];
    let kernel = Kernel {
        core: Core::Map,
        outer: vec![2],
        inner: vec![3],
        inputs: vec![slice(6)],
        body,
        outputs: vec![output(5, &[2, 3])],
    };
    kernel.verify().expect("the kernel is right");
    let mut outputs = vec![vec![0.0; 6]];
    interpret(&kernel, &[vec![1.0, 2.0, 3.0, 0.0, 0.0, 0.0]], &mut outputs);
    // PyTorch: softmax([1, 2, 3]) = [0.0900, 0.2447, 0.6652]
    for (ours, theirs) in outputs[0].iter().zip([0.0900, 0.2447, 0.6652, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]) {
        assert!((ours - theirs).abs() < 1e-4);
    }
}

#[test]
fn a_product_with_an_epilogue() {
    let side = |input| Operand { input, offset: 0, batch_strides: vec![], row_stride: 2, column_stride: 1 };
    let body =
        vec![Inst::Core, Inst::Constant { value: Scalar(1.0), dtype: DType::F32 }, Inst::Binary(Binary::Add, 0, 1)];
    let kernel = Kernel {
        core: Core::Matmul(Matmul { batch: vec![], m: 2, n: 2, k: 2, a: side(0), b: side(1) }),
        outer: vec![2, 2],
        inner: vec![],
        inputs: vec![slice(4), slice(4)],
        body,
        outputs: vec![output(2, &[2, 2])],
    };
    kernel.verify().expect("the kernel is right");
    let mut outputs = vec![vec![0.0; 4]];
    interpret(&kernel, &[vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0, 7.0, 8.0]], &mut outputs);
    assert_eq!(outputs[0], [20.0, 23.0, 44.0, 51.0]);
}

#[test]
fn verify_names_what_is_wrong() {
    let mut kernel = Kernel {
        core: Core::Map,
        outer: vec![4],
        inner: vec![],
        inputs: vec![slice(4)],
        body: vec![Inst::Load { input: 0, layout: Layout::contiguous(&[4]) }, Inst::Unary(Unary::Exp, 0)],
        outputs: vec![output(1, &[4])],
    };
    assert_eq!(kernel.verify(), Ok(()));
    kernel.inputs[0].len = 3;
    assert!(kernel.verify().expect_err("reads past the end").contains("element"));
    kernel.inputs[0].len = 4;
    kernel.body[1] = Inst::Unary(Unary::Exp, 1);
    assert!(kernel.verify().expect_err("uses itself").contains("register"));
    kernel.body[1] = Inst::Unary(Unary::Not, 0);
    assert!(kernel.verify().expect_err("no bitwise not of a float").contains("Not"));
    kernel.body[1] = Inst::Unary(Unary::Exp, 0);
    kernel.outputs[0].view.strides[0] = 0;
    assert!(kernel.verify().expect_err("all points at one element").contains("one element"));
}
