//! Which parameters are trained, and how: groups with a learning rate and a decay of their own, and frozen ones.

use anygrad_core::Var;

/// Parameters in their order, and how each is treated. Made from a list of variables; all are trained alike until said
/// otherwise. Of several groups that a parameter belongs to, the last one named counts.
///
/// ```
/// # use anygrad_core::{Tensor, Var};
/// # let device = anygrad_core::testing::device();
/// # let parameters: Vec<Var> = ["encoder.weight", "encoder.bias", "head.weight"]
/// #     .map(|name| Var::new(name, &Tensor::zeros(&[2, 2], &device))).into();
/// use anygrad_trainers::optim::{Adam, Group, Groups};
///
/// let groups = Groups::new(parameters)
///     .group(|var| var.name().starts_with("encoder."), Group { rate: 0.1, ..Group::default() })
///     .freeze(|var| var.name() == "encoder.bias");
/// let adam = Adam::new(groups, 1e-3);
/// ```
#[derive(Clone, Debug)]
pub struct Groups {
    pub(super) parameters: Vec<Var>,
    pub(super) treatment: Vec<Group>,
}

/// How the parameters of one group are treated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// Factor of the learning rate; 1.
    pub rate: f64,
    /// Strength of the decay instead of the optimizer's; `None`: the optimizer's. How it is applied stays the optimizer's.
    pub decay: Option<f64>,
    /// Not trained: the numbers never change, no moments are kept, no gradient is computed; false.
    pub frozen: bool,
}

impl Default for Group {
    fn default() -> Group {
        Group { rate: 1.0, decay: None, frozen: false }
    }
}

impl Groups {
    /// All parameters alike.
    #[must_use]
    pub fn new(parameters: Vec<Var>) -> Groups {
        let treatment = vec![Group::default(); parameters.len()];
        Groups { parameters, treatment }
    }

    /// Those that belong to it are treated so.
    #[must_use]
    pub fn group(mut self, belongs: impl Fn(&Var) -> bool, group: Group) -> Groups {
        for (var, treatment) in self.parameters.iter().zip(&mut self.treatment) {
            if belongs(var) {
                *treatment = group;
            }
        }
        self
    }

    /// Those that belong are not trained.
    #[must_use]
    pub fn freeze(mut self, belongs: impl Fn(&Var) -> bool) -> Groups {
        for (var, treatment) in self.parameters.iter().zip(&mut self.treatment) {
            treatment.frozen |= belongs(var);
        }
        self
    }
}

impl From<Vec<Var>> for Groups {
    fn from(parameters: Vec<Var>) -> Groups {
        Groups::new(parameters)
    }
}

/// How weights are pulled towards 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Decay {
    /// Not at all.
    #[default]
    None,
    /// Added to the gradient: `g + w p` (PyTorch's `Adam(weight_decay=w)`, `SGD(weight_decay=w)`).
    Gradient(f64),
    /// Of all parameters, past the moments: `p -= lr w p` (AdamW).
    All(f64),
    /// As `All`, but only of parameters with two axes or more: not of biases and norms (what language models do).
    Matrices(f64),
}
