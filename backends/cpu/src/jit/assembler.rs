//! Bytes of the few x86-64 instructions that [`super::emit`] needs: AVX2 with FMA on 256-bit registers, pointers and a loop.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, chapter 2.3 (VEX).

/// A vector register, 0 to 15.
pub(super) type Vector = u8;

/// A general register, 0 to 15.
pub(super) type General = u8;

pub(super) const RAX: General = 0;
pub(super) const RDI: General = 7;

/// Lanes of a vector, and its bytes.
pub(super) const LANES: usize = 8;
pub(super) const BYTES: usize = 4 * LANES;

/// Where an instruction finds its last operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Vector(Vector),
    /// `[base + rax]`.
    At(General),
    /// `[base]`.
    Still(General),
    /// A vector of the pool behind the code.
    Pool(usize),
}

/// A vector instruction: prefix (0: none, 1: 66, 2: F3), map (1: 0F, 2: 0F38, 3: 0F3A) and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    prefix: u8,
    map: u8,
    code: u8,
}

const fn code(prefix: u8, map: u8, code: u8) -> Code {
    Code { prefix, map, code }
}

pub(super) const LOAD: Code = code(0, 1, 0x10);
pub(super) const STORE: Code = code(0, 1, 0x11);
pub(super) const LOAD_MASKED: Code = code(1, 2, 0x2c);
pub(super) const STORE_MASKED: Code = code(1, 2, 0x2e);
pub(super) const ADD: Code = code(0, 1, 0x58);
pub(super) const MULTIPLY: Code = code(0, 1, 0x59);
pub(super) const SUBTRACT: Code = code(0, 1, 0x5c);
pub(super) const DIVIDE: Code = code(0, 1, 0x5e);
pub(super) const SMALLEST: Code = code(0, 1, 0x5d);
pub(super) const LARGEST: Code = code(0, 1, 0x5f);
pub(super) const ROOT: Code = code(0, 1, 0x51);
pub(super) const AND: Code = code(0, 1, 0x54);
pub(super) const AND_NOT: Code = code(0, 1, 0x55);
pub(super) const OR: Code = code(0, 1, 0x56);
pub(super) const XOR: Code = code(0, 1, 0x57);
pub(super) const COMPARE: Code = code(0, 1, 0xc2);
pub(super) const ROUND: Code = code(1, 3, 0x08);
pub(super) const BLEND: Code = code(1, 3, 0x4a);
pub(super) const EQUAL_BITS: Code = code(1, 1, 0x76);
pub(super) const ADD_WHOLE: Code = code(1, 1, 0xfe);
pub(super) const SUBTRACT_WHOLE: Code = code(1, 1, 0xfa);
pub(super) const SHIFT: Code = code(1, 1, 0x72);
/// `first = second * third + first`.
pub(super) const MULTIPLY_ADD_231: Code = code(1, 2, 0xb8);
/// `first = second * first + third`.
pub(super) const MULTIPLY_ADD_213: Code = code(1, 2, 0xa8);

/// Code that is being written.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    bytes: Vec<u8>,
    /// Distances to the pool: where they stand, where the instruction ends, which vector.
    distances: Vec<(usize, usize, usize)>,
    pool: Vec<[u32; LANES]>,
}

