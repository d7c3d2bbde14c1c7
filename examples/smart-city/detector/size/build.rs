//! The image has one entry; what it does not reach is left out.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        for argument in ["--gc-sections", "--entry=examine"] {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}
