//! What is derived from secrets and may be known, and why. Nothing else may be.

/// Bytes in memory that are public from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it is.
    pub name: &'static str,
    /// Why it may be known.
    pub reason: &'static str,
}

/// A sealed message.
pub const SEALED: Output = Output {
    name: "ciphertext and tag after sealing",
    reason: "they are sent to where anybody may read them",
};

/// An opened message.
pub const OPENED: Output = Output {
    name: "plaintext after a successful open",
    reason: "only in the test, which then compares it with the known answer; the libraries have returned",
};

/// The buffer of a message that was refused.
pub const REFUSED: Output = Output {
    name: "output after a failed open",
    reason: "only in the test, which then sees that it is zero; the libraries have returned",
};

/// Blocks of the cipher alone.
pub const BLOCKS: Output = Output {
    name: "blocks after the cipher alone",
    reason: "only in the test, which then compares them with the known answer; the libraries have returned",
};

/// What the detector of the example `smart-city` measures.
pub const MEASURED: Output = Output {
    name: "allowed values and evidence",
    reason: "they are in a table, and sent, where anybody may read them",
};

/// What it decides.
pub const DECIDED: Output = Output {
    name: "the verdict, and whether evidence is right",
    reason: "one bit of all tag bits together, which the detector is there to tell; it has returned",
};

/// All of these.
pub const OUTPUTS: [Output; 6] = [SEALED, OPENED, REFUSED, BLOCKS, MEASURED, DECIDED];

/// A branch inside the libraries that may depend on secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// What it decides on.
    pub name: &'static str,
    /// Why it may.
    pub reason: &'static str,
    /// The source file, from the root of the repository.
    pub file: &'static str,
    /// What its line of the source contains.
    pub line: &'static str,
}

/// All of these.
pub const BRANCHES: [Branch; 1] = [Branch {
    name: "the accept bit",
    reason: "whether a message opened is the answer that the caller gets, and acts on; it is one bit of all tag bits \
             together, whichever of them are wrong",
    file: "otr/src/lib.rs",
    line: "if is_right {",
}];
