# Short names for what is done often; `.ci/run` is what must pass.

# All checks, as CI does them.
ci:
    .ci/run

# Format, then the lints.
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings

# The README's test command.
test:
    cargo test --workspace

# API documentation, warnings denied.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# An example: `just example quickstart --device gpu`.
example name *arguments:
    cargo run --release --example {{name}} -- {{arguments}}

# Licences, advisories and sources of all dependencies.
deny:
    cargo deny check

# Kills a run twenty times on each device and compares what it ends with, bit for bit
kills:
    ANYGRAD_KILLS=20 cargo test --release --test kill -- --nocapture
