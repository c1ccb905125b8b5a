//! [`Module`]: how variables inside of structs get stable dotted names (`layers.0.norm.bias`).
//!
//! A module is any struct that hands its variables to a [`Visitor`], field by field; `#[derive(Module)]` writes that.
//! Optimizers ask for [`Module::parameters`], checkpoints for [`Module::named_variables`]. Names follow the fields, so
//! a struct with PyTorch's field names has PyTorch's names.

use std::collections::HashSet;

use crate::device::Device;
use crate::dtype::DType;
use crate::error::Result;
use crate::tensor::Tensor;
use crate::var::Var;

/// Something with variables inside. Plain numbers and strings are modules without any, so that structs may carry
/// their configuration.
///
/// ```ignore
/// #[derive(Module)]
/// struct Net {
///     body: Vec<Linear>,
///     #[module(buffer)]
///     steps: Var,
///     dropout: f64,
/// }
/// // names: body.0.weight, body.0.bias, body.1.weight, ..., steps
/// ```
pub trait Module {
    /// Hands every variable to the visitor, each below the name of its field. The default has none.
    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    /// The trained variables in the order of their fields, each once. Each is named by its path.
    ///
    /// A variable that already has a longer name ending in its path keeps it: asking a part of a model does not shorten
    /// the names that the whole gave.
    fn parameters(&self) -> Vec<Var> {
        collect(self, |role| role == Role::Parameter).into_iter().map(|(_, var)| var).collect()
    }

    /// The variables that are saved but not trained (running statistics), as [`Module::parameters`].
    fn buffers(&self) -> Vec<Var> {
        collect(self, |role| role == Role::Buffer).into_iter().map(|(_, var)| var).collect()
    }

    /// All variables with their paths, in the order of their fields. A shared variable stands under its first path.
    fn named_variables(&self) -> Vec<(String, Var)> {
        collect(self, |_| true)
    }

    /// Gives all float variables this type, rounding their numbers: f64 to check a model, f16 to run one in less memory.
    ///
    /// # Errors
    /// If `dtype` is not a float, the device lacks it, or memory cannot be had.
    fn convert(&self, dtype: DType) -> Result<()> {
        let all = collect(self, |_| true);
        all.iter().filter(|(_, var)| var.dtype().is_float()).try_for_each(|(_, var)| var.convert(dtype))
    }

    /// Number of trained numbers.
    fn parameter_count(&self) -> usize {
        self.parameters().iter().map(Var::len).sum()
    }
}

/// Whether a variable is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Trained by optimizers.
    Parameter,
    /// Saved, not trained.
    Buffer,
}

/// Walks through a module and knows the path of the field it is at.
pub struct Visitor<'a> {
    path: String,
    role: Role,
    found: &'a mut dyn FnMut(&str, Role, &Var),
}

impl std::fmt::Debug for Visitor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Visitor(at '{}')", self.path)
    }
}

impl<'a> Visitor<'a> {
    /// A visitor at the top that calls `found` with path, role and variable.
    pub fn new(found: &'a mut dyn FnMut(&str, Role, &Var)) -> Visitor<'a> {
        Visitor { path: String::new(), role: Role::Parameter, found }
    }

    /// Visits a field.
    pub fn field(&mut self, name: &str, module: &(impl Module + ?Sized)) {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        module.visit(self);
        self.path.truncate(length);
    }

    /// Visits a field whose variables are not trained.
    pub fn buffer(&mut self, name: &str, module: &(impl Module + ?Sized)) {
        let before = std::mem::replace(&mut self.role, Role::Buffer);
        self.field(name, module);
        self.role = before;
    }

    /// Reports a variable at the present path.
    pub fn variable(&mut self, var: &Var) {
        (self.found)(&self.path, self.role, var);
    }
}

fn collect(module: &(impl Module + ?Sized), wanted: impl Fn(Role) -> bool) -> Vec<(String, Var)> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    let mut found = |path: &str, role: Role, var: &Var| {
        if wanted(role) && seen.insert(var.id()) {
            if !path.is_empty() && !var.name().ends_with(&format!(".{path}")) {
                var.set_name(path);
            }
            all.push((path.to_string(), var.clone()));
        }
    };
    module.visit(&mut Visitor::new(&mut found));
    all
}

/// A module that maps one tensor to one tensor: what [`super::Sequential`] strings together.
pub trait Layer: Module {
    /// The layer's function.
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor;
}

impl<L: Layer + ?Sized> Layer for &L {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        (**self).forward(x)
    }
}

impl Module for Var {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.variable(self);
    }
}

impl<M: Module> Module for [M] {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        for (i, module) in self.iter().enumerate() {
            visitor.field(&i.to_string(), module);
        }
    }
}

impl<M: Module> Module for Vec<M> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.as_slice().visit(visitor);
    }
}

impl<M: Module, const N: usize> Module for [M; N] {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.as_slice().visit(visitor);
    }
}

impl<M: Module> Module for Option<M> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        if let Some(module) = self {
            module.visit(visitor);
        }
    }
}

impl<M: Module + ?Sized> Module for Box<M> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        (**self).visit(visitor);
    }
}

impl<M: Module + ?Sized> Module for std::sync::Arc<M> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        (**self).visit(visitor);
    }
}

impl<M: Module + ?Sized> Module for &M {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        (**self).visit(visitor);
    }
}

impl<A: Module, B: Module> Module for (A, B) {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.field("0", &self.0);
        visitor.field("1", &self.1);
    }
}

impl<A: Module, B: Module, C: Module> Module for (A, B, C) {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.field("0", &self.0);
        visitor.field("1", &self.1);
        visitor.field("2", &self.2);
    }
}

// Configuration: nothing inside.
impl Module for () {}
impl Module for bool {}
impl Module for usize {}
impl Module for isize {}
impl Module for u32 {}
impl Module for i32 {}
impl Module for u64 {}
impl Module for i64 {}
impl Module for f32 {}
impl Module for f64 {}
impl Module for str {}
impl Module for String {}
impl Module for Device {}
impl Module for DType {}
impl<T: ?Sized> Module for std::marker::PhantomData<T> {}
