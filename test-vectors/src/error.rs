use core::fmt;

/// Why a vector file is refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The text is not JSON, or not JSON of the expected shape.
    Json(serde_json::Error),
    /// The file names a schema that this loader does not read.
    Schema {
        /// The name in the file.
        found: String,
    },
    /// `numberOfTests` differs from the number of tests in the file.
    Count {
        /// `numberOfTests`.
        stated: usize,
        /// The number of tests in the file.
        found: usize,
    },
    /// A group states a size that its cipher cannot have, or that is not a whole number of bytes.
    GroupSize {
        /// The group's index in the file.
        group: usize,
        /// The field that states the size.
        field: &'static str,
        /// The size stated, in bits.
        bits: u32,
    },
    /// Two tests have the same number.
    DuplicateId {
        /// The number.
        tc_id: u32,
    },
    /// A field of a test has a length that the group's sizes, the test's flags or its result do not allow.
    TestSize {
        /// The test's number.
        tc_id: u32,
        /// The field.
        field: &'static str,
        /// The length found, in bytes.
        found: usize,
    },
    /// A test has a flag that the file's `notes` do not explain.
    UnknownFlag {
        /// The test's number.
        tc_id: u32,
        /// The flag.
        flag: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "not a vector file: {error}"),
            Self::Schema { found } => write!(f, "unknown schema {found:?}"),
            Self::Count { stated, found } => {
                write!(f, "numberOfTests is {stated}, but there are {found} tests")
            }
            Self::GroupSize { group, field, bits } => {
                write!(f, "test group {group}: {field} cannot be {bits} bits")
            }
            Self::DuplicateId { tc_id } => write!(f, "two tests have the tcId {tc_id}"),
            Self::TestSize { tc_id, field, found } => {
                write!(f, "test {tc_id}: {field} must not have {found} bytes here")
            }
            Self::UnknownFlag { tc_id, flag } => write!(f, "test {tc_id}: flag {flag:?} is not in notes"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            _ => None,
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}
