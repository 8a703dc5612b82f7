//! A phone number is whose telephone it is: codes cannot be guessed, kept, passed on or asked for without end.

use std::path::Path;
use std::time::Duration;

use messageu_server::limits::Limits;
use messageu_server::modern::registration::{Channel, Codes, Pepper, Registration};
use messageu_wire::modern::field::{RegistrationCode, RegistrationId, RegistrationState, ServerFlags};
use messageu_wire::modern::operation::{register, verify_registration};
use messageu_wire::modern::{ErrorCode, Refusal};

use crate::harness::World;
use crate::modern::{Modern, User};

const PHONE: &str = "+4915112345678";
const OTHER: &str = "+4915187654321";

/// A server that asks for codes, which it writes into a file.
struct Asking {
    world: World,
    codes: tempfile::TempDir,
}

pub(crate) fn asking(codes: &Path) -> Registration {
    let channel: Channel = format!("file:{}", codes.join("codes").display()).parse().unwrap();
    Registration::Code(Box::new(Codes::new(Pepper::of_this_process(), channel)))
}

impl Asking {
    async fn new() -> Self {
        let codes = tempfile::tempdir().unwrap();
        Self { world: World::with(Limits::default(), asking(codes.path())).await, codes }
    }

    fn connect(&self) -> Modern {
        Modern::connect(self.world.place)
    }

    /// A registration that has begun, on its connection, and the code that was sent: the last of so many.
    async fn begin(&self, user: &User, name: &str, phone: &str, count: usize) -> Begun {
        let mut connection = self.connect();
        let id = connection.register(user, name, Some(phone)).unwrap().registration_id;
        Begun { connection, id, code: code(self.codes.path(), phone, count).await }
    }
}

struct Begun {
    connection: Modern,
    id: RegistrationId,
    code: String,
}

