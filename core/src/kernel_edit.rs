//! Renumbering of a kernel's registers and inputs, for the schedule.

use crate::kernel::{Core, Inst, Kernel, Reg};

impl Inst {
    /// The registers that it reads.
    pub fn operands(&self) -> impl Iterator<Item = Reg> + use<> {
        let (x, y, z) = match *self {
            Inst::Load { .. } | Inst::Constant { .. } | Inst::Iota { .. } => (None, None, None),
            Inst::Inside { .. } | Inst::Random { .. } | Inst::Core => (None, None, None),
            Inst::Gather { index: x, .. } | Inst::Unary(_, x) | Inst::Cast(x, _) | Inst::Bitcast(x, _) => {
                (Some(x), None, None)
            }
            Inst::Reduce(_, x) | Inst::ArgReduce(_, x) => (Some(x), None, None),
            Inst::Binary(_, x, y) => (Some(x), Some(y), None),
            Inst::Select(c, x, y) => (Some(c), Some(x), Some(y)),
        };
        [x, y, z].into_iter().flatten()
    }

    /// Replaces the registers that it reads.
    pub fn map_operands(&mut self, mut f: impl FnMut(Reg) -> Reg) {
        match self {
            Inst::Load { .. } | Inst::Constant { .. } | Inst::Iota { .. } => {}
            Inst::Inside { .. } | Inst::Random { .. } | Inst::Core => {}
            Inst::Gather { index: x, .. } | Inst::Unary(_, x) | Inst::Cast(x, _) | Inst::Bitcast(x, _) => *x = f(*x),
            Inst::Reduce(_, x) | Inst::ArgReduce(_, x) => *x = f(*x),
            Inst::Binary(_, x, y) => (*x, *y) = (f(*x), f(*y)),
            Inst::Select(c, x, y) => (*c, *x, *y) = (f(*c), f(*x), f(*y)),
        }
    }
}

impl Kernel {
    /// Calls `f` with every mention of an input's number.
    pub fn each_input(&mut self, mut f: impl FnMut(&mut usize)) {
        for inst in &mut self.body {
            match inst {
                Inst::Load { input, .. } | Inst::Gather { input, .. } | Inst::Random { state: input, .. } => f(input),
                _ => {}
            }
        }
        match &mut self.core {
            Core::Map => {}
            Core::Matmul(p) => {
                f(&mut p.a.input);
                f(&mut p.b.input);
            }
            Core::Conv(p) => {
                f(&mut p.a);
                f(&mut p.b);
            }
            Core::Attention(p) => p.operands.iter_mut().for_each(|o| f(&mut o.input)),
            Core::Scatter(p) => {
                f(&mut p.index.0);
                f(&mut p.updates.0);
            }
            Core::Argsort { input, .. } | Core::CumulativeSum { input } => f(input),
        }
    }
}
