//! What programs tell each other inside a session: the bodies of type 6.

use super::field::{RsaPublicKey, Signature, UnixSeconds};
use super::{decode, encode};
use crate::error::WireError;
use crate::fields::Name;
use binrw::binrw;

/// Bytes of [`SuccessionNotice`].
pub const SUCCESSION_NOTICE_SIZE: usize = 1198;

/// What a body of type 6 says.
/// ```text
/// 0 kind 1 ‖ 1 what it says
/// ```
/// Kinds that a program does not know, it passes over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Control {
    /// Kind 1, with a name of 1 to 254 printable ASCII characters: the sender's at the server, which can be asked whether
    /// it is.
    Introduction(Name),
    /// Kind 2: the sender's identity gives way to another.
    Succession(Box<SuccessionNotice>),
    /// Any other kind.
    Unknown(u8),
}

/// ```text
/// 0 issued u64 ‖ 8 new identity SPKI 422 ‖ 430 signature of the old 384 ‖ 814 signature of the new 384
/// ```
/// The signatures are those of a [`Rotation`](super::statement::Rotation).
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SuccessionNotice {
    /// 0: when.
    pub issued: UnixSeconds,
    /// 8: the identity that comes.
    pub identity: RsaPublicKey,
    /// 430: of the identity that goes, under `"MU3-ROTATE\0"`.
    pub by_old: Signature,
    /// 814: of the identity that comes, under `"MU3-SUCCEED\0"`.
    pub by_new: Signature,
}

const INTRODUCTION: u8 = 1;
const SUCCESSION: u8 = 2;

impl Control {
    /// Reads a body of type 6.
    ///
    /// # Errors
    /// [`WireError::Truncated`] for an empty body, [`WireError::Field`] for a name that is none,
    /// [`WireError::Truncated`] or [`WireError::Trailing`] for a notice of another size.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        const WHAT: &str = "control body";
        let (kind, rest) = body.split_first().ok_or(WireError::Truncated { what: WHAT, got: 0 })?;
        match *kind {
            INTRODUCTION => {
                // A byte that is not ASCII becomes a character that no name has.
                let text = String::from_utf8_lossy(rest);
                Name::new(&text).map(Self::Introduction).map_err(WireError::Field)
            }
            SUCCESSION => decode("succession notice", rest).map(Box::new).map(Self::Succession),
            other => Ok(Self::Unknown(other)),
        }
    }

    /// The body. Of an unknown kind, that is the kind alone.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Introduction(name) => [&[INTRODUCTION], name.as_str().as_bytes()].concat(),
            Self::Succession(notice) => [vec![SUCCESSION], encode(&**notice)].concat(),
            Self::Unknown(kind) => vec![*kind],
        }
    }
}

#[cfg(feature = "spec")]
pub(crate) mod described {
    use super::{Control, INTRODUCTION, SUCCESSION, SuccessionNotice};
    use crate::fields::Name;
    use crate::spec::{Check, Declarations, Field, Kind, Role, Type, Value, WireSpec};

    /// A body of one kind: what it says is behind that.
    fn body(name: &str, doc: &str, kind: u8, says: Field, declarations: &mut Declarations) -> Type {
        let path = format!("envelope::control::{name}");
        declarations.declare(&path, None, doc, |declarations| {
            let checks = vec![Check::equal("kind", kind.into(), "FieldValue")];
            let kind = u8::refer(declarations);
            let kind = Field::new("kind", "0: what this is.", kind, Role::Calculated, checks);
            Kind::structure(Vec::new(), vec![kind, says], Vec::new())
        })
    }

    pub(crate) fn introduction(declarations: &mut Declarations) -> Type {
        let name = Name::refer(declarations);
        let says =
            Field::new("name", "1: the sender's at the server, to the end.", name, Role::Value, vec![]);
        let doc = "Says who the sender is, which the server can be asked.";
        body("ControlIntroduction", doc, INTRODUCTION, says, declarations)
    }

    pub(crate) fn succession(declarations: &mut Declarations) -> Type {
        let notice = SuccessionNotice::refer(declarations);
        let says = Field::new("notice", "1: who follows, signed.", notice, Role::Value, vec![]);
        let doc = "Says that the sender's identity gives way to another.";
        body("ControlSuccession", doc, SUCCESSION, says, declarations)
    }

    impl Control {
        /// What is written behind the kind, if it is a known one.
        #[must_use]
        pub fn known_value(&self) -> Option<Value> {
            let (name, value) = match self {
                Self::Introduction(name) => ("name", name.value()),
                Self::Succession(notice) => ("notice", notice.value()),
                Self::Unknown(_) => return None,
            };
            Some(Value::Structure(vec![(name.into(), value)]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> Control {
        Control::Succession(Box::new(SuccessionNotice {
            issued: UnixSeconds(5),
            identity: RsaPublicKey([1; 422]),
            by_old: Signature([2; 384]),
            by_new: Signature([3; 384]),
        }))
    }

    #[test]
    fn what_is_said_comes_back() {
        for control in [Control::Introduction(Name::new("alice").unwrap()), notice()] {
            assert_eq!(Control::decode(&control.encode()).unwrap(), control);
        }
        assert_eq!(notice().encode().len(), 1 + SUCCESSION_NOTICE_SIZE);
    }

    #[test]
    fn an_unknown_kind_is_a_value() {
        assert_eq!(Control::decode(&[9, 1, 2]).unwrap(), Control::Unknown(9));
    }

    #[test]
    fn what_is_no_name_and_no_notice_is_refused() {
        let whole = notice().encode();
        let longer = [whole.as_slice(), &[0]].concat();
        let long_name = [&[1], [b'a'; 255].as_slice()].concat();
        for body in [&[][..], &[1], b"\x01a\nb", b"\x01\xff", &long_name, &whole[..whole.len() - 1], &longer]
        {
            assert!(Control::decode(body).is_err(), "{body:?}");
        }
    }
}
