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

/// Cuts bytes into pieces whose sizes they give themselves: each one's last byte says the next one's, 1 to 64.
///
/// So whoever varies the bytes varies the cuts too.
#[must_use]
pub fn cut_by_itself(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut size = 1;
    while let Some((piece, rest)) = bytes.split_at_checked(size).filter(|(_, rest)| !rest.is_empty()) {
        size = piece.last().map_or(1, |byte| 1 + usize::from(byte % 64));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}
