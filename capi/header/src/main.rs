//! Makes the C header from the sources of `twine-otr-capi`, or checks that it is up to date.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What the names of a family begin with, the bytes of its key, and what differs from the first one.
struct Family {
    prefix: &'static str,
    key_size: usize,
    difference: &'static str,
}

/// As in `lib.rs`. The first one has the documentation.
const FAMILIES: [Family; 6] = [
    Family { prefix: "twine128", key_size: 16, difference: "" },
    Family { prefix: "twine80", key_size: 10, difference: "with a key of 80 bits" },
    Family { prefix: "twine128_serial", key_size: 16, difference: "with serial processing" },
    Family {
        prefix: "twine80_serial",
        key_size: 10,
        difference: "with a key of 80 bits and serial processing",
    },
    Family { prefix: "twine128_combined", key_size: 16, difference: "with combined processing" },
    Family {
        prefix: "twine80_combined",
        key_size: 10,
        difference: "with a key of 80 bits and combined processing",
    },
];

/// The types of a family, and the words that each has.
const TYPES: [(&str, &str); 6] = [
    ("otr_ctx", "CTX"),
    ("sealer", "SEALER"),
    ("pieces", "PIECES"),
    ("opener", "OPENER"),
    ("chunk_sealer", "CHUNK_SEALER"),
    ("chunk_opener", "CHUNK_OPENER"),
];

/// The functions of a family that make something of another size with compact keys.
const INITS: [&str; 9] = [
    "otr_init",
    "sealer_init",
    "sealer_first_state",
    "sealer_restore",
    "opener_init",
    "opener_first_state",
    "opener_restore",
    "chunk_sealer_init",
    "chunk_opener_init",
];

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
    let sources = expanded(capi)?;
    let mut generated = Vec::new();
    let mut builder = cbindgen::Builder::new().with_config(config(capi)?);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/capi-header");
    fs::create_dir_all(&folder)?;
    // In the order in which the header is to be read.
    for (i, source) in sources.iter().enumerate() {
        let path = folder.join(format!("{}-{i}.rs", std::process::id()));
        fs::write(&path, source)?;
        builder = builder.with_src(path);
    }
    let bindings = builder.generate();
    for i in 0..sources.len() {
        fs::remove_file(folder.join(format!("{}-{i}.rs", std::process::id())))?;
    }
    bindings?.write(&mut generated);
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

/// The sources with the macros of the families expanded as cbindgen cannot do it.
fn expanded(capi: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let read = |module: &str| fs::read_to_string(capi.join("src").join(module));
    let (mut sources, mut macros) = (vec![read("status.rs")?, read("context.rs")?], Vec::new());
    for module in ["otr.rs", "sealer.rs", "opener.rs", "chunks.rs"] {
        let source = read(module)?;
        let no_macro = || format!("{module} has no macro `functions`");
        let (before, rest) = source.split_once("macro_rules! functions {").ok_or_else(no_macro)?;
        let (body, after) = rest.split_once("\n    };\n}\n").ok_or_else(no_macro)?;
        let (_, body) = body.split_once("=> {\n").ok_or_else(no_macro)?;
        // The comment above the macro is about nothing now.
        sources.push(before.trim_end().rsplit_once('\n').map_or("", |(before, _)| before).to_owned() + after);
        macros.push(body.to_owned());
    }
    let (of_keys, of_processing) = FAMILIES.split_at(2);
    for body in &macros {
        sources.extend(of_keys.iter().map(|family| family.expand(body)));
    }
    sources.push(read("block.rs")?);
    for family in of_processing {
        sources.extend(macros.iter().map(|body| family.expand(body)));
    }
    Ok(sources)
}

