//! [`Critics`]: one or two networks that value observation and action together, their targets and their optimizer.

use anygrad_core::nn::Module;
use anygrad_core::{Device, Result, Tensor, Var};

use super::network::{Activation, Mlp, Start};
use super::off_policy::{constant, follow, with_target};
use super::replay::Sample;
use crate::optim::{Adam, Optimizer};

/// `copies` critics per seed, as networks of `copies * seeds` seeds, so that they are valued by the same products.
#[derive(Debug)]
pub(crate) struct Critics {
    trained: Mlp,
    target: Mlp,
    adam: Adam,
    copies: usize,
    seeds: usize,
}

impl Critics {
    pub(crate) fn new(
        copies: usize,
        seeds: usize,
        inputs: usize,
        hidden: &[usize],
        rate: f64,
        device: &Device,
    ) -> Result<Critics> {
        let sizes = [&[inputs][..], hidden, &[1]].concat();
        let net = || Mlp::new(copies * seeds, &sizes, Activation::Relu, Start::Uniform, device);
        let (trained, target) = with_target(net)?;
        let adam = Adam::new(trained.parameters(), rate);
        Ok(Critics { trained, target, adam, copies, seeds })
    }

    /// `[copies, seeds, batch]` of `[seeds, batch, ..]` observations and actions.
    fn values(&self, net: &Mlp, observation: &Tensor, action: &Tensor) -> Tensor {
        let both = Tensor::cat(&[observation.flatten(2), action.flatten(2)], -1);
        let (batch, width) = (both.size(1), both.size(2));
        let copied = both.unsqueeze(0).expand([self.copies, self.seeds, batch, width]);
        let out = net.forward(&copied.reshape([self.copies * self.seeds, batch, width]));
        out.reshape([self.copies, self.seeds, batch])
    }

    /// The least of the copies' values, `[seeds, batch]`; from the target networks if `target`.
    pub(crate) fn least(&self, target: bool, observation: &Tensor, action: &Tensor) -> Tensor {
        let values = self.values(if target { &self.target } else { &self.trained }, observation, action);
        (1..self.copies).fold(values.index_axis(0, 0), |least, copy| least.minimum(values.index_axis(0, copy as isize)))
    }

    /// The first copy's value, `[seeds, batch]`.
    pub(crate) fn first(&self, observation: &Tensor, action: &Tensor) -> Tensor {
        self.values(&self.trained, observation, action).index_axis(0, 0)
    }

    /// One step towards `goal` `[seeds, batch]`; returns squared error and mean value, `[seeds]` each, and the mean error of each
    /// remembered step, `[seeds, batch]`.
    pub(crate) fn learn(&self, sample: &Sample, action: &Tensor, goal: &Tensor) -> ([Tensor; 2], Tensor) {
        let values = self.values(&self.trained, &sample.observation, action);
        let errors = &values - goal.detach().unsqueeze(0);
        let loss = sample.weigh(&errors.square()).mean(-1).sum(0);
        self.adam.update(&loss.sum(..).gradients(&self.trained.parameters()));
        ([loss, values.mean(-1).mean(0)], errors.abs().mean(0))
    }

    /// Moves the targets by a share `tau`.
    pub(crate) fn follow(&self, tau: f64) {
        let tau = constant(tau, &self.adam.all().device());
        follow(&self.target.parameters(), &self.trained.parameters(), &tau);
    }

    pub(crate) fn variables(&self) -> Vec<(String, Var)> {
        let mut all = named("critics", &self.trained);
        all.extend(named("critics.target", &self.target));
        all.extend(optimizer("critics", &self.adam));
        all
    }
}

/// A network's variables under a prefix.
pub(crate) fn named(prefix: &str, net: &impl Module) -> Vec<(String, Var)> {
    net.named_variables().into_iter().map(|(name, var)| (format!("{prefix}.{name}"), var)).collect()
}

/// An optimizer's variables under a prefix.
pub(crate) fn optimizer(prefix: &str, adam: &Adam) -> Vec<(String, Var)> {
    adam.state().into_iter().map(|var| (format!("{prefix}.{}", var.name()), var)).collect()
}
