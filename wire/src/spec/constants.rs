//! The named numbers, with what their comments say.

use super::{Constant, tidy};

/// The sources that have such numbers, as text: a comment is nowhere else.
macro_rules! constants {
    ($($source:literal $module:path { $($name:ident)* })*) => {
        /// All of them, by name.
        pub(super) fn constants() -> Vec<Constant> {
            let mut all = vec![$({
                use $module as of;
                $(let _ = of::$name;)*
                vec![$(Constant {
                    name: stringify!($name).into(),
                    value: u64::try_from(of::$name).unwrap_or(u64::MAX),
                    doc: comment(include_str!($source), concat!("pub const ", stringify!($name), ":")),
                }),*]
            }),*].concat();
            all.sort_by(|one, other| one.name.cmp(&other.name));
            all
        }
    };
}

constants! {
    "../dialect/profile.rs" crate::dialect { ALIGNED_SEND_SIZE PADDING_BLOCK }
    "../envelope/bundle.rs" crate::envelope::bundle { BUNDLE_SIGNED_SIZE BUNDLE_SIZE }
    "../envelope/control.rs" crate::envelope::control { SUCCESSION_NOTICE_SIZE }
    "../envelope/field.rs" crate::envelope::field { RSA_BLOCK_SIZE RSA_PUBLIC_KEY_SIZE }
    "../envelope/file.rs" crate::envelope::file {
        CHUNK_SIZE FILE_NAME_MAX MANIFEST_HEADER_SIZE SEALED_CHUNK_MAX
    }
    "../envelope/frame.rs" crate::envelope::frame { BODY_MAX FRAME_HEADER_SIZE }
    "../envelope/init.rs" crate::envelope::init { INIT_HEADER_SIZE INIT_OVERHEAD SENDER_BLOCK_SIZE }
    "../envelope/mod.rs" crate::envelope { ENVELOPE_MAX PREFIX_SIZE }
    "../envelope/msg.rs" crate::envelope::msg { MSG_HEADER_SIZE MSG_OVERHEAD }
    "../envelope/offer.rs" crate::envelope::offer { OFFER_SIGNED_SIZE OFFER_SIZE }
    "../envelope/sealed.rs" crate::envelope::sealed { BLOCK_SIZE SEALED_OVERHEAD }
    "../fields.rs" crate::fields { CLIENT_ID_SIZE NAME_FIELD_SIZE NAME_MAX PUBLIC_KEY_SIZE }
    "../frame.rs" crate::frame { TAIL_WINDOW }
    "../message.rs" crate::message { CONTENT_MAX }
    "../modern/frame.rs" crate::modern::frame { REQUEST_HEADER_SIZE RESPONSE_HEADER_SIZE }
    "../modern/limits.rs" crate::modern::limits {
        ACKNOWLEDGED_MAX CODE_DIGITS ONE_TIME_KEYS_MAX PULL_MAX UNKNOWN_REQUEST_MAX
    }
    "../modern/operation/authenticate.rs" crate::modern::operation::authenticate { PROOF_SIZE }
    "../modern/operation/pull_envelopes.rs" crate::modern::operation::pull_envelopes { DELIVERY_HEADER_SIZE }
    "../modern/operation/rotate_identity.rs" crate::modern::operation::rotate_identity { SUCCESSION_SIZE }
    "../operation/list_clients.rs" crate::operation::list_clients { ENTRY_SIZE }
    "../operation/register.rs" crate::operation::register { REQUEST_SIZE }
    "../operations.rs" crate::operations { REFUSAL_CODE }
    "../response.rs" crate::response { PAYLOAD_LIMIT REFUSAL_TEXT_LIMIT }
}

/// What the comment above a profile says.
pub(super) fn doc_of_profile(name: &str) -> String {
    let source = include_str!("../dialect/profile.rs");
    let before = source.split(&format!("name: \"{name}\",")).next().unwrap_or_default();
    let declaration = before.lines().rev().find(|line| line.contains("pub const")).unwrap_or_default();
    comment(before, declaration.trim())
}

/// The comment above the line of a source that begins so.
fn comment(source: &str, beginning: &str) -> String {
    let lines = source.lines().map(str::trim).take_while(|line| !line.starts_with(beginning));
    let mut comment: Vec<&str> = Vec::new();
    for line in lines {
        match line.strip_prefix("///") {
            Some(text) => comment.push(text.trim()),
            None => comment.clear(),
        }
    }
    tidy(&comment.join(" "))
}
