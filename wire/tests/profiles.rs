//! What single profiles have that no byte of the wire tests shows by itself: the server asks for it.

use messageu_wire::dialect::Profile;
use messageu_wire::message::MessageType;

fn names(which: impl Fn(&Profile) -> bool) -> Vec<&'static str> {
    Profile::ALL.iter().filter(|profile| which(profile)).map(|profile| profile.name).collect()
}

#[test]
fn only_the_clients_of_one_profile_may_delete_their_account() {
    assert_eq!(names(|profile| profile.deletable), ["big-endian"]);
}

#[test]
fn the_servers_of_two_profiles_close_after_each_answer() {
    assert_eq!(names(|profile| profile.closes), ["read-to-end", "uid-echo"]);
}

#[test]
fn an_empty_key_request_is_shown_with_a_content_where_only_contents_are_counted() {
    for profile in Profile::ALL {
        let filler = if profile.name == "size-before-type" { 128 } else { 0 };
        assert_eq!(profile.shown_size(MessageType::KEY_REQUEST, 0), filler);
        assert_eq!(profile.shown_size(MessageType::KEY_REQUEST, 5), 5);
        assert_eq!(profile.shown_size(MessageType::TEXT, 0), 0);
        assert_eq!(profile.shown_size(MessageType::TEXT, 128), 128);
    }
}
