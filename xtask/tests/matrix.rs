//! The requirements of spec.md and their matrix; and that the check of them notices each kind of fault.
#![allow(clippy::unwrap_used, reason = "a failed test should stop")]

use std::collections::BTreeMap;

use xtask::matrix::{self, Citable, Tests};

/// A specification of two rules with nothing wrong in it.
const SOUND: &str = "\
## 1 About
### 1.1 Words
MUST binds. See section 2.
## 2 Rules
- [REQ-ONE-1] A server MUST
  answer (REQ-TWO-1).
- [REQ-TWO-1] A client SHOULD ask.
```hex
01
```
## 3 Matrix
Rules without a test: 0.
<!-- table: requirements -->
| rule | who | tests | vectors |
|---|---|---|---|
| REQ-ONE-1 | server | `it_answers`, `hostile::same` | `vectors/one.json`, section 2 |
| REQ-TWO-1 | client | `it_asks` | none: timing |
";

fn tests() -> Tests {
    let sources = [
        (
            "server/tests/plain.rs",
            "#[test]\nfn it_answers() {\n#[tokio::test(flavor = \"x\")]\nasync fn same() {}",
        ),
        (
            "server/tests/hostile.rs",
            "proptest! {\n    #[test]\n    fn same(n in 0..1) {}\n}\nfn no_test() {}",
        ),
        ("client/src/lib.rs", "each_store!(it_asks);\nasync fn it_asks(store: &impl Store) {}"),
        ("xtask/prose/users.py", "def checked(x):\n    pass\ndef unused():\n    pass\nchecked(1)"),
    ];
    Tests::of(
        &sources.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect::<BTreeMap<_, _>>(),
    )
}

/// What is wrong after one piece of the sound specification has been replaced by another.
fn faults_with(sound: &str, faulty: &str) -> Vec<String> {
    assert_eq!(SOUND.matches(sound).count(), 1, "{sound}");
    matrix::faults(&SOUND.replace(sound, faulty), &tests(), |place, rule| {
        (place, rule) == ("vectors/one.json", "REQ-ONE-1")
    })
}

/// Fails unless the replacement is noticed, and with these words alone.
#[track_caller]
fn is_noticed(sound: &str, faulty: &str, words: &[&str]) {
    let faults = faults_with(sound, faulty);
    assert_eq!(faults.len(), words.len(), "{faults:?}");
    for (fault, words) in faults.iter().zip(words) {
        assert!(fault.contains(words), "{fault}");
    }
}

#[test]
fn every_rule_of_the_specification_has_an_id_a_row_tests_and_vectors() {
    let faults = matrix::faults_here(&xtask::root()).unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_sound_specification_has_no_fault() {
    is_noticed("A server", "A server", &[]);
    assert_eq!(Citable::of(SOUND).missing_for(SOUND), [""; 0]);
}

#[test]
fn a_binding_word_without_an_id_is_noticed() {
    is_noticed("## 3 Matrix\n", "## 3 Matrix\nIt MUST not be so.\n", &["line 12: MUST without an id"]);
    is_noticed("## 3 Matrix\n", "## 3 Matrix\n| it is REQUIRED |\n", &["REQUIRED without an id"]);
    is_noticed("```hex\n", "```hex\nMUST\n", &[]);
}

#[test]
fn an_id_that_two_rules_have_is_noticed() {
    is_noticed(
        "- [REQ-TWO-1]",
        "- [REQ-ONE-1] Again.\n- [REQ-TWO-1]",
        &["REQ-ONE-1 stands in line 5 already"],
    );
}

#[test]
fn a_rule_without_a_row_or_with_two_and_a_row_without_a_rule_are_noticed() {
    is_noticed("```hex", "- [REQ-TWO-2] More.\n```hex", &["REQ-TWO-2 has no row"]);
    let row = "| REQ-TWO-1 | client | `it_asks` | none: timing |\n";
    is_noticed(row, &row.repeat(2), &["REQ-TWO-1: a second row"]);
    is_noticed("| REQ-TWO-1 |", "| REQ-TWO-2 |", &["REQ-TWO-2: no rule has this id", "REQ-TWO-1 has no row"]);
    is_noticed("| REQ-TWO-1 |", "| TWO-1 |", &["TWO-1: this is no id", "REQ-TWO-1 has no row"]);
    is_noticed(" | none: timing", "", &["four cells", "REQ-TWO-1 has no row"]);
}

#[test]
fn who_is_bound_is_one_of_four() {
    is_noticed("| client |", "| all |", &["`all` is none of server, client, both, peer"]);
}

#[test]
fn a_test_that_is_not_there_or_is_no_test_is_noticed() {
    is_noticed("`it_asks`", "`it_answers_too`", &["no test is called `it_answers_too`"]);
    is_noticed("`it_asks`", "`no_test`", &["no test is called `no_test`"]);
    // The end of a name is no name.
    is_noticed("`it_asks`", "`asks`", &["no test is called `asks`"]);
    is_noticed("`it_asks`", "", &["no test is called ``"]);
    is_noticed("`it_asks`", "`checked`", &[]);
    is_noticed("`it_asks`", "`unused`", &["no test is called `unused`"]);
}

#[test]
fn a_name_of_two_tests_has_to_say_its_file() {
    is_noticed("`hostile::same`", "`same`", &["2 tests are called `same`"]);
    is_noticed("`hostile::same`", "`tests/plain::same`", &[]);
}

#[test]
fn rules_without_a_test_are_counted() {
    is_noticed("`it_asks`", "none yet", &["1 rules are without a test, and the text says Some(\"0\")"]);
    is_noticed("without a test: 0.", "without a test: 1.", &["0 rules are without a test"]);
    is_noticed("Rules without a test: 0.\n", "", &["the text says None"]);
}

#[test]
fn a_vector_that_is_not_there_is_noticed_and_so_is_a_reason_that_is_none() {
    is_noticed("`vectors/one.json`", "`vectors/two.json`", &["`vectors/two.json`"]);
    is_noticed("`vectors/one.json`", "`spec.md`", &["`spec.md`"]);
    // It is about another rule.
    is_noticed("none: timing", "`vectors/one.json`", &["REQ-TWO-1: no vector for it"]);
    is_noticed("`, section 2 |", "`, section 3 |", &["`section 3`"]);
    is_noticed("none: timing", "none: ", &["no vector for it and no section"]);
    is_noticed("none: timing", "none:   -", &["no reason"]);
    is_noticed("none: timing", "", &["no vector for it and no section"]);
}

#[test]
fn what_is_cited_and_not_there_is_noticed() {
    let broken = |text| Citable::of(SOUND).missing_for(text);
    assert_eq!(
        broken("See REQ-ONE-1, [REQ-TWO-1] and `REQ-…`; Sections 1, 2 and 3 of spec.md (section 1.1)."),
        [""; 0]
    );
    assert_eq!(broken("as (RFC 7518, section 5.2.5) says, in another section, and in section 2"), [""; 0]);
    assert_eq!(broken("REQ-ONE-2"), ["line 1: REQ-ONE-2 is not in spec.md"]);
    assert_eq!(
        broken("\nSections 1 to 4, section 1.2."),
        ["line 2: section 4 is not in spec.md", "line 2: section 1.2 is not in spec.md"]
    );
}
