//! The specification that the kit was built with.

/// spec.md, whole.
pub const SPEC: &str = include_str!("../../spec.md");

/// The text of a requirement: its paragraph, with any table that hangs on it.
#[must_use]
pub fn requirement(id: &str) -> Option<String> {
    let begin = SPEC.find(&format!("[{id}]"))?;
    let text = SPEC.get(begin..)?;
    let mut lines = text.lines().peekable();
    let mut found: Vec<&str> = lines.next().into_iter().collect();
    while let Some(line) = lines.next() {
        let ends_paragraph = line.is_empty() && !lines.peek().is_some_and(|next| next.starts_with('|'));
        if ends_paragraph || line.starts_with("- ") || line.starts_with('#') {
            break;
        }
        found.push(line.strip_prefix("  ").unwrap_or(line));
    }
    Some(found.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::requirement;

    #[test]
    fn a_requirement_is_its_paragraph() {
        let text = requirement("REQ-FRAME-9").unwrap();
        assert_eq!(
            text,
            "[REQ-FRAME-9] A peer that closes its sending side after a request MUST still get the answer."
        );
        assert!(requirement("REQ-FRAME-4").unwrap().ends_with("segment for the end of a request."));
    }

    #[test]
    fn a_table_belongs_to_the_requirement_that_announces_it() {
        let text = requirement("REQ-DLV-2").unwrap();
        assert!(
            text.contains("| silence for the grace period (2 s), and every byte is acknowledged | arrived |"),
            "{text}"
        );
        assert!(!text.contains("REQ-DLV-3"));
    }

    #[test]
    fn what_is_not_in_the_specification_has_no_text() {
        assert_eq!(requirement(&["REQ", "NONE", "1"].join("-")), None);
    }
}
