//! Between buffers and tile registers: loads, gathers, stores, and the numbers that views themselves give.
#![expect(unsafe_code, reason = "buffers are raw memory; bounds were verified when the kernel was compiled")]

use anygrad_core::DType;
use anygrad_core::scalar::philox;
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::execute::Tile;
use super::load::{Access, Axis, HIDDEN, Rows};
use super::{Op, Register, Source, What};

impl<'a> Tile<'a> {
    /// The access, its first lane, what stands still, and the number of lanes.
    #[inline(always)]
    fn access(&self, number: usize) -> (&'a Access, usize, usize, usize) {
        let access = &self.program.accesses[number];
        if access.inner {
            (access, self.inner_start, self.inner_fixed, self.inner_lanes)
        } else {
            (access, self.outer_start, 0, self.outer_lanes)
        }
    }

    #[inline(always)]
    fn source(&self, source: Source) -> *const u8 {
        match source {
            Source::Input(input) => self.io.inputs[input].get(),
            Source::Core => self.io.core.get(),
        }
    }
}

/// An element of a buffer.
#[inline(always)]
fn element<T: Copy>(base: *const u8, at: isize) -> T {
    // SAFETY: `Kernel::verify` holds every element that a view (or an index in range) addresses inside of the slice, and
    // the binding was checked to hold the slice; offsets are multiples of the element's size.
    unsafe { base.cast::<T>().offset(at).read() }
}

/// `n` neighbouring elements of an input, from element `at` on.
#[inline(always)]
pub(super) fn row<'a, T>(tile: &Tile<'a>, input: usize, at: isize, n: usize) -> &'a [T] {
    // SAFETY: as in `element`; who calls found the elements' places by a verified view.
    unsafe { std::slice::from_raw_parts(tile.source(Source::Input(input)).cast::<T>().offset(at), n) }
}

/// Loads lanes into a register; contiguous lanes of 32 or 64 bits are not copied but pointed at.
#[inline(always)]
pub(super) fn load(tile: &mut Tile<'_>, op: &Op, source: Source, access: usize, dtype: DType, copy: bool) {
    let base = tile.source(source);
    let (access, start, fixed, n) = tile.access(access);
    let chained = !access.chain.is_empty();
    if !chained
        && !copy
        && dtype != DType::F16
        && access.lanes.uniform() == Some(1)
        && let Some(still) = access.fixed.place(fixed)
    {
        let at = (access.offset + still + start as isize) * dtype.size() as isize;
        tile.point(op.result, base.wrapping_offset(at).cast_mut());
        return;
    }
    tile.home(op.result);
    match (dtype, chained) {
        (DType::F64, false) => strided::<f64, f64>(access, start, fixed, base, tile.write(op.result, n), |x| x),
        (DType::F16, false) => {
            strided::<f16, f32>(access, start, fixed, base, tile.write(op.result, n), f16::to_f32);
        }
        (_, false) => strided::<u32, u32>(access, start, fixed, base, tile.write(op.result, n), |x| x),
        (_, true) => {
            let numbers = tile.numbers(n);
            access.indices(start, fixed, numbers);
            match dtype {
                DType::F64 => pick::<f64, f64>(numbers, base, tile.write(op.result, n), |x| x),
                DType::F16 => pick::<f16, f32>(numbers, base, tile.write(op.result, n), f16::to_f32),
                _ => pick::<u32, u32>(numbers, base, tile.write(op.result, n), |x| x),
            }
        }
    }
}

/// Elements by their numbers, 0 where hidden.
#[inline(always)]
fn pick<S: Copy, T: Copy + Default>(numbers: &[isize], base: *const u8, out: &mut [T], convert: impl Fn(S) -> T) {
    for (out, &at) in out.iter_mut().zip(numbers) {
        *out = if at == HIDDEN { T::default() } else { convert(element(base, at)) };
    }
}

