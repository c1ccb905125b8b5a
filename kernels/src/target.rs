//! What a shader is generated for: the limits and abilities of one device, as plain numbers.
//!
//! The backend fills a [`Target`] from its adapter; tests fill it by hand to force a variant. Generation reads nothing
//! else, so that equal kernels and equal targets give equal text.

use anygrad_core::DType;

/// Limits and abilities of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Most invocations in one workgroup.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Most workgroups along one axis of a dispatch.
    pub workgroups: u32,
    /// Most storage buffers that one shader can see.
    pub bindings: u32,
    /// Whether buffers may hold f16.
    pub f16: bool,
    /// A software or integrated driver: workgroup memory and barriers cost more than they save.
    pub software: bool,
    /// Invocations per subgroup, which one cooperative product takes.
    pub subgroup: u32,
    /// Whether shaders may use operations across a subgroup, all of which have that size.
    pub broadcasts: bool,
    /// Whether four f32 are better fetched as two 64-bit numbers: lavapipe puts what lanes fetch into vectors one by one.
    pub words: bool,
    /// Matrix products that the hardware does on whole tiles; empty if there are none.
    pub cooperative: Vec<Cooperative>,
}

/// One kind of tile product of the hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cooperative {
    /// Rows, columns and depth of the square tile: 8 or 16.
    pub size: u32,
    /// Element type of the two factors.
    pub factors: DType,
    /// Element type of the sum.
    pub sum: DType,
}

impl Default for Target {
    /// The least that WebGPU promises.
    fn default() -> Target {
        Target {
            invocations: 256,
            workgroup_bytes: 16384,
            workgroups: 65535,
            bindings: 8,
            f16: false,
            software: false,
            subgroup: 32,
            broadcasts: false,
            words: false,
            cooperative: Vec::new(),
        }
    }
}

impl Target {
    /// How `groups` workgroups are dispatched: x and y, so that neither is over the limit. `None` if there are too many.
    #[must_use]
    pub fn fold(&self, groups: u64) -> Option<[u32; 3]> {
        let limit = u64::from(self.workgroups);
        if groups <= limit {
            return Some([groups as u32, 1, 1]);
        }
        let y = groups.div_ceil(limit);
        (y <= limit).then(|| [groups.div_ceil(y) as u32, y as u32, 1])
    }
}
