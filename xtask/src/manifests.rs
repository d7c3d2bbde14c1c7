//! Whether the library's descriptions for Zephyr, ESP-IDF, PlatformIO and Arduino are as their tools want them. The tools
//! themselves are not run.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fs, path::Path};

/// Checks all of them in the unpacked release at `root`.
pub(crate) fn check(root: &Path) -> Result<()> {
    let read = |name: &str| {
        fs::read_to_string(root.join(name)).with_context(|| format!("the release has no {name}"))
    };
    zephyr(&read("zephyr/module.yml")?, root).context("zephyr/module.yml")?;
    esp_idf(&read("idf_component.yml")?).context("idf_component.yml")?;
    platformio(&read("library.json")?, root).context("library.json")?;
    arduino(&read("arduino/library.properties")?, &root.join("arduino"))
        .context("arduino/library.properties")?;
    println!("the descriptions for Zephyr, ESP-IDF, PlatformIO and Arduino are as published; not run");
    Ok(())
}

/// The part that is used here of the schema in Zephyr's `scripts/zephyr_module.py`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Module {
    name: String,
    build: ModuleBuild,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModuleBuild {
    /// A folder with a CMakeLists.txt.
    cmake: String,
    /// A file.
    kconfig: String,
}

fn zephyr(text: &str, root: &Path) -> Result<()> {
    let module: Module = yaml(text)?;
    ensure!(module.name == "twine-otr", "its name is {}", module.name);
    for file in [format!("{}/CMakeLists.txt", module.build.cmake), module.build.kconfig] {
        ensure!(root.join(&file).is_file(), "there is no {file}");
    }
    Ok(())
}

/// The part that is used here of "`idf_component.yml` Manifest File" in the documentation of the IDF Component Manager.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Component {
    version: String,
    description: String,
    license: String,
    url: String,
    tags: Vec<String>,
    targets: Vec<String>,
}

fn esp_idf(text: &str) -> Result<()> {
    let component: Component = yaml(text)?;
    is_version(&component.version)?;
    is_url(&component.url)?;
    ensure!(!component.description.is_empty(), "no description");
    ensure!(["Apache-2.0", "MIT"].contains(&component.license.as_str()), "no identifier of SPDX");
    let of = |words: &[String], allowed: fn(char) -> bool| {
        !words.is_empty() && words.iter().all(|word| !word.is_empty() && word.chars().all(allowed))
    };
    ensure!(of(&component.tags, |c| c.is_ascii_alphanumeric() || "_-".contains(c)), "a tag is no word");
    ensure!(of(&component.targets, |c| c.is_ascii_lowercase() || c.is_ascii_digit()), "a target is no chip");
    Ok(())
}