/// Elements along one view.
#[inline(always)]
fn strided<S: Copy, T: Copy + Default>(
    access: &Access,
    start: usize,
    fixed: usize,
    base: *const u8,
    out: &mut [T],
    convert: impl Fn(S) -> T,
) {
    let Some(still) = access.fixed.place(fixed) else {
        out.fill(T::default());
        return;
    };
    if short(access, start, out, |at| convert(element::<S>(base, access.offset + still + at))) {
        return;
    }
    let base = base.cast::<S>().wrapping_offset(access.offset + still);
    let line = |lanes: &mut [T], first: isize, stride: isize| {
        // SAFETY: as in `element`, for each of the line's elements.
        let read = |i: usize, stride: isize| convert(unsafe { base.offset(first + i as isize * stride).read() });
        match stride {
            0 => lanes.fill(read(0, 0)),
            1 => {
                // SAFETY: as above.
                let from = unsafe { std::slice::from_raw_parts(base.offset(first), lanes.len()) };
                lanes.iter_mut().zip(from).for_each(|(out, &x)| *out = convert(x));
            }
            // Windows of pooling.
            2 => {
                let (whole, tail) = lanes.as_chunks_mut::<4>();
                let done = 4 * whole.len();
                for (i, lanes) in whole.iter_mut().enumerate() {
                    *lanes = std::array::from_fn(|lane| read(4 * i + lane, 2));
                }
                tail.iter_mut().enumerate().for_each(|(i, out)| *out = read(done + i, 2));
            }
            stride => lanes.iter_mut().enumerate().for_each(|(i, out)| *out = read(i, stride)),
        }
    };
    if access
        .lanes
        .lines(start, out.len(), |lane, lanes, first, stride| line(&mut out[lane..lane + lanes], first, stride))
    {
        return;
    }
    access.lanes.runs(start, out.len(), 0, |run| {
        let lanes = &mut out[run.lane..run.lane + run.lanes];
        match run.first {
            None => lanes.fill(T::default()),
            Some(first) => line(lanes, first, run.stride),
        }
    });
}

/// Fills `out` if runs along the last axis are short.
#[inline(always)]
fn short<T: Copy + Default>(access: &Access, start: usize, out: &mut [T], read: impl Fn(isize) -> T) -> bool {
    let Some((rest, rows, last)) = access.lanes.short() else { return false };
    match last.size {
        2 => blocks::<T, 2>(rest, rows, last, start, out, read),
        3 => blocks::<T, 3>(rest, rows, last, start, out, read),
        _ => blocks::<T, 4>(rest, rows, last, start, out, read),
    }
    true
}

/// Elements along axes `rest.., rows, last` with `N` elements in the last: whole rows at once, the ends one by one.
#[inline(always)]
fn blocks<T: Copy + Default, const N: usize>(
    rest: &[Axis],
    rows: Axis,
    last: Axis,
    start: usize,
    out: &mut [T],
    read: impl Fn(isize) -> T,
) {
    let mut lane = 0;
    let (plane, mut within) = (start / (rows.size * N), start % (rows.size * N));
    let mut planes = Rows::new(rest, plane);
    while lane < out.len() {
        let (row, column) = (within / N, within % N);
        let left = out.len() - lane;
        let lanes = &mut out[lane..lane + left.min(rows.size * N - within)];
        lane += lanes.len();
        within = 0;
        let Some(first) = planes.next() else {
            lanes.fill(T::default());
            continue;
        };
        let head = if column == 0 { 0 } else { (N - column).min(lanes.len()) };
        let (head, body) = lanes.split_at_mut(head);
        let at = |row: usize, column: usize| first + row as isize * rows.stride + column as isize * last.stride;
        head.iter_mut().enumerate().for_each(|(i, out)| *out = read(at(row, column + i)));
        let row = row + usize::from(column != 0);
        // Arrays, not slices: the compiler must know how short they are.
        let (whole, tail) = body.as_chunks_mut::<N>();
        let end = row + whole.len();
        if rows.stride == 1 && last.stride == 0 {
            // Each element N times: gradients of pooling.
            let from = at(row, 0);
            whole.iter_mut().enumerate().for_each(|(i, lanes)| *lanes = [read(from + i as isize); N]);
        } else if rows.stride == 0 && !whole.is_empty() {
            // The same elements again and again: numbers of places in a window.
            whole.fill(std::array::from_fn(|i| read(at(row, i))));
        } else {
            let lanes = whole.iter_mut().enumerate();
            lanes.for_each(|(i, lanes)| *lanes = std::array::from_fn(|column| read(at(row + i, column))));
        }
        tail.iter_mut().enumerate().for_each(|(i, out)| *out = read(at(end, i)));
    }
}

