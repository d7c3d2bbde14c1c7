//! Makes, checks and prints vectors; see the README of this crate.

use std::path::Path;
use std::process::ExitCode;

use test_vectors::generate::{self, Request};
use test_vectors::{AdProcessing, Cipher};

const USAGE: &str = "\
usage: generate-vectors json     bring data/ up to date
       generate-vectors check    fail if data/ is not up to date
       generate-vectors rust     print the short vectors as Rust source for firmware
       generate-vectors c        print the vectors of the C interface as a C header
       generate-vectors more --cipher TWINE-80|TWINE-128|AES-128|AES-256 --ad parallel|serial|combined
                             [--nonce-size BYTES] [--tag-size BYTES] [--count N] [--seed N]
                                 print further cases as JSON";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(output) => {
            print!("{output}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("generate-vectors: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<String, Box<dyn core::error::Error>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    match arguments {
        ["json"] => generate::write(&data)?,
        ["check"] => generate::check(&data)?,
        ["rust"] => return Ok(generate::firmware_source()),
        ["c"] => return Ok(generate::c_header()),
        ["more", options @ ..] => return Ok(generate::more(&request(options)?)?.to_json()),
        ["help" | "-h" | "--help"] => return Ok(format!("{USAGE}\n")),
        _ => return Err(USAGE.into()),
    }
    Ok(String::new())
}

fn request(options: &[&str]) -> Result<Request, String> {
    let pairs = options.chunks_exact(2);
    if let [option] = pairs.remainder() {
        return Err(format!("{option} needs a value"));
    }
    let value = |name: &str| pairs.clone().find(|pair| pair[0] == name).map(|pair| pair[1]);
    let bad = |name: &str, value: &str| format!("{name} cannot be {value:?}\n{USAGE}");

    let name = value("--cipher").ok_or("--cipher is missing")?;
    let cipher = Cipher::ALL.into_iter().find(|cipher| cipher.name() == name);
    let cipher = cipher.ok_or_else(|| bad("--cipher", name))?;
    let name = value("--ad").ok_or("--ad is missing")?;
    let ad_processing = AdProcessing::ALL.into_iter().find(|ad_processing| ad_processing.name() == name);
    let mut request = Request::new(cipher, ad_processing.ok_or_else(|| bad("--ad", name))?);
    for pair in pairs {
        let (option, value) = (pair[0], pair[1]);
        let bad = |_| bad(option, value);
        match option {
            "--cipher" | "--ad" => {}
            "--nonce-size" => request.nonce_size = value.parse().map_err(bad)?,
            "--tag-size" => request.tag_size = value.parse().map_err(bad)?,
            "--count" => request.count = value.parse().map_err(bad)?,
            "--seed" => request.seed = value.parse().map_err(bad)?,
            _ => return Err(format!("unknown option {option}\n{USAGE}")),
        }
    }
    Ok(request)
}
