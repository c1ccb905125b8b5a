//! What generation gives: shader texts with their bindings and sizes, and the scratch memory between them.

/// One kernel as dispatches, in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Lowered {
    /// The dispatches; none if the kernel has nothing to write.
    pub passes: Vec<Shader>,
    /// Sizes in bytes of buffers that only these dispatches use.
    pub scratch: Vec<usize>,
}

/// One dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shader {
    /// WGSL; the entry point is `main`. Equal texts are equal pipelines.
    pub text: String,
    /// Buffers in the order of their binding numbers, all in group 0.
    pub bindings: Vec<Bound>,
    /// Workgroups to dispatch.
    pub workgroups: [u32; 3],
    /// Bytes of workgroup memory that the text declares.
    pub workgroup_bytes: u32,
    /// Which file and which shape of it, for people.
    pub variant: String,
}

/// One storage buffer of a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bound {
    /// Which buffer.
    pub place: Place,
    /// `read_write`, else `read`.
    pub writes: bool,
}

/// Where a shader's buffer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The kernel's input of that number.
    Input(usize),
    /// The kernel's output of that number.
    Output(usize),
    /// [`Lowered::scratch`] of that number.
    Scratch(usize),
}

/// Why no shader can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The target has no such type or ability: what, and what to do instead.
    Unsupported(String, String),
    /// A size is over what 32-bit indices or the dispatch limits can reach.
    TooLarge(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Unsupported(what, instead) => write!(f, "{what}: {instead}"),
            Refusal::TooLarge(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Refusal {}
