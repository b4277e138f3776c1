//! Conversions between the widths of numbers that the log uses, each with its check.

/// A length in memory as a number on disk.
pub(crate) fn wide(length: usize) -> u64 {
    u64::try_from(length).expect("a length in memory has at most 64 bits")
}

/// A 32-bit number from disk as an index in memory.
pub(crate) fn index(number: u32) -> usize {
    usize::try_from(number).expect("the engine runs where memory is addressed with 32 bits or more")
}

/// A length that the caller has bounded to 32 bits.
pub(crate) fn narrow(length: usize) -> u32 {
    u32::try_from(length).expect("lengths inside a segment are bounded to 32 bits")
}

/// An offset inside a segment, which the options bound to 32 bits.
pub(crate) fn offset(number: u64) -> u32 {
    u32::try_from(number).expect("offsets inside a segment are bounded to 32 bits")
}

/// A distance inside a file as a length in memory.
pub(crate) fn length(number: u64) -> usize {
    usize::try_from(number).expect("what is read at once is bounded to what memory can address")
}
