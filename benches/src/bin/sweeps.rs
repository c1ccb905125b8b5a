//! How costs grow with sizes, as tables and plots (see `anygrad_benches::sweeps`):
//! `cargo run --release -p anygrad-benches --bin sweeps -- --device cpu --name cpu-avx2 [--only batch,graph-chain]`.
//! It writes `DATE-sweeps-NAME.json`, `.md` and one `.svg` per sweep under `--out` (`benches/results`); without `--name`
//! it only prints. `--note TEXT` is said beside the machine (`shared`), `--seconds 20` is how long one size may take.

use std::path::PathBuf;

use anygrad::prelude::*;
use anygrad_benches::machine::{load, processor, today, unix_time};
use anygrad_benches::sweeps::{SWEEPS, plot};
use serde_json::{Map, json};

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let (mut device, mut only, mut out, mut name) = ("cpu".to_string(), None, "benches/results".to_string(), None);
    let (mut note, mut seconds) = (String::new(), 20.0);
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--device" => device = value,
            "--only" => only = Some(value.split(',').map(str::to_string).collect::<Vec<_>>()),
            "--out" => out = value,
            "--name" => name = Some(value),
            "--note" => note = format!(", {value}"),
            "--seconds" => seconds = value.parse()?,
            _ => return Err(format!("no option {option}").into()),
        }
    }
    if let Some(unknown) = only.iter().flatten().find(|name| SWEEPS.iter().all(|(known, _)| known != name)) {
        let known: Vec<&str> = SWEEPS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no sweep {unknown}; there are {}", known.join(", ")).into());
    }
    let device = Device::open(&device)?;
    let head = format!("{}{note}; {device}; {}", processor(), today());
    let before = load();
    println!("{head}; load {before}\n");
    let (mut text, mut all) = (format!("{head}\n"), Map::new());
    let directory = PathBuf::from(out);
    std::fs::create_dir_all(&directory)?;
    for (sweep, run) in SWEEPS {
        if only.as_ref().is_some_and(|only| only.iter().all(|name| name != sweep)) {
            continue;
        }
        let sweep = run(&device, seconds)?;
        println!("{}", sweep.markdown());
        text += &format!("\n{}", sweep.markdown());
        if let Some(name) = &name {
            let file = format!("{}-sweeps-{name}-{}.svg", today(), sweep.name);
            plot(&sweep, &head, &directory.join(&file))?;
            text += &format!("\n![{}]({file})\n", sweep.name);
        }
        let value = json!({
            "about": sweep.about, "columns": sweep.columns, "rows": sweep.rows, "unit": sweep.unit, "notes": sweep.notes,
        });
        all.insert(sweep.name.into(), value);
    }
    if let Some(name) = &name {
        let report = json!({
            "machine": processor(), "note": note, "device": device.to_string(), "unix_time": unix_time(),
            "load_before": before, "load_after": load(), "sweeps": all,
        });
        let file = directory.join(format!("{}-sweeps-{name}.json", today()));
        std::fs::write(&file, serde_json::to_string(&report)? + "\n")?;
        std::fs::write(file.with_extension("md"), text)?;
    }
    Ok(())
}
