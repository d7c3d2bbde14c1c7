//! Makes or checks `data/frames.json`.

use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/frames.json");
    let text = smart_city_frame_vectors::file().to_json();
    match std::env::args().nth(1).as_deref() {
        Some("json") => Ok(fs::write(path, text)?),
        Some("check") if fs::read_to_string(&path)? == text => Ok(()),
        Some("check") => Err(format!("{} is not up to date", path.display()).into()),
        _ => Err("usage: smart-city-frame-vectors json|check".into()),
    }
}
