//! FetchKeys: what somebody can be written to with.

use binrw::binrw;

use super::Payload;
use crate::envelope::bundle::{BUNDLE_SIZE, Bundle};
use crate::envelope::field::{DhPublicKey, OneTimeId};
use crate::error::WireError;
use crate::fields::{CLIENT_ID_SIZE, ClientId};
use crate::modern::field::OneTimeKey;

/// `client id 16`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// 0: whose keys.
    pub client_id: ClientId,
}

/// ```text
/// 0 bundle 1294 ‖ 1294 one-time id u32 ‖ 1298 X25519 32
/// ```
/// Where there is no one-time key, id and key are 0.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// 0: the newest bundle of the client.
    pub bundle: Bundle,
    /// 1294: a key that nobody else was given; `None` if none is left.
    #[br(parse_with = maybe_key::read)]
    #[bw(write_with = maybe_key::write)]
    pub one_time_key: Option<OneTimeKey>,
}

/// `one-time id u32 ‖ X25519 32`, both 0 for none.
mod maybe_key {
    use binrw::{BinRead, BinResult, BinWrite};

    use super::{BUNDLE_SIZE, DhPublicKey, OneTimeId, OneTimeKey, WireError};
    use crate::modern::bounded::custom;

    #[binrw::parser(reader, endian)]
    pub(super) fn read() -> BinResult<Option<OneTimeKey>> {
        let pos = reader.stream_position()?;
        let id = OneTimeId::read_options(reader, endian, ())?;
        let key = DhPublicKey::read_options(reader, endian, ())?;
        match (id, key.0.iter().position(|byte| *byte != 0)) {
            (OneTimeId::NONE, None) => Ok(None),
            (OneTimeId::NONE, Some(at)) => {
                Err(custom(pos, WireError::NotPadding { at: BUNDLE_SIZE + 4 + at }))
            }
            _ => OneTimeKey::new(id, key).map(Some).map_err(|error| custom(pos, WireError::Field(error))),
        }
    }

    #[binrw::writer(writer, endian)]
    pub(super) fn write(key: &Option<OneTimeKey>) -> BinResult<()> {
        let (id, key) = key.map_or((OneTimeId::NONE, DhPublicKey([0; 32])), |key| (key.id(), key.key()));
        (id, key).write_options(writer, endian, ())
    }

    #[cfg(feature = "spec")]
    pub(super) use super::described::{maybe_key_type as spec_type, maybe_key_value as spec_value};
}

impl Payload for Request {
    const WHAT: &'static str = "request to fetch keys";
    const MAX_SIZE: usize = CLIENT_ID_SIZE;
}

impl Payload for Response {
    const WHAT: &'static str = "response to fetch keys";
    const MAX_SIZE: usize = BUNDLE_SIZE + 36;
}

#[cfg(feature = "spec")]
mod described {
    use super::{DhPublicKey, OneTimeId, OneTimeKey};
    use crate::spec::{
        Check, Comparison, Declarations, Field, Kind, Operand, Role, Type, Value, WireSpec, hex,
    };

    pub(super) fn maybe_key_type(declarations: &mut Declarations) -> Type {
        let doc = "A one-time key; where there is none, id and key are 0.";
        declarations.declare("modern::operation::fetch_keys::MaybeOneTimeKey", None, doc, |declarations| {
            let at_most = Check {
                left: Operand::Field("id".into()),
                holds: Comparison::AtMost,
                right: OneTimeId::LAST.value().into(),
                error: Some("OneTimeId".into()),
                only_if: None,
            };
            let zeros = Check {
                left: Operand::Field("key".into()),
                holds: Comparison::Equal,
                right: Operand::Bytes(hex(&[0; 32])),
                error: Some("NotPadding".into()),
                only_if: Some(Box::new(Check { error: None, ..Check::equal("id", 0, "") })),
            };
            let id = OneTimeId::refer(declarations);
            let key = DhPublicKey::refer(declarations);
            Kind::structure(
                Vec::new(),
                vec![
                    Field::new(
                        "id",
                        "0: which of its owner's one-time keys.",
                        id,
                        Role::Value,
                        vec![at_most],
                    ),
                    Field::new("key", "4: the key.", key, Role::Value, vec![zeros]),
                ],
                Vec::new(),
            )
        })
    }

    pub(super) fn maybe_key_value(key: &Option<OneTimeKey>) -> Value {
        let (id, key) = key.map_or((OneTimeId::NONE, DhPublicKey([0; 32])), |key| (key.id(), key.key()));
        Value::Structure(vec![("id".into(), id.value()), ("key".into(), key.value())])
    }
}
