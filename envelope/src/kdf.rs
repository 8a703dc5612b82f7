//! Keys from secrets: HKDF-SHA-512 (RFC 5869).

use hkdf::Hkdf;
use sha2::Sha512;
use zeroize::Zeroizing;

/// Derives N bytes, at most 255 × 64. The parts of `info` are joined.
pub(crate) fn derive<const N: usize>(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 64) };
    let mut key = Zeroizing::new([0; N]);
    // Refused are sizes above the limit alone.
    let refused = Hkdf::<Sha512>::new(Some(salt), secret).expand_multi_info(info, &mut *key).is_err();
    debug_assert!(!refused);
    key
}
