//! `seeds DIRECTORY`: writes the seeds of each target into a directory of its name.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args_os().nth(1).ok_or("expected a directory")?;
    for (target, seeds) in fuzz::seeds::every_target() {
        let directory = Path::new(&directory).join(target);
        fs::create_dir_all(&directory)?;
        for (i, seed) in seeds.iter().enumerate() {
            fs::write(directory.join(format!("{i:04}")), seed)?;
        }
        println!("{target}: {} seeds", seeds.len());
    }
    Ok(())
}