/// The part that is used here of the schema in PlatformIO's `package/manifest/schema.py`, and of "library.json" in its
/// documentation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Library {
    name: String,
    version: String,
    description: String,
    keywords: Vec<String>,
    authors: Vec<Author>,
    homepage: String,
    license: String,
    frameworks: Vec<String>,
    platforms: Vec<String>,
    headers: Vec<String>,
    build: LibraryBuild,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Author {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LibraryBuild {
    include_dir: String,
    src_filter: String,
    lib_archive: bool,
    extra_script: String,
}

fn platformio(text: &str, root: &Path) -> Result<()> {
    let library: Library = serde_json::from_str(text)?;
    let is_of = |text: &str, most: usize, allowed: fn(char) -> bool| {
        (1..=most).contains(&text.len()) && text.chars().all(allowed)
    };
    ensure!(is_of(&library.name, 100, |c| !":;/,@<>".contains(c)), "the name has other characters");
    ensure!(is_of(&library.version, 50, |_| true), "the version is too long");
    is_version(&library.version)?;
    ensure!(is_of(&library.description, 1000, |_| true), "the description is too long");
    is_url(&library.homepage)?;
    ensure!(library.license == "Apache-2.0 OR MIT", "another licence");
    ensure!(library.authors.iter().all(|author| is_of(&author.name, 100, |_| true)), "an author has no name");
    let is_keyword = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_+. ".contains(c);
    ensure!(
        library.keywords.iter().all(|word| is_of(word, 50, is_keyword)),
        "a keyword has other characters"
    );
    for names in [&library.frameworks, &library.platforms] {
        ensure!(*names == ["*"], "it is for all");
    }
    let LibraryBuild { include_dir, src_filter, lib_archive, extra_script } = &library.build;
    // Nothing is compiled, so there are no objects that could be kept apart.
    ensure!(src_filter == "-<*>" && !lib_archive, "something is compiled");
    for file in
        library.headers.iter().map(|header| format!("{include_dir}/{header}")).chain([extra_script.clone()])
    {
        ensure!(root.join(&file).is_file(), "there is no {file}");
    }
    Ok(())
}

/// "library.properties file format" and "Layout of folders and files" in Arduino's library specification.
fn arduino(text: &str, root: &Path) -> Result<()> {
    const REQUIRED: [&str; 8] =
        ["name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url"];
    const OPTIONAL: [&str; 4] = ["architectures", "includes", "precompiled", "ldflags"];
    const CATEGORIES: [&str; 9] = [
        "Display",
        "Communication",
        "Signal Input/Output",
        "Sensors",
        "Device Control",
        "Timing",
        "Data Storage",
        "Data Processing",
        "Other",
    ];
    let mut fields = BTreeMap::new();
    for line in text.lines() {
        let (key, value) = line.split_once('=').with_context(|| format!("no field: {line}"))?;
        ensure!(REQUIRED.contains(&key) || OPTIONAL.contains(&key), "no field is called {key}");
        ensure!(!value.is_empty() && fields.insert(key, value).is_none(), "{key} is empty or there twice");
    }
    for key in REQUIRED {
        ensure!(fields.contains_key(key), "there is no {key}");
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || " _.-".contains(c);
    let name = fields["name"];
    ensure!(name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_name), "the name");
    ensure!(!name.starts_with("Arduino"), "the name is reserved");
    is_version(fields["version"])?;
    is_url(fields["url"])?;
    ensure!(CATEGORIES.contains(&fields["category"]), "no such category");
    // Archives are in `src/{build.mcu}`, and linked by a flag.
    ensure!(fields.get("precompiled") == Some(&"true"), "archives are not linked");
    let library =
        fields.get("ldflags").and_then(|flags| flags.strip_prefix("-l")).context("no library is linked")?;
    let includes = fields.get("includes").context("nothing is included")?;
    ensure!(root.join("src").join(includes).is_file(), "there is no {includes}");
    let mut archives = 0;
    for entry in fs::read_dir(root.join("src"))? {
        let dir = entry?.path();
        if dir.is_dir() {
            archives += 1;
            // A folder without an archive of its own would have none for other floating-point configurations.
            let archive = format!("lib{library}.a");
            let is_there = dir.join(&archive).is_file()
                || fs::read_dir(&dir)?.flatten().any(|inner| inner.path().join(&archive).is_file());
            ensure!(is_there, "{} has no {archive}", dir.display());
        }
    }
    ensure!(archives > 0, "there are no archives");
    Ok(())
}

fn yaml<T: DeserializeOwned>(text: &str) -> Result<T> {
    Ok(serde_saphyr::from_str(text)?)
}

/// Three numbers, as all of these tools take them.
fn is_version(version: &str) -> Result<()> {
    let numbers: Vec<_> = version.split('.').collect();
    let is_number = |text: &&str| text.parse::<u32>().is_ok_and(|number| number.to_string() == **text);
    ensure!(numbers.len() == 3 && numbers.iter().all(is_number), "{version} is no version");
    Ok(())
}

fn is_url(url: &str) -> Result<()> {
    let is_url = url.strip_prefix("https://").is_some_and(|rest| rest.contains('.') && !rest.contains(' '));
    ensure!(is_url && url.len() <= 255, "{url} is no address");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_with_mistakes_are_refused() {
        let nowhere = Path::new("/nonexistent");
        assert!(
            zephyr("name: twine-otr\nbuild:\n  cmake: zephyr\n  kconfig: zephyr/Kconfig\n", nowhere).is_err()
        );
        assert!(yaml::<Module>("name: a\nbuild:\n  cmake: b\n  kconfig: c\n").is_ok());
        assert!(yaml::<Module>("name: a\nbuild:\n  cmake: b\n  kconfg: c\n").is_err());

        let component = "version: 0.1.0\ndescription: d\nlicense: MIT\nurl: https://a.example\ntags: [a]\ntargets: [esp32c3]\n";
        assert!(esp_idf(component).is_ok());
        for (old, new) in
            [("0.1.0", "v1"), ("MIT", "mine"), ("https", "http"), ("esp32c3", "ESP32-C3"), ("url", "uri")]
        {
            assert!(esp_idf(&component.replace(old, new)).is_err(), "{new}");
        }
        assert!(is_version("0.1.0").is_ok());
        for version in ["1.0", "1.02.0", "1.0.0.0", "1.a.0"] {
            assert!(is_version(version).is_err(), "{version}");
        }
    }
}
