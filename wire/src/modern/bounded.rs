//! Lists and bytes that carry their own size before them, and never more than a limit.

use std::fmt;
use std::ops::Deref;

use binrw::io::{Read, Seek, Write};
use binrw::{BinRead, BinResult, BinWrite, Endian};

use crate::error::WireError;

/// `count u16 ‖ count × value`: at most `MAX` values, which is below 2^16.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AtMost<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> AtMost<T, MAX> {
    /// Takes values as such a list.
    ///
    /// # Errors
    /// [`WireError::TooMany`] above the limit.
    pub fn new(values: Vec<T>) -> Result<Self, WireError> {
        const { assert!(MAX <= 0xffff, "the count is a u16") };
        if values.len() <= MAX {
            Ok(Self(values))
        } else {
            Err(WireError::TooMany { count: values.len(), limit: MAX })
        }
    }

    /// The values.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for AtMost<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for AtMost<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> BinRead for AtMost<T, MAX>
where
    T: for<'a> BinRead<Args<'a> = ()>,
{
    type Args<'a> = ();

    fn read_options<R: Read + Seek>(reader: &mut R, endian: Endian, (): ()) -> BinResult<Self> {
        let pos = reader.stream_position()?;
        let count = usize::from(u16::read_options(reader, endian, ())?);
        if count > MAX {
            return Err(custom(pos, WireError::TooMany { count, limit: MAX }));
        }
        // Not reserved at once: the values may not be there.
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(T::read_options(reader, endian, ())?);
        }
        Ok(Self(values))
    }
}

impl<T, const MAX: usize> BinWrite for AtMost<T, MAX>
where
    T: for<'a> BinWrite<Args<'a> = ()> + 'static,
{
    type Args<'a> = ();

    fn write_options<W: Write + Seek>(&self, writer: &mut W, endian: Endian, (): ()) -> BinResult<()> {
        let count = u16::try_from(self.0.len()).map_err(|error| custom(0, error))?;
        count.write_options(writer, endian, ())?;
        self.0.write_options(writer, endian, ())
    }
}

/// `size u32 ‖ bytes`: at most `MAX` bytes, which are nobody's business on the way.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct BoundedBytes<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> BoundedBytes<MAX> {
    /// Takes bytes as such.
    ///
    /// # Errors
    /// [`WireError::TooMany`] above the limit.
    pub fn new(bytes: Vec<u8>) -> Result<Self, WireError> {
        const { assert!(MAX <= 0xffff_ffff, "the size is a u32") };
        if bytes.len() <= MAX {
            Ok(Self(bytes))
        } else {
            Err(WireError::TooMany { count: bytes.len(), limit: MAX })
        }
    }

    /// The bytes.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> Deref for BoundedBytes<MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for BoundedBytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<const MAX: usize> BinRead for BoundedBytes<MAX> {
    type Args<'a> = ();

    fn read_options<R: Read + Seek>(reader: &mut R, endian: Endian, (): ()) -> BinResult<Self> {
        let pos = reader.stream_position()?;
        let size = u32::read_options(reader, endian, ())?;
        let count = usize::try_from(size).unwrap_or(usize::MAX);
        if count > MAX {
            return Err(custom(pos, WireError::TooMany { count, limit: MAX }));
        }
        let mut bytes = Vec::new();
        // Grows with what is there, not with what is claimed.
        reader.by_ref().take(size.into()).read_to_end(&mut bytes)?;
        if bytes.len() == count {
            Ok(Self(bytes))
        } else {
            Err(binrw::Error::Io(binrw::io::ErrorKind::UnexpectedEof.into()))
        }
    }
}

impl<const MAX: usize> BinWrite for BoundedBytes<MAX> {
    type Args<'a> = ();

    fn write_options<W: Write + Seek>(&self, writer: &mut W, endian: Endian, (): ()) -> BinResult<()> {
        let size = u32::try_from(self.0.len()).map_err(|error| custom(0, error))?;
        size.write_options(writer, endian, ())?;
        writer.write_all(&self.0).map_err(binrw::Error::Io)
    }
}

/// An error of ours, as binrw hands it on; [`decode_exactly`](crate::operation::decode_exactly) unpacks it.
pub(super) fn custom(pos: u64, error: impl std::error::Error + Send + Sync + 'static) -> binrw::Error {
    binrw::Error::Custom { pos, err: Box::new(error) }
}

#[cfg(feature = "spec")]
mod described {
    use super::{AtMost, BoundedBytes};
    use crate::spec::{Content, Counted, Declarations, Type, Value, WireSpec, size};

    impl<T: WireSpec, const MAX: usize> WireSpec for AtMost<T, MAX> {
        fn refer(declarations: &mut Declarations) -> Type {
            let of = Content::Items(Box::new(T::refer(declarations)));
            Type::Counted(Counted { prefix: 2, min: 0, max: size(MAX), of })
        }

        fn value(&self) -> Value {
            Value::List(self.iter().map(T::value).collect())
        }
    }

    impl<const MAX: usize> WireSpec for BoundedBytes<MAX> {
        fn refer(_: &mut Declarations) -> Type {
            Type::Counted(Counted { prefix: 4, min: 0, max: size(MAX), of: Content::Bytes })
        }

        fn value(&self) -> Value {
            Value::Bytes(self.to_vec())
        }
    }
}
