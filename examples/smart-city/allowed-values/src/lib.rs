//! Makes a device's table of allowed values from the function symbols of its image, so that nobody keeps a list of checksums by hand.
//!
//! Regions are numbered in the order in which functions are named, from 1.

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use smart_city_detector::{AttestKey, Region, Verifier};

mod thumb;

pub use thumb::Leaves;

/// A function of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, demangled, without a hash.
    pub name: String,
    /// Where its code is; without the bit that says Thumb.
    pub address: u32,
    /// Its code.
    pub code: Vec<u8>,
    /// Where it starts code that is not its own, which would not be measured with it. None if it is no Thumb code: then it is not known.
    pub leaves: Option<Vec<Leaves>>,
}

/// The functions of an ELF file that have a size, by their addresses.
///
/// # Errors
/// If it is no ELF file, or a function lies outside its section or beyond 32 bits.
pub fn functions(elf: &[u8]) -> Result<Vec<Function>> {
    let file = object::File::parse(elf).context("the image is no ELF file")?;
    let is_thumb = file.architecture() == object::Architecture::Arm;
    let data = thumb::DataRanges::of(&file);
    let mut functions = Vec::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
        let name = format!("{:#}", rustc_demangle::demangle(symbol.name()?));
        let Some(section) = symbol.section_index() else { continue };
        let address = if is_thumb { symbol.address() & !1 } else { symbol.address() };
        let code = file
            .section_by_index(section)?
            .data_range(address, symbol.size())?
            .with_context(|| format!("{name} lies outside its section"))?
            .to_vec();
        let address = address.try_into().with_context(|| format!("{name} lies beyond the first 4 GiB"))?;
        let leaves = is_thumb.then(|| thumb::leaves(address, &code, &data));
        functions.push(Function { name, address, code, leaves });
    }
    functions.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
    Ok(functions)
}

/// The one function with this name.
///
/// # Errors
/// If there is none, or there are several with different code or places.
pub fn function<'f>(functions: &'f [Function], name: &str) -> Result<&'f Function> {
    let mut found = functions.iter().filter(|function| function.name == name);
    let function = found.next().with_context(|| format!("the image has no function {name}"))?;
    if let Some(other) = found.find(|other| *other != function) {
        bail!("there are functions {name} at {:#x} and {:#x}", function.address, other.address);
    }
    Ok(function)
}

/// The region of each function in `names`, numbered from 1 in their order, with its value under the device's `key`.
///
/// # Errors
/// If a name is that of no function, or of several with different code or places; if one starts other code, which is not measured with it, or
/// is no Thumb code, of which that is not known; or there are too many.
pub fn regions(functions: &[Function], names: &[String], key: &AttestKey) -> Result<Vec<Region>> {
    for name in names {
        let leaves = function(functions, name)?.leaves.as_ref();
        let leaves = leaves.with_context(|| format!("{name} is no code for an Arm Cortex-M"))?;
        if let Some(first) = leaves.first() {
            bail!(
                "{name} starts code that is not measured with it: {first}; in all {} such places",
                leaves.len()
            );
        }
    }
    regions_with_calls(functions, names, key)
}

/// As [`regions`], of functions that may start other code: **that is not measured.**
///
/// # Errors
/// As of that, but for other code.
pub fn regions_with_calls(functions: &[Function], names: &[String], key: &AttestKey) -> Result<Vec<Region>> {
    ensure!(!names.is_empty(), "no functions are named");
    let verifier = Verifier::new(key);
    let mut regions = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let function = function(functions, name)?;
        let id = u16::try_from(i + 1).context("a table has at most 65,535 regions")?;
        regions.push(Region {
            id,
            address: function.address,
            len: function.code.len().try_into()?,
            value: verifier.allowed_value(id, &function.code),
        });
    }
    Ok(regions)
}

/// The bytes of a table.
#[must_use]
pub fn table(regions: &[Region]) -> Vec<u8> {
    regions.iter().flat_map(|region| region.to_bytes()).collect()
}