/// Neighbouring elements from which on a gather works line by line: a row that one number names is copied whole.
const LINE: usize = 8;

/// Elements at a view's place moved by an index; NaN (0 for integers) where the index is out of range.
#[inline(always)]
pub(super) fn gather(tile: &mut Tile<'_>, op: &Op) {
    let What::Gather { input, access, index, signed, stride, size, dtype } = op.what else { return };
    let n = tile.lanes(op.inner);
    let base = tile.source(Source::Input(input));
    let (access, start, fixed, _) = tile.access(access);
    if dtype.size() == 4
        && access.chain.is_empty()
        && access.lanes.axes.last().is_some_and(|axis| axis.size >= LINE)
        && let Some(still) = access.fixed.place(fixed)
    {
        let (numbers, out) = (tile.read::<u32>(index, n), tile.write::<u32>(op.result, n));
        let outside = if dtype == DType::F32 { f32::NAN.to_bits() } else { 0 };
        let valid = |number: u32| (number as usize) < size && !(signed && (number as i32) < 0);
        let whole = access.lanes.lines(start, n, |lane, lanes, first, step| {
            let (numbers, out) = (&numbers[lane..lane + lanes], &mut out[lane..lane + lanes]);
            let (number, first) = (numbers[0], access.offset + still + first);
            let same = numbers.iter().fold(true, |same, &other| same & (other == number));
            match (same, valid(number), step) {
                (true, false, _) => out.fill(outside),
                (true, true, 1) => out.copy_from_slice(row(tile, input, first + number as isize * stride, lanes)),
                _ => out.iter_mut().zip(numbers).enumerate().for_each(|(i, (out, &number))| {
                    let at = first + i as isize * step + number as isize * stride;
                    *out = if valid(number) { element(base, at) } else { outside };
                }),
            }
        });
        if whole {
            return;
        }
    }
    let numbers = tile.numbers(n);
    access.indices(start, fixed, numbers);
    const OUTSIDE: isize = -2;
    for (at, &index) in numbers.iter_mut().zip(tile.read::<u32>(index, n)) {
        let valid = (index as usize) < size && !(signed && (index as i32) < 0);
        *at = match (*at, valid) {
            (HIDDEN, _) => HIDDEN,
            (_, false) => OUTSIDE,
            (at, true) => at + index as isize * stride,
        };
    }
    macro_rules! take {
        ($stored:ty, $lane:ty, $outside:expr, $convert:expr) => {
            for (out, &at) in tile.write::<$lane>(op.result, n).iter_mut().zip(&*numbers) {
                *out = match at {
                    HIDDEN => <$lane>::default(),
                    OUTSIDE => $outside,
                    at => $convert(element::<$stored>(base, at)),
                };
            }
        };
    }
    match dtype {
        DType::F32 => take!(f32, f32, f32::NAN, |x| x),
        DType::F16 => take!(f16, f32, f32::NAN, f16::to_f32),
        DType::F64 => take!(f64, f64, f64::NAN, |x| x),
        DType::I32 | DType::U32 | DType::Bool => take!(u32, u32, 0, |x| x),
    }
}

/// The element numbers themselves.
#[inline(always)]
pub(super) fn iota(tile: &Tile<'_>, result: usize, access: usize) {
    let (access, start, fixed, n) = tile.access(access);
    let out = tile.write::<u32>(result, n);
    if access.chain.is_empty()
        && let Some(still) = access.fixed.place(fixed)
        && short(access, start, out, |at| (access.offset + still + at) as u32)
    {
        return;
    }
    let numbers = tile.numbers(n);
    access.indices(start, fixed, numbers);
    for (out, &at) in out.iter_mut().zip(&*numbers) {
        *out = if at == HIDDEN { 0 } else { at as u32 };
    }
}

