//! `smart-city-bridge`: see `USAGE`.

#[cfg(unix)]
mod unix;

#[cfg(unix)]
fn main() -> anyhow::Result<()> {
    unix::main()
}

#[cfg(not(unix))]
fn main() {
    eprintln!("smart-city-bridge is for Unix: it reads serial ports and Unix sockets");
    std::process::exit(2);
}