impl Assembler {
    /// Where the next instruction will stand.
    pub(super) fn here(&self) -> usize {
        self.bytes.len()
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The number of a vector in the pool.
    pub(super) fn pooled(&mut self, lanes: [u32; LANES]) -> usize {
        self.pool.iter().position(|&known| known == lanes).unwrap_or_else(|| {
            self.pool.push(lanes);
            self.pool.len() - 1
        })
    }

    /// `first, second, third`, or with a number behind.
    pub(super) fn vector(
        &mut self,
        Code { prefix, map, code }: Code,
        first: u8,
        second: Vector,
        third: Place,
        number: Option<u8>,
    ) {
        let (index, base) = match third {
            Place::Vector(v) => (0, v),
            Place::At(base) | Place::Still(base) => (RAX, base),
            Place::Pool(_) => (0, 0),
        };
        let high = |register: u8, bit: u8| if register < 8 { bit } else { 0 };
        let top = high(first, 0x80) | high(index, 0x40) | high(base, 0x20) | map;
        self.put(&[0xc4, top, (!second & 15) << 3 | 4 | prefix, code]);
        let middle = (first & 7) << 3;
        match third {
            Place::Vector(v) => self.put(&[0xc0 | middle | v & 7]),
            // With a distance of one byte (0), which every base allows.
            Place::At(base) => self.put(&[0x44 | middle, (RAX & 7) << 3 | base & 7, 0]),
            Place::Still(base) => self.put(&[0x44 | middle, 4 << 3 | base & 7, 0]),
            Place::Pool(vector) => {
                self.put(&[0x05 | middle]);
                let end = self.here() + 4 + usize::from(number.is_some());
                self.distances.push((self.here(), end, vector));
                self.put(&[0; 4]);
            }
        }
        self.bytes.extend(number);
    }

    /// Shifts whole numbers: `kind` 2: right, zeros; 4: right, signs; 6: left.
    pub(super) fn shift(&mut self, kind: u8, to: Vector, from: Vector, bits: u8) {
        self.vector(SHIFT, kind, to, Place::Vector(from), Some(bits));
    }

    /// `to = [rdi + 8 * entry]`.
    pub(super) fn pointer(&mut self, to: General, entry: usize) {
        self.put(&[0x48 | (to >> 3) << 2, 0x8b, 0x87 | (to & 7) << 3]);
        self.put(&(8 * entry as u32).to_le_bytes());
    }

    /// Saves registers that belong to the caller.
    pub(super) fn push(&mut self, register: General) {
        self.put(&[0x40 | register >> 3, 0x50 | register & 7]);
    }

    /// Brings them back.
    pub(super) fn pop(&mut self, register: General) {
        self.put(&[0x40 | register >> 3, 0x58 | register & 7]);
    }

    /// `rax = 0; rdi = rsi` without the bytes of an incomplete vector.
    pub(super) fn begin(&mut self) {
        self.put(&[0x31, 0xc0]); // xor eax, eax
        self.put(&[0x48, 0x89, 0xf7]); // mov rdi, rsi
        self.put(&[0x48, 0x83, 0xe7, !(BYTES as u8 - 1)]); // and rdi, -32
    }

    /// Goes elsewhere if `rdi` is 0 (no whole vector); [`Assembler::land`] says where.
    pub(super) fn skip_if_none(&mut self) -> usize {
        self.put(&[0x48, 0x85, 0xff, 0x0f, 0x84, 0, 0, 0, 0]); // test rdi, rdi; jz
        self.here()
    }

    /// The next vector, from `start` on, until `rax` reaches `rdi`.
    pub(super) fn repeat(&mut self, start: usize) {
        self.put(&[0x48, 0x83, 0xc0, BYTES as u8]); // add rax, 32
        self.put(&[0x48, 0x39, 0xf8]); // cmp rax, rdi
        self.put(&[0x0f, 0x82]); // jb
        let distance = start as i32 - (self.here() as i32 + 4);
        self.put(&distance.to_le_bytes());
    }

    /// `rsi` becomes the bytes that are left; goes elsewhere if there are none.
    pub(super) fn skip_if_whole(&mut self) -> usize {
        self.put(&[0x83, 0xe6, BYTES as u8 - 1, 0x0f, 0x84, 0, 0, 0, 0]); // and esi, 31; jz
        self.here()
    }

    /// A skip ends here.
    pub(super) fn land(&mut self, skip: usize) {
        let distance = (self.here() - skip) as u32;
        self.bytes[skip - 4..skip].copy_from_slice(&distance.to_le_bytes());
    }

    /// Loads the mask of the lanes that are left: `rsi` bytes of ones, then zeros.
    pub(super) fn mask(&mut self, to: Vector) {
        let ones = self.pool.len();
        self.pool.extend([[u32::MAX; LANES], [0; LANES]]);
        self.put(&[0x48, 0x8d, 0x3d]); // lea rdi, [zeros]
        self.distances.push((self.here(), self.here() + 4, ones + 1));
        self.put(&[0; 4]);
        self.put(&[0x48, 0x29, 0xf7]); // sub rdi, rsi
        self.vector(LOAD, to, 0, Place::Still(RDI), None);
    }

    /// Back to the caller.
    pub(super) fn leave(&mut self) {
        self.put(&[0xc5, 0xf8, 0x77, 0xc3]); // vzeroupper; ret
    }

    /// The code with its pool behind it.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len().next_multiple_of(BYTES), 0xcc);
        let start = self.bytes.len();
        for &(at, end, vector) in &self.distances {
            let distance = (start + vector * BYTES - end) as u32;
            self.bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        self.bytes.extend(self.pool.iter().flatten().flat_map(|lane| lane.to_le_bytes()));
        self.bytes
    }
}
