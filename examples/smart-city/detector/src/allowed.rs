//! The table of allowed values.

use core::fmt;

/// A code region that instructions may start, and its allowed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its number, by which instructions address it.
    pub id: u16,
    /// Where its code is.
    pub address: u32,
    /// The bytes of its code.
    pub len: u32,
    /// The measurement of its code as it was built.
    pub value: [u8; 8],
}

impl Region {
    /// The bytes of an entry: number (2), address (4), length (4), value (8), big-endian.
    pub const ENTRY_LEN: usize = 18;

    /// The entry of a table.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::ENTRY_LEN] {
        let mut entry = [0; Self::ENTRY_LEN];
        entry[..2].copy_from_slice(&self.id.to_be_bytes());
        entry[2..6].copy_from_slice(&self.address.to_be_bytes());
        entry[6..10].copy_from_slice(&self.len.to_be_bytes());
        entry[10..].copy_from_slice(&self.value);
        entry
    }

    const fn from_bytes(entry: &[u8; Self::ENTRY_LEN]) -> Self {
        let [i0, i1, a0, a1, a2, a3, l0, l1, l2, l3, value @ ..] = *entry;
        Self {
            id: u16::from_be_bytes([i0, i1]),
            address: u32::from_be_bytes([a0, a1, a2, a3]),
            len: u32::from_be_bytes([l0, l1, l2, l3]),
            value,
        }
    }
}

/// The regions that instructions may start: entries of 18 bytes ([`Region::to_bytes`]) by rising numbers, from 1 or more:
/// region 0 is no function's.
///
/// The host tool `allowed-values` makes it from an image. It belongs into memory that only the secure world writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedValues<'a>(&'a [u8]);

impl<'a> AllowedValues<'a> {
    /// Takes the bytes of a table; in a constant it is checked by the compiler.
    /// ```compile_fail,E0080
    /// # use smart_city_detector::AllowedValues;
    /// const TORN: AllowedValues<'_> = AllowedValues::new(&[0; 17]).unwrap();
    /// ```
    ///
    /// # Errors
    /// See [`InvalidTable`].
    pub const fn new(bytes: &'a [u8]) -> Result<Self, InvalidTable> {
        let mut previous = 0;
        let mut rest = bytes;
        while let Some((entry, tail)) = rest.split_first_chunk() {
            let id = Region::from_bytes(entry).id;
            if id <= previous {
                return Err(InvalidTable::Order(id));
            }
            (previous, rest) = (id, tail);
        }
        if rest.is_empty() { Ok(Self(bytes)) } else { Err(InvalidTable::Length(bytes.len())) }
    }

    /// The regions, by rising numbers.
    pub fn iter(self) -> impl Iterator<Item = Region> + use<'a> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (entry, tail) = rest.split_first_chunk()?;
            rest = tail;
            Some(Region::from_bytes(entry))
        })
    }

    /// The region with this number.
    #[must_use]
    pub fn get(self, id: u16) -> Option<Region> {
        self.iter().find(|region| region.id == id)
    }
}

/// Why bytes are no table of allowed values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidTable {
    /// They are not a whole number of entries, but so many bytes.
    Length(usize),
    /// The region with this number does not come after all smaller ones, is there twice, or is 0.
    Order(u16),
}

impl fmt::Display for InvalidTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(len) => write!(f, "{len} bytes are not a whole number of entries"),
            Self::Order(id) => write!(f, "region {id} is out of order"),
        }
    }
}

impl core::error::Error for InvalidTable {}
