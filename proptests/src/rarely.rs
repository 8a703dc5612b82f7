//! Expensive work in a fuzz target: for a few inputs only, and for the same ones always.

/// Whether these bytes are one in so many, by a hash (FNV-1a) that a fuzzer's changes do not keep.
#[must_use]
pub fn rarely(bytes: &[u8], one_in: u32) -> bool {
    let hash =
        bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash ^ hash >> 15).is_multiple_of(one_in)
}
