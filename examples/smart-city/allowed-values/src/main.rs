//! `allowed-values`: see `USAGE`.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use smart_city_allowed_values::{functions, regions, table};
use smart_city_detector::AttestKey;
use zeroize::Zeroizing;

const USAGE: &str = "\
usage: allowed-values table --key-file FILE --out FILE ELF FUNCTION...
           write the table of allowed values of a device: FILE has its attest key, 32 hexadecimal digits;
           the functions are regions 1, 2, ... in this order
       allowed-values list ELF
           print the functions of an image";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["table", "--key-file", key, "--out", out, elf, names @ ..] => {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let regions = regions(&read(elf)?, &names, &read_key(key)?)?;
            fs::write(out, table(&regions)).with_context(|| format!("cannot write {out}"))?;
            for (region, name) in regions.iter().zip(&names) {
                println!("{:5} {:#010x} {:6} {name}", region.id, region.address, region.len);
            }
            Ok(())
        }
        ["list", elf] => {
            for function in read(elf)? {
                println!("{:#010x} {:6} {}", function.address, function.code.len(), function.name);
            }
            Ok(())
        }
        ["help" | "-h" | "--help"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("{USAGE}"),
    }
}

fn read(elf: &str) -> Result<Vec<smart_city_allowed_values::Function>> {
    let bytes = fs::read(Path::new(elf)).with_context(|| format!("cannot read {elf}"))?;
    functions(&bytes).with_context(|| elf.to_owned())
}

fn read_key(path: &str) -> Result<AttestKey> {
    let text = Zeroizing::new(fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?);
    let mut key = Zeroizing::new([0; 16]);
    match base16ct::lower::decode(text.trim_end(), key.as_mut_slice()) {
        Ok(bytes) if bytes.len() == 16 => Ok(AttestKey::from_bytes(*key)),
        _ => bail!("{path} has not 32 lower-case hexadecimal digits"),
    }
}
