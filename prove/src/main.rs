//! The command `prove`.

use anyhow::{Context, Result};
use prove::{
    claims::blocks::{Direction, Keyed},
    elf::Image,
    isa::x86_64::Level,
};
use std::{path::Path, sync::Arc, time::Instant};

fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("no file")?;
    let image = Arc::new(Image::read(Path::new(&path))?);
    for (name, level) in Level::ALL {
        for bits in [128, 80] {
            let t = Instant::now();
            let mut keyed = match Keyed::new(&image, level, bits) { Ok(k) => k, Err(e) => { println!("{name} {bits}: {e:#}"); continue } };
            println!("{name} {bits} init {} instr {} nodes {:?} {:.2?}", keyed.machine.executed, keyed.machine.graph.len(), keyed.machine.graph.statistics, t.elapsed());
            for d in [Direction::Encrypt, Direction::Decrypt] { for n in [5, 64, 67] {
                let t = Instant::now();
                let r = keyed.check(d, n);
                println!("{name} {bits} {} {n} {r:?} {} instr {} nodes {:?} {:.2?}", d.name(), keyed.machine.executed, keyed.machine.graph.len(), keyed.machine.graph.statistics, t.elapsed());
            }}
        }
    }
    Ok(())
}
