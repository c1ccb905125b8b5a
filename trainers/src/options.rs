//! The options that all examples share, and errors that end a program with a sentence instead of a debug dump.

use std::fmt::{Debug, Display};
use std::path::PathBuf;

use anygrad_core::{Error, Result};

/// Options of a training program, from its command line.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// `--device cpu|gpu|gpu:N|best`: where to train.
    pub device: Option<String>,
    /// `--data PATH`: a directory or file with the data.
    pub data: Option<PathBuf>,
    /// `--target COLUMN`: the column of a table to predict.
    pub target: Option<String>,
    /// `--epochs N`: how often to go through the data.
    pub epochs: Option<usize>,
    /// `--seed N`: decides all random numbers; 0 if not given.
    pub seed: u64,
    /// `--out FILE`: where to save the weights (safetensors).
    pub out: Option<PathBuf>,
    /// `--checkpoints DIR`: where to save the whole state after each epoch; a run that finds its state there goes on from it.
    /// `--resume DIR` is the same, but an error if there is no checkpoint.
    pub checkpoints: Option<PathBuf>,
    /// Flags of this program's own that were given; see [`Options::with_flags`].
    pub flags: Vec<String>,
    /// `--seeds N`: how many agents are trained at once (reinforcement learning).
    pub seeds: Option<usize>,
    /// `--steps N`: steps of the environments in all (reinforcement learning).
    pub steps: Option<u64>,
    /// `--quick`: a few steps only, to see that it runs.
    pub quick: bool,
}

const HELP: &str = "\
options:
  --device cpu|gpu|gpu:N|best  where to train (default: ANYGRAD_DEVICE, or the best there is)
  --data PATH                  directory or file with the data
  --target COLUMN              the column of a table to predict
  --epochs N                   how often to go through the data
  --seed N                     decides all random numbers (default 0)
  --out FILE                   save the weights there, as safetensors
  --seeds N                    agents trained at once (reinforcement learning)
  --steps N                    steps of the environments (reinforcement learning)
  --quick                      a few steps only, to see that it runs
  --help                       this text";

/// The option of programs that can go on where they were ended; for [`Options::with_flags`].
pub const CHECKPOINTS: (&str, &str) = (
    "--checkpoints DIR",
    "save the whole state there after each epoch, and go on from it\n  --resume DIR                 the same; an error if there is no checkpoint to go on from",
);

impl Options {
    /// Reads the command line; `--help` prints `about` and the options, and ends the program.
    ///
    /// # Errors
    /// If an option is unknown, lacks its value, or has one of the wrong form.
    pub fn from_args(about: &str) -> Result<Options> {
        Options::with_flags(about, &[])
    }

    /// As [`Options::from_args`], with flags that not all programs have: their names and what they do. [`CHECKPOINTS`] is one.
    ///
    /// # Errors
    /// As [`Options::from_args`].
    pub fn with_flags(about: &str, flags: &[(&str, &str)]) -> Result<Options> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
            println!("{about}\n\n{HELP}");
            for (name, what) in flags {
                println!("  {name:28} {what}");
            }
            std::process::exit(0);
        }
        let own = |argument: &String| flags.iter().any(|(name, _)| name == argument);
        let (given, others): (Vec<String>, Vec<String>) = arguments.into_iter().partition(own);
        let options = Options { flags: given, ..Options::parse(&others)? };
        if options.checkpoints.is_some() && !flags.contains(&CHECKPOINTS) {
            return Err(Error::data("option --checkpoints", "this program has no checkpoints; see --help"));
        }
        Ok(options)
    }

    /// Whether a flag of this program's own was given.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }

    /// Reads options from words such as `["--epochs", "5"]` or `["--epochs=5"]`.
    ///
    /// # Errors
    /// As [`Options::from_args`].
    pub fn parse(arguments: &[String]) -> Result<Options> {
        let mut options = Options::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let (name, joined) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_string())),
                None => (word.as_str(), None),
            };
            let mut value = || {
                let next = joined.clone().or_else(|| words.next().cloned()).filter(|value| !value.is_empty());
                next.ok_or_else(|| Error::data(format!("option {name}"), "its value is missing; see --help"))
            };
            match name {
                "--device" => options.device = Some(value()?),
                "--data" => options.data = Some(value()?.into()),
                "--target" => options.target = Some(value()?),
                "--epochs" => options.epochs = Some(number(name, &value()?)?),
                "--seeds" => options.seeds = Some(number(name, &value()?)?),
                "--steps" => options.steps = Some(number(name, &value()?)?),
                "--seed" => options.seed = number(name, &value()?)?,
                "--checkpoints" => options.checkpoints = Some(value()?.into()),
                "--resume" => options.checkpoints = Some(resumed(value()?.into())?),
                "--out" => options.out = Some(value()?.into()),
                "--quick" if joined.is_none() => options.quick = true,
                "--quick" => return Err(Error::data("option --quick", "it takes no value")),
                _ => return Err(Error::data(format!("option {word}"), "there is no such option; see --help")),
            }
        }
        Ok(options)
    }
}

/// The directory, if it holds a checkpoint.
fn resumed(directory: PathBuf) -> Result<PathBuf> {
    if crate::checkpoint::store::exists(&directory) {
        return Ok(directory);
    }
    let help = "no checkpoint is there; check the path, or begin with `--checkpoints`";
    Err(Error::data(format!("option --resume {}", directory.display()), help))
}

fn number<T: std::str::FromStr<Err: Display>>(name: &str, text: &str) -> Result<T> {
    text.parse().map_err(|error| Error::data(format!("option {name} {text}"), format!("{error}; give a whole number")))
}

/// The result of a program's `main`: `fn main() -> Exit`.
pub type Exit = std::result::Result<(), Failure>;

/// Any error, shown as its sentence when `main` returns it.
pub struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}

impl Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let options = parse("--device gpu:1 --epochs=3 --seed 7 --quick --out w.safetensors --data d --checkpoints c")
            .expect("valid");
        assert_eq!(options.device.as_deref(), Some("gpu:1"));
        assert_eq!((options.epochs, options.seed, options.quick), (Some(3), 7, true));
        assert_eq!((options.out, options.data), (Some("w.safetensors".into()), Some("d".into())));
        assert_eq!(options.checkpoints, Some("c".into()));
    }

    #[test]
    fn wrong_options_are_errors_that_name_them() {
        for (line, words) in [
            ("--epoch 3", "--epoch"),
            ("--epochs", "missing"),
            ("--epochs -1", "whole number"),
            ("--seed x", "--seed x"),
            ("data", "data"),
            ("--quick=1", "no value"),
            ("--resume /nowhere", "no checkpoint is there"),
        ] {
            let message = parse(line).expect_err(line).to_string();
            assert!(message.contains(words), "{line}: {message}");
        }
    }
}
