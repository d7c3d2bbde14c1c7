//! The command: writes the masked kernels, or proves what there is to prove of them and looks for them in linked images, or simulates traces.

use anyhow::{Context as _, Result, bail, ensure};
use masking::{
    check,
    image::Image,
    kernel::{self, Kernel},
    leakage::{
        Experiment, LIMIT, Lengths, SECRET, Task, greatest, with_a_pad_that_keeps_its_register,
        with_a_share_left, with_a_share_over_the_other,
    },
    machine::MODELS,
    report::{self, Outcome},
};
use std::{fs, process::ExitCode, time::Instant};

const HELP: &str = "\
Usage: masking write FILE     writes the kernels as assembly
       masking check ELF...   proves of each kernel that no bit that is seen depends on a secret;
                              checks that linked images have the instructions and constants of all of them
       masking leakage TRACES MARKDOWN SVG
                              simulates so many traces of each experiment that must show nothing, and up to 65,536 of each that must show a secret;
                              fails if they show a secret, or if they do not show one where there are no masks, or a fault;
                              else writes the table and the picture of what they show
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["write", file] => Ok(fs::write(file, kernel::assembly(&masking::kernels()))?),
        ["check", ref files @ ..] if !files.is_empty() => check(files),
        ["leakage", traces, markdown, svg] => leakage(traces.parse()?, markdown, svg),
        _ => bail!("unexpected arguments\n\n{HELP}"),
    }
}

/// The most traces of an experiment that must show a secret.
const FEW: u64 = 65_536;

fn leakage(traces: u64, markdown: &str, svg: &str) -> Result<()> {
    let text = fs::read_to_string(markdown).with_context(|| format!("cannot read {markdown}"))?;
    let masked = Experiment {
        key_len: 16,
        task: Task::Blocks,
        has_fixed_key: false,
        is_masked: true,
        unmasks_tag: false,
        secret: SECRET,
        traces,
    };
    let few = |experiment| Experiment { traces: traces.min(FEW), ..experiment };
    let unmasked = |experiment| Experiment { is_masked: false, ..few(experiment) };
    let (short, middle) = (Lengths { message: 36, data: 0 }, Lengths { message: 44, data: 12 });
    let message = Experiment { task: Task::Message(middle), ..masked };
    let forgery = Experiment { task: Task::Forgery(middle), ..masked };
    type Fault = (&'static str, fn(&mut Kernel));
    let experiments: [(&str, Experiment, Option<Fault>, bool); 16] = [
        ("TWINE-128", masked, None, false),
        ("TWINE-80", Experiment { key_len: 10, ..masked }, None, false),
        ("TWINE-128, the same key in all traces", Experiment { has_fixed_key: true, ..masked }, None, false),
        ("TWINE-128, all masks zero", unmasked(masked), None, true),
        (
            "TWINE-128, a pad that keeps its register",
            few(masked),
            Some((masking::ENCRYPT, with_a_pad_that_keeps_its_register)),
            true,
        ),
        (
            "TWINE-128, a share loaded over the other",
            few(masked),
            Some((masking::ENCRYPT, with_a_share_over_the_other)),
            true,
        ),
        ("TWINE-128-OTR, 36 bytes", Experiment { task: Task::Message(short), ..masked }, None, false),
        (
            "TWINE-128-OTR, 100 bytes and 40 of associated data",
            Experiment { task: Task::Message(Lengths { message: 100, data: 40 }), ..masked },
            None,
            false,
        ),
        ("TWINE-128-OTR, 44 bytes and 12 of associated data", message, None, false),
        (
            "the same lengths, the same key in all traces",
            Experiment { has_fixed_key: true, ..message },
            None,
            false,
        ),
        ("the same lengths, all masks zero", unmasked(message), None, true),
        (
            "the same lengths, a share left in a register",
            few(message),
            Some((masking::ADD, with_a_share_left)),
            true,
        ),
        ("a forgery of 36 bytes", Experiment { task: Task::Forgery(short), ..masked }, None, false),
        ("a forgery of 44 bytes and 12 of associated data", forgery, None, false),
        ("the same forgery, all masks zero", unmasked(forgery), None, true),
        (
            "the same forgery, the expected tag without masks",
            Experiment { unmasks_tag: true, ..few(forgery) },
            None,
            true,
        ),
    ];
    let (mut outcomes, mut wrong) = (Vec::new(), Vec::new());
    let kernels = masking::kernels();
    for (what, experiment, change, is_seen) in experiments {
        let mut kernels = kernels.clone();
        if let Some((name, change)) = change {
            kernels.iter_mut().filter(|kernel| kernel.name == name).for_each(change);
        }
        let (start, samples) = (Instant::now(), experiment.run(&kernels)?);
        let greatest = greatest(&samples);
        println!("{what}: |t| up to {greatest:.1}, {:.0} s", start.elapsed().as_secs_f64());
        if is_seen != (greatest > LIMIT) {
            wrong.push(what);
        }
        outcomes.push(Outcome { what: what.to_owned(), traces: experiment.traces, samples });
    }
    println!("{}", report::table(&outcomes));
    ensure!(wrong.is_empty(), "not as expected, so nothing is written: {}", wrong.join("; "));
    fs::write(markdown, report::with_table(&text, &outcomes)?)?;
    fs::write(svg, report::svg(&outcomes)?)?;
    Ok(())
}

fn check(files: &[&str]) -> Result<()> {
    let kernels = masking::kernels();
    for file in files {
        let bytes = fs::read(file).with_context(|| format!("cannot read {file}"))?;
        let image = Image::read(&bytes).with_context(|| format!("{file} is no image"))?;
        for kernel in &kernels {
            image.has_kernel(kernel).with_context(|| format!("{file}: {}", kernel.name))?;
        }
        image.has_constants(&check::constants()).with_context(|| (*file).to_owned())?;
        println!("{file} has the instructions and constants of {} kernels", kernels.len());
    }
    let mut leaks = 0;
    for kernel in &kernels {
        leaks += prove(kernel)?;
    }
    ensure!(leaks == 0, "{leaks} times something depends on a secret");
    Ok(())
}

/// Proves of a kernel what there is to prove, and returns how often something depends on a secret.
fn prove(kernel: &Kernel) -> Result<usize> {
    let start = Instant::now();
    let report = check::prove(kernel).with_context(|| kernel.name)?;
    let seen: Vec<String> = MODELS
        .iter()
        .map(|model| format!("{model:?} {}", report.seen.get(model).copied().unwrap_or(0)))
        .collect();
    println!("{}: {} instructions; words seen: {}", report.name, report.instructions, seen.join(", "));
    for leak in &report.leaks {
        println!("  depends on a secret: {:?} at {:#x}, bits {:08x}", leak.model, leak.at, leak.bits);
    }
    let verdict = if report.leaks.is_empty() { "independent of all secrets" } else { "NOT independent" };
    println!("  {verdict}, {:.1} s", start.elapsed().as_secs_f64());
    ensure!(
        report.leaves_public,
        "{}: something of a share is left in the processor or on the stack",
        report.name
    );
    ensure!(report.has_uniform_shares, "{}: a share of a result is not uniformly distributed", report.name);
    Ok(report.leaks.len())
}
