//! THE TABLE of what a user can do: the menu and its numbers, the subcommands' names and their help all come from it.

use messageu_wire::dialect::Family;

macro_rules! actions {
    ($($action:ident $name:literal [$current:literal $b:literal $a:literal] $label:literal $help:literal;)*) => {
        /// Something that a user can do.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Action {
            $(#[doc = $help] $action,)*
        }

        impl Action {
            /// All of them, in the order of the menu.
            pub const ALL: &'static [Self] = &[$(Self::$action,)*];

            /// The name of the subcommand.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$action => $name,)* }
            }

            /// The text in the menu.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$action => $label,)* }
            }

            /// What it does, in a few words.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$action => $help,)* }
            }

            /// Its numbers: in the menus of families C to E, which we show, of B, and of A.
            const fn numbers(self) -> [u16; 3] {
                match self { $(Self::$action => [$current, $b, $a],)* }
            }
        }
    };
}

actions! {
    // action     subcommand     C-E  B  A     in the menu                           help
    Register     "register"     [110 10 1]  "Register"                             "Create an identity here and an account at the server";
    List         "list"         [120 20 2]  "Request for clients list"             "List the other users";
    PublicKey    "key"          [130 30 3]  "Request for public key"               "Show a user's public key";
    Receive      "receive"      [140 40 4]  "Request for waiting messages"         "Receive what waits: texts are shown, files are saved";
    SendText     "send"         [150 50 5]  "Send a text message"                  "Send a user a text, encrypted";
    RequestKey   "request-key"  [151 51 51] "Send a request for symmetric key"     "Ask a user for a symmetric key to share";
    SendKey      "send-key"     [152 52 52] "Send your symmetric key"              "Send a user a symmetric key, encrypted to their public key";
    SendFile     "send-file"    [153 53 50] "Send a file"                          "Send a user a file, encrypted; its name is not sent";
}

/// The menu's number that ends it.
pub const EXIT_NUMBER: u16 = 0;
/// The menu's text for that.
pub const EXIT_LABEL: &str = "Exit client";

impl Action {
    /// The number in the menu that we show.
    #[must_use]
    pub const fn number(self) -> u16 {
        let [current, ..] = self.numbers();
        current
    }

    /// The action that a user of a family means by a number. Where the older menus contradict each other, family A's
    /// users mean A's and all others B's.
    #[must_use]
    pub fn of_number(number: u16, family: Option<Family>) -> Option<Self> {
        let column = |column: fn([u16; 3]) -> u16| {
            Self::ALL.iter().copied().find(|action| column(action.numbers()) == number)
        };
        let (b, a) = (column(|[_, b, _]| b), column(|[.., a]| a));
        let older = if family == Some(Family::A) { a.or(b) } else { b.or(a) };
        column(|[current, ..]| current).or(older)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_every_classic_menu_means_its_action() {
        for action in Action::ALL {
            let [current, b, a] = action.numbers();
            assert_eq!(Action::of_number(current, None), Some(*action));
            assert_eq!(Action::of_number(b, Some(Family::D)), Some(*action));
            assert_eq!(Action::of_number(a, Some(Family::A)), Some(*action));
        }
    }

    #[test]
    fn fifty_is_a_text_except_to_users_of_family_a() {
        assert_eq!(Action::of_number(50, None), Some(Action::SendText));
        assert_eq!(Action::of_number(50, Some(Family::A)), Some(Action::SendFile));
        assert_eq!(Action::of_number(53, Some(Family::A)), Some(Action::SendFile));
        assert_eq!(Action::of_number(7, None), None);
    }
}
