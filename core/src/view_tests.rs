use super::*;
use proptest::prelude::*;

fn points(shape: &[usize]) -> Vec<Vec<usize>> {
    let n: usize = shape.iter().product();
    let unravel = |mut i: usize| {
        let mut p = vec![0; shape.len()];
        for a in (0..shape.len()).rev() {
            p[a] = i % shape[a];
            i /= shape[a];
        }
        p
    };
    (0..n).map(unravel).collect()
}

/// A random movement of a view: what it does to the view, chosen so that it always fits.
fn movement(view: &View, kind: u8, a: usize, b: usize) -> Option<View> {
    let rank = view.shape.len();
    let axis = a % rank;
    let full: Vec<(usize, usize)> = view.shape.iter().map(|&s| (0, s)).collect();
    match kind % 6 {
        0 => {
            let mut axes: Vec<usize> = (0..rank).collect();
            axes.swap(axis, b % rank);
            Some(view.permute(&axes))
        }
        1 => {
            let mut ranges = full;
            ranges[axis] = (b % (view.shape[axis] + 1) / 2, view.shape[axis]);
            Some(view.slice(&ranges))
        }
        2 => {
            let mut padding = vec![(0, 0); rank];
            padding[axis] = (b % 3, a % 2);
            Some(view.pad(&padding))
        }
        3 => Some(view.flip(&[axis])),
        4 if rank < 5 && view.shape[axis] > 0 => view.windows(axis, 1 + b % view.shape[axis], 1 + a % 2, 1),
        _ => {
            let n = view.len();
            let first = (1..=n.max(1)).filter(|&d| n.is_multiple_of(d)).nth(b % 3).unwrap_or(1);
            Some(View::contiguous(&[first, n / first]))
        }
    }
}

proptest! {
    #[test]
    fn a_joined_view_equals_the_chain(shape in prop::collection::vec(1usize..5, 1..4),
                                      moves in prop::collection::vec((0u8..6, 0usize..6, 0usize..6), 1..6)) {
        let mut chain = vec![View::contiguous(&shape)];
        for (kind, a, b) in moves {
            let top = &chain[chain.len() - 1];
            if let Some(next) = movement(&View::contiguous(&top.shape), kind, a, b)
                && !next.is_empty() && next.len() < 5000 {
                chain.push(next);
            }
        }
        chain.reverse();
        let separate = Layout(chain.clone().into());
        let mut joined = Layout::of(chain[0].clone());
        for view in &chain[1..] {
            joined = joined.then(&Layout::of(view.clone()));
        }
        for p in points(separate.shape()) {
            prop_assert_eq!(separate.index(&p), joined.index(&p), "{:?} of {:?} from {:?}", p, joined, chain);
        }
    }
}

#[test]
fn usual_movements_stay_one_view() {
    let v = View::contiguous(&[2, 3, 4]);
    assert!(v.permute(&[1, 0, 2]).reshape(&[3, 2, 2, 2]).is_some());
    assert!(v.permute(&[2, 0, 1]).reshape(&[4, 6]).is_some());
    assert!(v.permute(&[1, 0, 2]).reshape(&[6, 4]).is_none());
    assert!(v.pad(&[(0, 0), (1, 1), (0, 0)]).permute(&[1, 0, 2]).reshape(&[5, 2, 4, 1]).is_some());
    assert_eq!(v.slice(&[(0, 2), (1, 3), (0, 4)]).flip(&[1]).index(&[0, 0, 0]), Some(8));
}
