//! How much a kernel computes, for people and for choices.

use std::sync::Arc;

use crate::kernel::{Core, Inst, Kernel};
use crate::op::Op;

impl Core {
    /// The operation's name; nothing for a map.
    pub(crate) fn name(&self) -> Option<&'static str> {
        Some(match self {
            Core::Map => return None,
            Core::Matmul(_) => Op::Matmul.name(),
            Core::Conv(p) => Op::Conv(p.kind, Arc::new(p.geometry.clone())).name(),
            Core::Attention(p) => Op::Attention(p.kind, Arc::new(p.geometry.clone())).name(),
            Core::Scatter(_) => Op::ScatterAdd(0).name(),
            Core::Argsort { descending, .. } => Op::Argsort { descending: *descending }.name(),
            Core::CumulativeSum { .. } => Op::CumulativeSum(0).name(),
        })
    }
}

impl Kernel {
    /// Floating-point operations: two per product and sum of a core, one per instruction and element of the body.
    #[must_use]
    pub fn operations(&self) -> u64 {
        let outer = self.outer_len() as u64;
        let core = match &self.core {
            Core::Map => 0,
            Core::Matmul(p) => 2 * outer * (self.inner_len() * p.k) as u64,
            Core::Conv(p) => {
                let g = &p.geometry;
                let pairs = g.c_out * (g.c_in / g.groups.max(1)) * g.taps.iter().product::<usize>();
                2 * (g.batch * g.output.iter().product::<usize>() * pairs) as u64
            }
            Core::Attention(p) => p.batch.iter().product::<usize>() as u64 * p.geometry.operations(p.kind),
            Core::Scatter(p) => p.updates.1.len() as u64,
            Core::Argsort { .. } => outer * u64::from(self.outer.last().map_or(1, |&n| n.max(2)).ilog2()),
            Core::CumulativeSum { .. } => outer,
        };
        let inner = self.is_inner();
        let points = |level: bool| if level { outer * self.inner_len() as u64 } else { outer };
        let body = self.body.iter().zip(&inner).map(|(inst, &level)| match inst {
            Inst::Unary(..) | Inst::Binary(..) | Inst::Select(..) | Inst::Random { .. } => points(level),
            Inst::Reduce(_, x) | Inst::ArgReduce(_, x) => points(inner[*x]),
            _ => 0,
        });
        core + body.sum::<u64>()
    }
}
