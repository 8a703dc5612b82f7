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

/// Cuts pieces of these sizes off the front of bytes; what is left is the last piece.
#[must_use]
pub fn cut_front<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::with_capacity(sizes.len() + 1);
    for size in sizes {
        let (piece, rest) = bytes.split_at((*size).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Cuts bytes into pieces of 1 to 256 bytes, half of them of 32 at most, whose sizes they give themselves: whoever varies
/// the bytes varies the cuts.
pub fn cut_by_itself(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut state = 0_u8;
    std::iter::from_fn(move || {
        let (first, _) = bytes.split_first()?;
        state = state.wrapping_mul(5).wrapping_add(first.wrapping_mul(7)).wrapping_add(11);
        let size = 1 + if state & 0x10 == 0 { usize::from(state) } else { usize::from(state >> 3) };
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        bytes = rest;
        Some(piece)
    })
}