/// Whether no mask hides a lane.
#[inline(always)]
pub(super) fn inside(tile: &Tile<'_>, result: usize, access: usize) {
    let (access, start, fixed, n) = tile.access(access);
    let numbers = tile.numbers(n);
    access.indices(start, fixed, numbers);
    for (out, &at) in tile.write::<u32>(result, n).iter_mut().zip(&*numbers) {
        *out = u32::from(at != HIDDEN);
    }
}

/// Random words by element number; the four words of a counter are kept for the lanes that follow.
#[inline(always)]
pub(super) fn random(tile: &Tile<'_>, result: usize, state: usize, stream: u32, access: usize) {
    let base = tile.source(Source::Input(state));
    let word = |i: isize| element::<u32>(base, i);
    let (key, high) = ([word(0), word(1)], [word(2), word(3)]);
    let (access, start, fixed, n) = tile.access(access);
    let numbers = tile.numbers(n);
    access.indices(start, fixed, numbers);
    let (mut counter, mut words) = (0, philox([0, stream, high[0], high[1]], key));
    for (out, &at) in tile.write::<u32>(result, n).iter_mut().zip(&*numbers) {
        let at = if at == HIDDEN { 0 } else { at as u32 };
        if at / 4 != counter {
            counter = at / 4;
            words = philox([counter, stream, high[0], high[1]], key);
        }
        *out = words[(at % 4) as usize];
    }
}

/// Writes lanes where the output's view puts them.
#[inline(always)]
pub(super) fn store(tile: &Tile<'_>, op: &Op, output: usize, access: usize, dtype: DType) {
    let base = tile.io.outputs[output].get();
    let (access, start, fixed, n) = tile.access(access);
    match dtype {
        DType::F64 => scatter::<f64, f64>(access, start, fixed, base, tile.read(op.result, n), |x| x),
        DType::F16 => {
            let lanes = tile.read::<f32>(op.result, n);
            if access.lanes.uniform() == Some(1)
                && let Some(still) = access.fixed.place(fixed)
            {
                let at = access.offset + still + start as isize;
                // SAFETY: the verified view puts these lanes at `n` contiguous elements, which are this tile's alone.
                let out = unsafe { std::slice::from_raw_parts_mut(base.cast::<f16>().offset(at), n) };
                out.convert_from_f32_slice(lanes);
            } else {
                scatter::<f32, f16>(access, start, fixed, base, lanes, f16::from_f32);
            }
        }
        _ => scatter::<u32, u32>(access, start, fixed, base, tile.read(op.result, n), |x| x),
    }
}

/// Points a register at the lanes of an output that lie side by side.
#[inline(always)]
pub(super) fn aim(tile: &mut Tile<'_>, result: Register, output: usize, access: usize) {
    let base = tile.io.outputs[output].get();
    let (access, start, fixed, _) = tile.access(access);
    let at = access.offset + access.fixed.place(fixed).unwrap_or(0) + start as isize;
    tile.point(result, base.wrapping_offset(4 * at));
}

#[inline(always)]
fn scatter<S: Copy, T: Copy>(
    access: &Access,
    start: usize,
    fixed: usize,
    base: *mut u8,
    lanes: &[S],
    convert: impl Fn(S) -> T,
) {
    let Some(still) = access.fixed.place(fixed) else { return };
    access.lanes.runs(start, lanes.len(), access.offset + still, |run| {
        let from = &lanes[run.lane..run.lane + run.lanes];
        let Some(first) = run.first else { return };
        let base = base.cast::<T>().wrapping_offset(first);
        if run.stride == 1 {
            // SAFETY: verified views put different points at different elements inside of the output, and no other
            // tile has these points; the registers read are not this memory (see `copy` in `prepare`), except that an
            // update in place may have been read, at this very point and before.
            let out = unsafe { std::slice::from_raw_parts_mut(base, from.len()) };
            out.iter_mut().zip(from).for_each(|(out, &x)| *out = convert(x));
            return;
        }
        for (i, &x) in from.iter().enumerate() {
            // SAFETY: as above.
            unsafe { base.offset(i as isize * run.stride).write(convert(x)) };
        }
    });
}
