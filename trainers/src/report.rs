//! What people look at while a model learns and afterwards. All are [`Listener`](crate::events::Listener)s of a run's events:
//!
//! - [`Bar`]: a progress bar, or one line per epoch where there is no terminal;
//! - [`Csv`], [`JsonLines`]: tables for other programs;
//! - [`TensorBoard`]: event files with scalars, histograms, images and text;
//! - [`Html`]: one file with curves and a confusion matrix, to send to somebody.
//!
//! [`png`] makes a file of an image.
//!
//! Those that take more than events (images, a confusion matrix) are handles: a clone writes to the same place, so one is given to
//! the trainer and one is kept.

mod bar;
mod html;
mod png;
mod tables;
mod tensorboard;

pub use bar::Bar;
pub use html::Html;
pub use png::png;
pub use tables::{Csv, JsonLines};
pub use tensorboard::TensorBoard;

/// A number for people: four significant digits, without a tail of zeros.
fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    if !(1e-4..1e5).contains(&size) {
        let text = format!("{value:.3e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.'));
    }
    let decimals = (3 - size.log10().floor() as i32).clamp(0, 7) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// Minutes and seconds, or hours and minutes.
fn time(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::{short, time};

    #[test]
    fn numbers_and_times_are_short() {
        let shown: Vec<String> = [0.0, 0.123_456, 12.0, 1234.56, 1e-5, 2.5e7, -0.5, 0.00025].map(short).into();
        assert_eq!(shown, ["0", "0.1235", "12", "1235", "1e-5", "2.5e7", "-0.5", "0.00025"]);
        assert_eq!([1.26, 75.0, 7260.0].map(time), ["1.3 s", "1 min 15 s", "2 h 01 min"]);
    }
}
