//! Makes the C header from the sources of `twine-otr-capi`, or checks that it is up to date.

use std::{error::Error, fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(arguments.iter().any(|argument| argument == "--check")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("twine-otr-header: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(check: bool) -> Result<(), Box<dyn Error>> {
    let capi = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no folder above")?;
    let file = capi.join("include/twine-otr.h");
    let config = cbindgen::Config::from_file(capi.join("cbindgen.toml"))?;
    let mut generated = Vec::new();
    // In the order in which the header is to be read.
    let mut builder = cbindgen::Builder::new().with_config(config);
    for module in ["status.rs", "context.rs", "otr.rs", "block.rs"] {
        builder = builder.with_src(capi.join("src").join(module));
    }
    builder.generate()?.write(&mut generated);
    let header = for_c(&String::from_utf8(generated)?);
    if !check {
        fs::create_dir_all(capi.join("include"))?;
        return Ok(fs::write(file, header)?);
    }
    if fs::read_to_string(&file)? != header {
        return Err(format!("{} is not up to date: run `cargo xtask capi header`", file.display()).into());
    }
    Ok(())
}

/// Takes out what the comments say to Rust alone, sections `# Safety`, which state what C takes for granted; puts negative
/// numbers into parentheses, and comments as C90 has them.
fn for_c(header: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut is_for_rust = false;
    for line in header.lines() {
        let line = line.trim_end();
        is_for_rust |= line == " * # Safety";
        is_for_rust &= line != " */";
        // No empty line before the end, nor two in a row.
        let last_is_empty = lines.last().is_some_and(|last| last == " *");
        if last_is_empty && (line == " */" || line == " *") {
            lines.pop();
        }
        if !is_for_rust {
            lines.push(match line.split_once(" -") {
                Some((define, number)) if define.starts_with("#define TWINE_OTR_ERR_") => {
                    format!("{define} (-{number})")
                }
                _ => match line.split_once(" // ") {
                    Some((code, comment)) => format!("{code} /* {comment} */"),
                    None => line.to_owned(),
                },
            });
        }
    }
    lines.join("\n") + "\n"
}
