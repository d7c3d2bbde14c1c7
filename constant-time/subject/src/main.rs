//! The program whose binary is checked. It does not check anything but its own answers: `check` looks at it from outside.
//!
//! ```text
//! subject backend                    prints TWINE's backend
//! subject known-answers              under valgrind: known answers, with everything secret marked undefined
//! subject leak-undefined LEAK        under valgrind: a deliberate leak of undefined bytes
//! subject stack                      what calls leave on the stack
//! subject operations some|all        under the tracer: operations with all secrets
//! subject leak LEAK                  under the tracer: a deliberate leak with all secrets
//! ```

mod known_answers;
mod stack;
#[allow(unsafe_code, reason = "one instruction")]
mod traced;
#[allow(unsafe_code, reason = "valgrind is asked by an instruction sequence")]
mod valgrind;

use operations::Leak;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["backend"] => println!("{}", twine_cipher::backend()),
        ["known-answers"] => known_answers::run(),
        ["leak-undefined", name] => known_answers::leak(leak(name)),
        ["operations", extent @ ("some" | "all")] => traced::run(extent == "all"),
        ["stack"] => stack::run(),
        ["leak", name] => traced::leak(leak(name)),
        _ => {
            eprintln!("error: `check` runs this, with arguments that main.rs lists");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn leak(name: &str) -> Leak {
    let leak = Leak::ALL.into_iter().find(|leak| leak.name() == name);
    leak.unwrap_or_else(|| panic!("no deliberate leak is named {name}"))
}
