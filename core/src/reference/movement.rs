//! Movement in the reference: each result element says which element of `x` it is.

/// All coordinates of `shape`, row-major.
pub(super) fn points(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    let len: usize = shape.iter().product();
    (0..len).map(|mut i| {
        let mut point = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            point[axis] = i % shape[axis];
            i /= shape[axis];
        }
        point
    })
}

/// The row-major number of a point.
pub(super) fn number(shape: &[usize], point: &[usize]) -> usize {
    shape.iter().zip(point).fold(0, |n, (&size, &p)| n * size + p)
}

pub(super) fn permute(x: &[f64], shape: &[usize], axes: &[usize]) -> Vec<f64> {
    let out: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
    let source = |point: Vec<usize>| {
        let mut from = vec![0; shape.len()];
        for (i, &axis) in axes.iter().enumerate() {
            from[axis] = point[i];
        }
        x[number(shape, &from)]
    };
    points(&out).map(source).collect()
}

pub(super) fn expand(x: &[f64], shape: &[usize], out: &[usize]) -> Vec<f64> {
    let source = |mut point: Vec<usize>| {
        for (p, &size) in point.iter_mut().zip(shape) {
            *p = if size == 1 { 0 } else { *p };
        }
        x[number(shape, &point)]
    };
    points(out).map(source).collect()
}

pub(super) fn slice(x: &[f64], shape: &[usize], ranges: &[(usize, usize)]) -> Vec<f64> {
    let out: Vec<usize> = ranges.iter().map(|r| r.1 - r.0).collect();
    let source = |mut point: Vec<usize>| {
        for (p, range) in point.iter_mut().zip(ranges) {
            *p += range.0;
        }
        x[number(shape, &point)]
    };
    points(&out).map(source).collect()
}

pub(super) fn pad(x: &[f64], shape: &[usize], padding: &[(usize, usize)], value: f64) -> Vec<f64> {
    let out: Vec<usize> = shape.iter().zip(padding).map(|(&size, p)| size + p.0 + p.1).collect();
    let source = |mut point: Vec<usize>| {
        for axis in 0..shape.len() {
            if point[axis] < padding[axis].0 || point[axis] >= padding[axis].0 + shape[axis] {
                return value;
            }
            point[axis] -= padding[axis].0;
        }
        x[number(shape, &point)]
    };
    points(&out).map(source).collect()
}

pub(super) fn flip(x: &[f64], shape: &[usize], axes: &[usize]) -> Vec<f64> {
    let source = |mut point: Vec<usize>| {
        for &axis in axes {
            point[axis] = shape[axis] - 1 - point[axis];
        }
        x[number(shape, &point)]
    };
    points(shape).map(source).collect()
}

pub(super) fn windows(
    x: &[f64],
    shape: &[usize],
    out: &[usize],
    axis: usize,
    stride: usize,
    dilation: usize,
) -> Vec<f64> {
    let source = |point: Vec<usize>| {
        let (tap, window) = (point[shape.len()], &point[..shape.len()]);
        let mut from = window.to_vec();
        from[axis] = window[axis] * stride + tap * dilation;
        x[number(shape, &from)]
    };
    points(out).map(source).collect()
}