/// The last of the codes that were sent to a number, once there are so many.
pub(crate) async fn code(dir: &Path, phone: &str, count: usize) -> String {
    loop {
        let text = std::fs::read_to_string(dir.join("codes")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let codes: Vec<_> = lines.filter(|(to, _)| *to == phone).map(|(_, code)| code.to_owned()).collect();
        if codes.len() >= count {
            return codes.last().unwrap().clone();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn verify(modern: &mut Modern, id: RegistrationId, code: &str) -> Result<(), Refusal> {
    let code = RegistrationCode::new(code.as_bytes()).unwrap();
    modern.call(verify_registration::Request { registration_id: id, code }).map(drop)
}

fn error(answer: Result<(), Refusal>) -> ErrorCode {
    answer.unwrap_err().error
}

/// Another code than this.
pub(crate) fn wrong(code: &str, by: u32) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + by) % 1_000_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_a_code() {
    let asking = Asking::new().await;
    let alice = User::number(0);
    let mut begun = asking.begin(&alice, "alice", PHONE, 1).await;
    for by in 1..=5 {
        assert_eq!(
            error(verify(&mut begun.connection, begun.id, &wrong(&begun.code, by))),
            ErrorCode::CODE_WRONG
        );
    }
    // Now not even the right one.
    assert_eq!(error(verify(&mut begun.connection, begun.id, &begun.code)), ErrorCode::CODE_WRONG);
    let refused = asking.connect().authenticate(&alice).unwrap_err().error;
    assert_eq!(refused, ErrorCode::NOT_AUTHENTICATED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_codes_on_many_connections_at_once() {
    let asking = Asking::new().await;
    let alice = User::number(0);
    let begun = asking.begin(&alice, "alice", PHONE, 1).await;
    let guesses = (1..=30).map(|by| {
        let (place, id, guess) = (asking.world.place, begun.id, wrong(&begun.code, by));
        let asker = alice.id();
        std::thread::spawn(move || {
            let mut connection = Modern::connect(place);
            connection.id = asker;
            error(verify(&mut connection, id, &guess))
        })
    });
    for guess in guesses.collect::<Vec<_>>() {
        assert_eq!(guess.join().unwrap(), ErrorCode::CODE_WRONG);
    }
    let mut connection = begun.connection;
    assert_eq!(error(verify(&mut connection, begun.id, &begun.code)), ErrorCode::CODE_WRONG);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn using_a_code_again() {
    let asking = Asking::new().await;
    let (alice, mallory) = (User::number(0), User::number(1));
    let mut begun = asking.begin(&alice, "alice", PHONE, 1).await;
    verify(&mut begun.connection, begun.id, &begun.code).unwrap();
    assert_eq!(error(verify(&mut begun.connection, begun.id, &begun.code)), ErrorCode::CODE_WRONG);
    // Nor for a registration of Mallory's, with the same number or another.
    asking.world.pass(61);
    for phone in [PHONE, OTHER] {
        let mut connection = asking.connect();
        let id = connection.register(&mallory, "mallory", Some(phone)).unwrap().registration_id;
        assert_eq!(error(verify(&mut connection, id, &begun.code)), ErrorCode::CODE_WRONG);
        asking.world.pass(61);
    }
    assert!(asking.connect().authenticate(&mallory).is_err());
    asking.connect().authenticate(&alice).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn using_a_code_that_is_over() {
    let asking = Asking::new().await;
    let alice = User::number(0);
    let mut begun = asking.begin(&alice, "alice", PHONE, 1).await;
    asking.world.pass(10 * 60 + 1);
    assert_eq!(error(verify(&mut begun.connection, begun.id, &begun.code)), ErrorCode::CODE_WRONG);
    assert!(asking.connect().authenticate(&alice).is_err());
    let mut again = asking.begin(&alice, "alice", PHONE, 2).await;
    verify(&mut again.connection, again.id, &again.code).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn using_the_code_of_the_registration_before() {
    let asking = Asking::new().await;
    let alice = User::number(0);
    let mut first = asking.begin(&alice, "alice", PHONE, 1).await;
    asking.world.pass(61);
    let mut second = asking.begin(&alice, "alice", PHONE, 2).await;
    if first.code != second.code {
        assert_eq!(error(verify(&mut second.connection, second.id, &first.code)), ErrorCode::CODE_WRONG);
    }
    assert_eq!(error(verify(&mut first.connection, first.id, &first.code)), ErrorCode::CODE_WRONG);
    verify(&mut second.connection, second.id, &second.code).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn using_anothers_code_for_ones_own_key() {
    let asking = Asking::new().await;
    let (alice, mallory) = (User::number(0), User::number(1));
    let begun = asking.begin(&alice, "alice", PHONE, 1).await;
    // Mallory has read the message on Alice's telephone, and has a registration of her own.
    let mut connection = asking.connect();
    let hers = connection.register(&mallory, "mallory", Some(OTHER)).unwrap().registration_id;
    assert_eq!(error(verify(&mut connection, hers, &begun.code)), ErrorCode::CODE_WRONG);
    // What it does confirm is Alice's key, whoever asks.
    let _ = verify(&mut connection, begun.id, &begun.code);
    assert!(asking.connect().authenticate(&mallory).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_somebody_codes_without_end() {
    let asking = Asking::new().await;
    let users = [0, 1].map(User::number);
    let ask = |which: usize| asking.connect().register(&users[which], ["alice", "bob"][which], Some(PHONE));
    ask(0).unwrap();
    let refusal = ask(1).unwrap_err();
    assert_eq!(refusal.error, ErrorCode::TOO_MANY_REQUESTS);
    assert!((1..=60).contains(&refusal.retry_after_s), "{refusal}");
    for _ in 0..2 {
        asking.world.pass(61);
        ask(1).unwrap();
    }
    // Three a day, however long apart.
    asking.world.pass(3600);
    let refusal = ask(0).unwrap_err();
    assert_eq!(refusal.error, ErrorCode::TOO_MANY_REQUESTS);
    assert!(refusal.retry_after_s > 3600, "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_whether_somebody_has_a_number() {
    let asking = Asking::new().await;
    let (alice, mallory) = (User::number(0), User::number(1));
    let mut begun = asking.begin(&alice, "alice", PHONE, 1).await;
    verify(&mut begun.connection, begun.id, &begun.code).unwrap();
    asking.world.pass(61);
    let ask = |phone| asking.connect().register(&mallory, "mallory", Some(phone)).unwrap();
    let [known, unknown] = [PHONE, OTHER].map(|phone| {
        let register::Response { ttl_s, state, .. } = ask(phone);
        (ttl_s, state)
    });
    assert_eq!(known, unknown);
    assert_eq!(known.1, RegistrationState::CODE_EXPECTED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn taking_a_number_over() {
    let asking = Asking::new().await;
    let (alice, mallory) = (User::number(0), User::number(1));
    let mut begun = asking.begin(&alice, "alice", PHONE, 1).await;
    verify(&mut begun.connection, begun.id, &begun.code).unwrap();
    // Mallory has Alice's telephone for an hour, or her number from the telephone company.
    asking.world.pass(61);
    let mut claim = asking.begin(&mallory, "mallory", PHONE, 2).await;
    let refusal = verify(&mut claim.connection, claim.id, &claim.code).unwrap_err();
    assert_eq!(refusal.error, ErrorCode::CONFLICT);
    assert!(refusal.retry_after_s > 6 * 24 * 60 * 60, "{refusal}");
    assert!(asking.connect().authenticate(&mallory).is_err());
    // Alice is told, and has her number still.
    let mut connection = Modern::of(asking.world.place, &alice);
    assert!(connection.hello().flags.contains(ServerFlags::PHONE_CLAIMED));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registering_without_a_code() {
    let asking = Asking::new().await;
    let alice = User::number(0);
    let refusal = asking.connect().register(&alice, "alice", None).unwrap_err();
    assert_eq!(refusal.error, ErrorCode::PHONE_NEEDED);
    let mut connection = asking.connect();
    connection.id = alice.id();
    assert_eq!(error(verify(&mut connection, RegistrationId([0; 16]), "000000")), ErrorCode::CODE_WRONG);
    assert!(asking.connect().authenticate(&alice).is_err());
}
