//! Why a loss was not finite: the offending batch is looked at again, on the host.

use anygrad_core::{DType, Error, Result, Tensor, Var};

use super::feed::Source;
use super::step::Programs;
use crate::data::Pass;

/// The error about batch `at` (from 0) of `epoch` (from 0), `done` batches of which were submitted.
pub(super) fn error(
    programs: &mut Programs<'_>,
    train: &Source<'_>,
    epoch: usize,
    at: usize,
    done: usize,
    rolled_back: usize,
) -> Error {
    let config = &programs.parts.config;
    let (size, seed) = (config.batch, config.seed);
    let order = config.order.rows(train.len, seed, epoch);
    let rows = &order[(at * size).min(order.len())..((at + 1) * size).min(order.len())];
    let batch = (train.read)(rows, Pass { seed, epoch });
    let cause = match batch.and_then(|batch| cause(programs, batch, rows, done.saturating_sub(at))) {
        Ok(cause) => cause,
        Err(error) => format!("looking for the cause failed: {error}"),
    };
    let again = if rolled_back > 0 { format!(" (after going back {rolled_back} times)") } else { String::new() };
    let message =
        format!("the loss or a gradient is not finite{again}; {cause}; parameters are those before this step");
    Error::data(format!("training, epoch {}, batch {}", epoch + 1, at + 1), message)
}

fn cause(programs: &mut Programs<'_>, (x, y): (Tensor, Tensor), rows: &[u32], since: usize) -> Result<String> {
    for (what, tensor) in [("inputs", &x), ("targets", &y)] {
        if let Some(row) = first_row(tensor, |value| !value.is_finite())? {
            return Ok(format!("the {what} of row {} of the data hold NaN or infinity", rows[row]));
        }
    }
    // Class numbers: a prediction has one axis more, the second.
    let output = programs.predict(x.clone())?;
    let mut per_class = output.shape().to_vec();
    if y.dtype().is_int() && output.rank() > 1 {
        let classes = per_class.remove(1) as f64;
        if per_class == y.shape()
            && let Some(row) = first_row(&y, |value| value < 0.0 || value >= classes)?
        {
            let labels = y.to_f64()?;
            let each = labels.len() / rows.len().max(1);
            let wrong = labels[row * each..].iter().find(|&&label| label < 0.0 || label >= classes);
            let (row, label) = (rows[row], wrong.copied().unwrap_or(f64::NAN));
            return Ok(format!(
                "the label of row {row} of the data is {label}, but the model has {classes} classes (from 0)"
            ));
        }
    }
    let found = if programs.parts.config.name_non_finite {
        let [infinite, nan] = name(programs, (x, y), since)?;
        match (infinite, nan) {
            (None, None) => "run again, the step is finite".to_string(),
            (first, nan) => {
                let say = |what: &str, label: Option<String>| label.map(|label| format!("the first {what}: {label}"));
                let both = [say("infinity", first), say("NaN", nan)];
                both.into_iter().flatten().collect::<Vec<_>>().join("; ")
            }
        }
    } else {
        "`name_non_finite` names the operation".to_string()
    };
    Ok(format!("inputs and targets are finite, so try a smaller learning rate or clipped gradients; {found}"))
}

/// The first row with a number that is `wrong`.
fn first_row(tensor: &Tensor, wrong: impl Fn(f64) -> bool) -> Result<Option<usize>> {
    if tensor.dtype() == DType::Bool || tensor.is_empty() {
        return Ok(None);
    }
    let values = tensor.to_f64()?;
    let each = values.len() / tensor.shape().first().copied().unwrap_or(1);
    Ok(values.iter().position(|&value| wrong(value)).map(|at| at / each.max(1)))
}

/// Runs the step once more without its updates, with the random numbers that it had `since` runs ago.
fn name(programs: &mut Programs<'_>, batch: (Tensor, Tensor), since: usize) -> Result<[Option<String>; 2]> {
    let generator = programs.parts.device.generator();
    let buffers = programs.parts.model.buffers();
    let kept: Vec<Var> = buffers.into_iter().chain([generator.clone()]).collect();
    let before = Var::read_all(&kept)?;
    let mut words = generator.get().to_vec::<u32>()?;
    words[2] = words[2].wrapping_sub(since as u32);
    generator.write(&words)?;
    let found = programs.first_not_finite(batch);
    for (var, bytes) in kept.iter().zip(&before) {
        var.write_bytes(bytes)?;
    }
    found
}
