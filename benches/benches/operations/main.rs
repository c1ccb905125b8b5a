//! Rates of single operations and of the machinery around a step, by criterion, and at the end one table of all rows beside the
//! least time that this machine allows (see `anygrad_benches::roofline`): `cargo bench -p anygrad-benches`, some rows
//! by `-- FILTER`, another device by `ANYGRAD_DEVICE`, the table also into the file that `ROOFLINE` names.

mod bench;
mod cases;
mod machinery;
mod single;

use bench::Bench;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut bench = Bench::new()?;
    single::products(&mut bench)?;
    single::convolutions(&mut bench)?;
    cases::operations(&mut bench)?;
    machinery::planning(&mut bench)?;
    machinery::steps(&mut bench)?;
    machinery::transfers(&mut bench)?;
    bench.finish()
}
