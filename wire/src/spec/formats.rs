//! What is read as a whole beside frames, and what is signed.

use super::{
    Check, Comparison, Declarations, Format, Operand, Statement, Type, WholeArgument, WireSpec, hex, size,
};
use crate::envelope::bundle::{Bundle, BundleContent};
use crate::envelope::control::described as control;
use crate::envelope::file::{CHUNK_SIZE, Manifest};
use crate::envelope::frame::{Frame, LADDER};
use crate::envelope::init::{INIT_OVERHEAD, Init, SenderBlock};
use crate::envelope::msg::{MSG_OVERHEAD, Msg};
use crate::envelope::offer::{OFFER_ID_MAX, Offer, OfferContent};
use crate::envelope::sealed::{BLOCK_SIZE, SEALED_OVERHEAD, Sealed};
use crate::envelope::statement::{Authentication, Context, InitStatement, Rotation};
use crate::envelope::{EnvelopeKind, MAGIC, Suite};
use crate::modern::operation::register;

pub(super) fn formats(declarations: &mut Declarations) -> Vec<Format> {
    let of_ladder = |parameter: &str, less: usize| WholeArgument {
        parameter: parameter.into(),
        less: size(less),
        one_of: LADDER.map(size).to_vec(),
        multiple_of: 1,
        min: 0,
        max: u64::MAX,
    };
    let chunk = WholeArgument {
        parameter: "ciphertext_size".into(),
        less: size(SEALED_OVERHEAD),
        one_of: Vec::new(),
        multiple_of: size(BLOCK_SIZE),
        min: size(BLOCK_SIZE),
        max: size(CHUNK_SIZE + BLOCK_SIZE),
    };
    let mut init = prefix("header.prefix", EnvelopeKind::INIT);
    init.extend(prefix("first.header.prefix", EnvelopeKind::MSG));
    let mut offer = prefix("content.prefix", EnvelopeKind::OFFER);
    offer.push(Check {
        left: Operand::Field("content.offer_id".into()),
        holds: Comparison::AtMost,
        right: OFFER_ID_MAX.value().into(),
        error: Some("FieldLimit".into()),
        only_if: None,
    });
    let first = of_ladder("first_ciphertext_size", INIT_OVERHEAD + MSG_OVERHEAD);
    vec![
        format("bundle", "A key bundle.", Bundle::refer(declarations), Vec::new(), Vec::new()),
        format(
            "offer",
            "An envelope that asks for a session.",
            Offer::refer(declarations),
            Vec::new(),
            offer,
        ),
        format("init", "An envelope that begins a session.", Init::refer(declarations), vec![first], init),
        format(
            "msg",
            "An envelope of a session.",
            Msg::refer(declarations),
            vec![of_ladder("ciphertext_size", MSG_OVERHEAD)],
            prefix("header.prefix", EnvelopeKind::MSG),
        ),
        format(
            "sender_block",
            "What is sealed in an INIT beside its first message.",
            SenderBlock::refer(declarations),
            Vec::new(),
            Vec::new(),
        ),
        format("plaintext", "What is sealed in a MSG.", Frame::refer(declarations), Vec::new(), Vec::new()),
        format(
            "manifest",
            "The body of a frame of type FILE.",
            Manifest::refer(declarations),
            Vec::new(),
            Vec::new(),
        ),
        format(
            "introduction",
            "The body of a frame of type CONTROL, of kind 1.",
            control::introduction(declarations),
            Vec::new(),
            Vec::new(),
        ),
        format(
            "succession_notice",
            "The body of a frame of type CONTROL, of kind 2. Kinds that are not known are passed over.",
            control::succession(declarations),
            Vec::new(),
            Vec::new(),
        ),
        format("chunk", "A chunk of a file, sealed.", Sealed::refer(declarations), vec![chunk], Vec::new()),
    ]
}

fn format(name: &str, doc: &str, r#type: Type, arguments: Vec<WholeArgument>, checks: Vec<Check>) -> Format {
    Format { name: name.into(), doc: doc.into(), r#type: r#type.name().into(), arguments, checks }
}

/// What the prefix of an envelope of a kind has to be.
fn prefix(at: &str, kind: EnvelopeKind) -> Vec<Check> {
    let field = |name: &str| format!("{at}.{name}");
    let magic = Check {
        left: Operand::Field(field("magic")),
        holds: Comparison::Equal,
        right: Operand::Bytes(hex(&MAGIC)),
        error: Some("NotAnEnvelope".into()),
        only_if: None,
    };
    vec![
        magic,
        Check::equal(&field("suite"), Suite::ONE.0.into(), "FieldValue"),
        Check::equal(&field("kind"), kind.0.into(), "FieldValue"),
        Check::equal(&field("flags"), 0, "FieldValue"),
    ]
}

pub(super) fn statements(declarations: &mut Declarations) -> Vec<Statement> {
    let authentication = Authentication::refer(declarations);
    let rotation = Rotation::refer(declarations);
    let registration = vec![authentication.clone(), register::Content::refer(declarations)];
    let bundle = BundleContent::refer(declarations);
    let init = InitStatement::refer(declarations);
    let offer = OfferContent::refer(declarations);
    let statement = |name: &str, doc: &str, context: Context, types: Vec<Type>| Statement {
        name: name.into(),
        doc: doc.into(),
        context: hex(context.as_bytes()),
        types: types.iter().map(|of| of.name().to_owned()).collect(),
    };
    vec![
        statement(
            "authentication",
            "That a connection is its client's.",
            Context::AUTHENTICATION,
            vec![authentication],
        ),
        statement("registration", "That a client registers.", Context::REGISTRATION, registration),
        statement(
            "rotation",
            "That an identity gives way to another; signed by the one that goes.",
            Context::ROTATION,
            vec![rotation.clone()],
        ),
        statement(
            "succession",
            "That an identity follows another; signed by the one that comes.",
            Context::SUCCESSION,
            vec![rotation],
        ),
        statement("bundle", "That keys are an identity's.", Context::BUNDLE, vec![bundle]),
        statement("init", "That an INIT is its sender's.", Context::INIT, vec![init]),
        statement("offer", "That an OFFER is its sender's.", Context::OFFER, vec![offer]),
    ]
}
