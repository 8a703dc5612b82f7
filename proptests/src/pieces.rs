//! Streams in pieces.

/// Cuts bytes into pieces of these sizes, used in turn and over again.
#[must_use]
pub fn cut<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at((*size).clamp(1, bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// Cuts bytes into pieces of 1 to 64 bytes, whose sizes they give themselves: whoever varies the bytes varies the cuts.
#[must_use]
pub fn cut_by_itself(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut state = 0_u8;
    while let Some((first, _)) = bytes.split_first() {
        state = state.wrapping_mul(5).wrapping_add(first.wrapping_mul(7)).wrapping_add(11);
        let (piece, rest) = bytes.split_at((1 + usize::from(state >> 2)).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