impl Family {
    /// What the macro with this body makes for the family, with the names that C has.
    fn expand(&self, body: &str) -> String {
        let mut lines = Vec::new();
        // The comment before an item.
        let mut comment: Vec<&str> = Vec::new();
        for line in body.replace('$', "").lines().map(str::trim_start) {
            if line.starts_with("///") {
                comment.push(line);
                continue;
            }
            let item = ["pub struct ", "pub unsafe extern \"C\" fn "]
                .iter()
                .find_map(|start| line.strip_prefix(start));
            if let Some(item) = item {
                let name = item.split([' ', '(']).next().unwrap_or_default();
                let above =
                    lines.iter().rposition(|line: &String| !line.starts_with('#')).map_or(0, |last| last + 1);
                lines.splice(above..above, self.comment(&comment, name));
                comment.clear();
                lines.push(self.named(&line.replacen(name, &format!("{}_{name}", self.prefix), 1)));
            } else if line.contains("not(twine_keys") || line.starts_with("#[unsafe(export_name") {
                lines.push("#[unsafe(no_mangle)]".to_owned());
            } else if !line.contains("twine_keys") {
                // The comment of a member.
                lines.extend(if line.starts_with('#') {
                    Vec::new()
                } else {
                    comment.drain(..).map(str::to_owned).collect()
                });
                lines.push(self.named(line));
            }
        }
        lines.join("\n")
    }

    /// The line with the names of types that C has.
    fn named(&self, line: &str) -> String {
        TYPES.iter().fold(line.to_owned(), |line, (name, _)| {
            ["*mut ", "*const "].iter().fold(line, |line, pointer| {
                [",", ")"].iter().fold(line, |line, end| {
                    line.replace(
                        &format!("{pointer}{name}{end}"),
                        &format!("{pointer}{}_{name}{end}", self.prefix),
                    )
                })
            })
        })
    }

    /// The comment of an item: only the first family has it in full.
    fn comment(&self, comment: &[&str], name: &str) -> Vec<String> {
        if self.difference.is_empty() {
            return comment.iter().map(|&line| line.to_owned()).collect();
        }
        let annotation = comment.iter().find(|line| line.contains("cbindgen:"));
        let annotation =
            annotation.map(|line| line.replace("[key; 16]", &format!("[key; {}]", self.key_size)));
        let reference = format!("/// As {}_{name}, {}.", FAMILIES[0].prefix, self.difference);
        [Some(reference), annotation.as_ref().map(|_| "///".to_owned()), annotation]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// The configuration, with what it says once for each family.
fn config(capi: &Path) -> Result<cbindgen::Config, Box<dyn Error>> {
    let mut config = cbindgen::Config::from_file(capi.join("cbindgen.toml"))?;
    let lines = |line: &dyn Fn(&str) -> Vec<String>| -> String {
        FAMILIES.iter().flat_map(|family| line(family.prefix)).collect::<Vec<_>>().join("\n")
    };
    let compact = lines(&|prefix| {
        INITS.iter().map(|init| format!("#define {prefix}_{init} {prefix}_{init}_compact")).collect()
    });
    let initialisers = lines(&|prefix| {
        TYPES
            .iter()
            .map(|(name, _)| format!("#define {}_INIT {{{{0}}}}", format!("{prefix}_{name}").to_uppercase()))
            .collect()
    });
    let sizes = lines(&|prefix| {
        let size = |(name, words): &(&str, &str)| {
            format!(
                "TWINE_OTR_ASSERT(sizeof({prefix}_{name}) == 8 * TWINE_OTR_{words}_WORDS, size_of_{prefix}_{name});"
            )
        };
        TYPES.iter().map(size).collect()
    });
    let version = env!("CARGO_PKG_VERSION");
    let number = |i: usize| version.split(['.', '-', '+']).nth(i).unwrap_or_default();
    let version = format!(
        "#define TWINE_OTR_VERSION \"{version}\"\n#define TWINE_OTR_VERSION_MAJOR {}\n\
         #define TWINE_OTR_VERSION_MINOR {}\n#define TWINE_OTR_VERSION_PATCH {}",
        number(0),
        number(1),
        number(2)
    );
    for text in [&mut config.after_includes, &mut config.trailer].into_iter().flatten() {
        for (place, lines) in [
            ("@compact@", &compact),
            ("@initialisers@", &initialisers),
            ("@sizes@", &sizes),
            ("@version@", &version),
        ] {
            *text = text.replace(place, lines);
        }
    }
    Ok(config)
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
