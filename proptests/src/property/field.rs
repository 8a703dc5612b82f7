//! Fields.

use messageu_wire::error::FieldError;
use messageu_wire::fields::{ClientId, NAME_FIELD_SIZE, NAME_MAX, Name, NameField};

/// A text is a name if it has 1 to 254 printable ASCII characters and no others, and is then read back from its field.
pub fn check_name(text: &str) {
    let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    match Name::new(text) {
        Ok(name) => {
            assert!(printable && (1..=NAME_MAX).contains(&text.len()), "{text:?} is a name");
            assert_eq!((name.as_str(), name.to_string()), (text, text.to_owned()));
            let field = NameField::from(&name);
            assert_eq!(field.name().as_ref(), Ok(&name));
            assert_eq!(field.to_text(), text);
            assert!(field.0[text.len()..].iter().all(|byte| *byte == 0), "the rest is zeros");
        }
        Err(FieldError::NameCharacter { at }) => {
            assert!(!printable && text.is_char_boundary(at), "{text:?}");
        }
        Err(FieldError::NameLength { length }) => {
            assert!(printable && length == text.len() && !(1..=NAME_MAX).contains(&length), "{text:?}");
        }
        Err(error) => panic!("{text:?}: {error}"),
    }
}

/// Whatever is in a name field, its name is what stands before its first NUL, or it has none; people can read it.
pub fn check_name_field(field: NameField) {
    let before_nul = field.0.split(|byte| *byte == 0).next().expect("splitting makes one part at least");
    match field.name() {
        Ok(name) => assert_eq!(name.as_str().as_bytes(), before_nul),
        Err(error) => {
            let terminated = before_nul.len() < NAME_FIELD_SIZE;
            assert_eq!(error == FieldError::NameUnterminated, !terminated, "{field:?}");
            assert!(
                !terminated
                    || before_nul.is_empty()
                    || before_nul.iter().any(|byte| !(0x20..0x7f).contains(byte))
            );
        }
    }
    assert!(!field.to_text().contains(char::is_control), "{field:?}");
}

/// An id is read back from its text in either case, and what the `ascii` profile shows for it leads back to it.
pub fn check_client_id(id: ClientId) {
    let text = id.to_string();
    assert_eq!(text.parse(), Ok(id));
    assert_eq!(text.to_uppercase().parse(), Ok(id));
    check_id_text(&text);

    let shown = id.to_printable();
    assert!(shown.is_printable() && shown.to_printable() == shown, "{id} is shown as {shown}");
    if id.is_printable() {
        assert_eq!(shown, id);
    } else {
        assert_eq!(shown.printable_prefix().as_ref().map(|half| &half[..]), Some(&id.0[..8]));
    }
}

/// A text is an id if it is 32 hexadecimal digits.
pub fn check_id_text(text: &str) {
    let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.parse::<ClientId>() {
        Ok(id) => assert!(is_id && id.to_string() == text.to_lowercase(), "{text:?} is {id}"),
        Err(error) => assert!(!is_id && !error.to_string().is_empty(), "{text:?}"),
    }
}
