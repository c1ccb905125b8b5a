//! CPU: sums over the rows of a product that its tasks take on by the way are, to the last bit, those of a step of their own.

use anygrad::prelude::*;

/// The bits of `y = relu(x w)`, of its sums over rows, and of those of `y * z`.
fn together(x: &[Tensor]) -> [Tensor; 3] {
    let y = x[0].matmul(&x[1]).relu();
    [y.sum(0), (&y * &x[2]).sum(0), y]
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.to_vec::<f32>().expect("numbers").into_iter().map(f32::to_bits).collect()
}

#[test]
fn are_those_of_steps_of_their_own() -> Result<()> {
    let device = Device::open("cpu")?;
    device.seed(5)?;
    // Whole parts, parts that rows do not fill, blocks of columns, long sums, rows that the body reduces.
    let shapes = [[1024, 96, 128], [1000, 40, 72], [256, 256, 512], [300, 4096, 40], [4096, 64, 64], [257, 3, 33]];
    for [rows, terms, columns] in shapes {
        let [x, w, z] = [[rows, terms], [terms, columns], [rows, columns]].map(|shape| Tensor::randn(&shape, &device));
        let arguments = vec![x, w, z];
        let mut program = Program::inference(&device, |x: Vec<Tensor>| together(&x));
        let [sums, weighted, y] = program.run(arguments.clone())?;
        let words = program.explain(&arguments)?;
        assert!(words.contains("takes on the sums"), "{rows} x {columns}: {words}");
        let mut alone = Program::inference(&device, |x: Vec<Tensor>| [x[0].sum(0), (&x[0] * &x[1]).sum(0)]);
        let [own, own_weighted] = alone.run(vec![y, arguments[2].clone()])?;
        assert_eq!(bits(&sums), bits(&own), "{rows} x {columns}");
        assert_eq!(bits(&weighted), bits(&own_weighted), "{rows} x {columns}, weighted");
    }
    Ok(())
}

#[test]
fn are_left_alone_where_rows_are_not_those_of_the_product() -> Result<()> {
    let device = Device::open("cpu")?;
    device.seed(6)?;
    let (x, w) = (Tensor::randn(&[512, 32], &device), Tensor::randn(&[32, 64], &device));
    // The same numbers as a table of other columns, and as one whose rows are the product's columns.
    let sums = |y: &Tensor| [y.reshape([1024, 32]).sum(0), y.t().exp().sum(0), y.flip(&[0]).sum(0)];
    let mut program = Program::inference(&device, |(x, w): (Tensor, Tensor)| {
        let y = x.matmul(&w);
        let [a, b, c] = sums(&y);
        [a, b, c, y]
    });
    let [a, b, c, y] = program.run((x, w))?;
    let mut alone = Program::inference(&device, |y: Tensor| sums(&y));
    for (found, own) in [a, b, c].iter().zip(alone.run(y)?) {
        let (found, own) = (found.to_vec::<f32>()?, own.to_vec::<f32>()?);
        assert!(found.iter().zip(&own).all(|(a, b)| (a - b).abs() <= 1e-3 * (1.0 + b.abs())), "{found:?} {own:?}");
    }
    Ok(())
}
