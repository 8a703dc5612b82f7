//! The payloads of requests and responses, one file an operation.
//!
//! Each file declares the layout that all dialects share, and beside it the layouts that single profiles have instead.
//! Which one a profile uses is a column of [`Profile`]; nothing in here asks for a dialect.

pub mod delete_client;
pub mod fetch_key;
pub mod list_clients;
pub mod pull_messages;
pub mod register;
pub mod send_message;

use binrw::io::Cursor;
use binrw::{BinRead, BinWrite};

use crate::dialect::{ByteOrder, Profile};
use crate::error::WireError;
use crate::fields::ClientId;
#[cfg(feature = "spec")]
use crate::spec::{Declarations, Type};

/// The payload of a request.
pub trait RequestPayload: Sized {
    /// Bytes of the payload, without content that streams.
    fn head_size(profile: &Profile) -> usize;

    /// Reads a payload of exactly [`RequestPayload::head_size`] bytes.
    ///
    /// # Errors
    /// When there are more or fewer bytes.
    fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError>;

    /// Appends the payload.
    fn encode(&self, profile: &Profile, out: &mut Vec<u8>);

    /// Bytes of content that follow the payload.
    fn content_size(&self) -> u32 {
        0
    }

    /// The field that says how many they are.
    #[cfg(feature = "spec")]
    const CONTENT_SIZE: Option<&'static str> = None;

    /// The payload's layout in a profile.
    #[cfg(feature = "spec")]
    fn layout(profile: &Profile, declarations: &mut Declarations) -> Type;
}

/// The payload of a response.
pub trait ResponsePayload: Sized {
    /// Reads a whole payload.
    ///
    /// # Errors
    /// When the bytes are not exactly what the profile lays down.
    fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError>;

    /// Appends the payload of an answer to `asker`.
    fn encode(&self, profile: &Profile, asker: ClientId, out: &mut Vec<u8>);

    /// The size that the response's header declares, which some profiles miscount; `None` beyond a u32.
    fn declared_size(&self, profile: &Profile) -> Option<u32>;

    /// The payload's layout in a profile.
    #[cfg(feature = "spec")]
    fn layout(profile: &Profile, declarations: &mut Declarations) -> Type;

    /// Layouts that are taken too, whatever the profile, of a payload that has exactly their size.
    #[cfg(feature = "spec")]
    fn instead(_: &mut Declarations) -> Vec<Type> {
        Vec::new()
    }
}

/// Reads one value that takes all of `bytes`.
///
/// # Errors
/// [`WireError::Truncated`] or [`WireError::Trailing`], and what a layout refuses of its own accord.
pub(crate) fn decode_exactly<T>(what: &'static str, bytes: &[u8], order: ByteOrder) -> Result<T, WireError>
where
    T: for<'a> BinRead<Args<'a> = ()>,
{
    decode_exactly_with(what, bytes, order, ())
}

/// The same for a value whose layout takes arguments: sizes that `bytes` are checked to have.
pub(crate) fn decode_exactly_with<T, A>(
    what: &'static str,
    bytes: &[u8],
    order: ByteOrder,
    args: A,
) -> Result<T, WireError>
where
    T: for<'a> BinRead<Args<'a> = A>,
{
    let mut cursor = Cursor::new(bytes);
    let value = T::read_options(&mut cursor, order.into(), args).map_err(|error| {
        let of_layout = error.custom_err::<WireError>().cloned();
        of_layout.unwrap_or(WireError::Truncated { what, got: bytes.len() })
    })?;
    let used = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
    if used == bytes.len() {
        Ok(value)
    } else {
        Err(WireError::Trailing { what, size: used, got: bytes.len() })
    }
}

/// Appends a value.
pub(crate) fn encode_to<T>(value: &T, order: ByteOrder, out: &mut Vec<u8>)
where
    T: for<'a> BinWrite<Args<'a> = ()>,
{
    let mut cursor = Cursor::new(Vec::new());
    // Writing values without asserts into a vector has no way to fail.
    if value.write_options(&mut cursor, order.into(), ()).is_ok() {
        out.append(cursor.get_mut());
    }
}
