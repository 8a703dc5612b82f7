//! What a faulty server keeps.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use messageu_wire::dialect::Profile;
use messageu_wire::fields::{ClientId, Name, PublicKey};
use messageu_wire::message::MessageType;
use messageu_wire::operation::register;
use rand::RngExt as _;

use super::Fault;

/// How long a pull's arrival may stay open.
pub(super) const GRACE: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(super) struct Stored {
    pub(super) from: ClientId,
    pub(super) number: u32,
    pub(super) kind: MessageType,
    pub(super) content: Vec<u8>,
}

#[derive(Clone)]
struct Client {
    id: ClientId,
    name: Vec<u8>,
    key: PublicKey,
    profile: &'static Profile,
}

#[derive(Default)]
struct Kept {
    clients: Vec<Client>,
    queue: Vec<(ClientId, Stored)>,
    numbers: u32,
}

#[derive(Default)]
pub(super) struct State(Mutex<Kept>);

impl State {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self, id: ClientId) -> Option<Client> {
        let id = self.real(id);
        self.kept().clients.iter().find(|client| client.id == id).cloned()
    }

    /// The whole id, of one that may be shown as printable.
    pub(super) fn real(&self, id: ClientId) -> ClientId {
        let kept = self.kept();
        let prefix = id.printable_prefix();
        let named = |client: &&Client| prefix.is_some_and(|prefix| client.id.0.starts_with(&prefix));
        kept.clients.iter().find(named).map_or(id, |client| client.id)
    }

    pub(super) fn knows(&self, id: ClientId) -> bool {
        self.client(id).is_some()
    }

    pub(super) fn profile(&self, id: ClientId) -> Option<&'static Profile> {
        self.client(id).map(|client| client.profile)
    }

    pub(super) fn key(&self, id: ClientId) -> Option<PublicKey> {
        self.client(id).map(|client| client.key)
    }

    pub(super) fn list(&self) -> Vec<(ClientId, Name)> {
        let name = |bytes: &[u8]| Name::new(&String::from_utf8_lossy(bytes)).ok();
        self.kept().clients.iter().filter_map(|client| Some((client.id, name(&client.name)?))).collect()
    }

    pub(super) fn register(
        &self,
        request: &register::Request,
        profile: &'static Profile,
        fault: Fault,
    ) -> Option<ClientId> {
        let name: Vec<u8> = request.name.0.iter().copied().take_while(|byte| *byte != 0).collect();
        if request.name.name().is_err() && fault != Fault::TakesAnyName {
            return None;
        }
        if fault == Fault::WantsRealKeys && request.public_key.0[0] != 0x30 {
            return None;
        }
        let fold =
            |name: &[u8]| if fault == Fault::IgnoresCase { name.to_ascii_lowercase() } else { name.to_vec() };
        let is_taken = |kept: &Kept| kept.clients.iter().any(|client| fold(&client.name) == fold(&name));
        let mut kept = self.kept();
        if is_taken(&kept) && fault != Fault::TakesNamesTwice {
            return None;
        }
        if fault == Fault::ChecksNamesTooEarly {
            drop(kept);
            thread::sleep(Duration::from_millis(100));
            kept = self.kept();
        }
        let mut id = [0; 16];
        loop {
            id.iter_mut().for_each(|byte| *byte = rand::rng().random_range(0x20..=0xff));
            (id[6], id[8]) = (0x40 | id[6] & 0x0f, 0x80 | id[8] & 0x3f);
            if fault == Fault::RepeatsHalves {
                id[..8].fill(0x44);
            }
            if fault == Fault::CountsIds {
                id = [1; 16];
                id[12..].copy_from_slice(&(0x0101_0101 + kept.clients.len() as u32).to_be_bytes());
            }
            let same_half = |client: &Client| client.id.0[..8] == id[..8];
            if matches!(fault, Fault::RepeatsHalves | Fault::CountsIds) || !kept.clients.iter().any(same_half)
            {
                break;
            }
        }
        let id = ClientId(id);
        kept.clients.push(Client { id, name, key: request.public_key, profile });
        Some(id)
    }

    pub(super) fn forget(&self, id: ClientId) -> bool {
        let mut kept = self.kept();
        let before = kept.clients.len();
        kept.clients.retain(|client| client.id != id);
        kept.queue.retain(|(to, _)| *to != id);
        kept.clients.len() < before
    }

    /// Puts a message into a queue, and gives its number.
    pub(super) fn enqueue(&self, to: ClientId, mut message: Stored, fault: Fault) -> u32 {
        let mut kept = self.kept();
        kept.numbers += 1;
        message.number = kept.numbers;
        let waits = kept.queue.iter().filter(|(other, _)| *other == to);
        let is_lost = match fault {
            Fault::LosesManyMessages => waits.count() >= 100,
            Fault::DropsRepeatedContents => {
                waits.into_iter().any(|(_, other)| other.content == message.content)
            }
            _ => false,
        };
        if !is_lost {
            kept.queue.push((to, message));
        }
        if fault == Fault::RepeatsNumbers { 1 } else { kept.numbers }
    }

    pub(super) fn pending(&self, to: ClientId, fault: Fault) -> Vec<Stored> {
        let kept = self.kept();
        let own = |other: ClientId| other == to || fault == Fault::GivesEverybodysMail;
        let found = kept.queue.iter().filter(|(other, _)| own(*other)).map(|(_, message)| message.clone());
        let mut found: Vec<Stored> = found.collect();
        if fault == Fault::NewestFirst {
            found.reverse();
        }
        found
    }

    pub(super) fn delete(&self, to: ClientId, numbers: &[u32]) {
        let numbers: HashSet<_> = numbers.iter().collect();
        self.kept().queue.retain(|(other, message)| *other != to || !numbers.contains(&message.number));
    }
}

/// Whose pulls are under way: another of the same client waits.
#[derive(Default)]
pub(super) struct Turns {
    taken: Mutex<HashMap<ClientId, u32>>,
    ended: Condvar,
}

impl Turns {
    /// Waits for the pulls of a client that are under way, up to a time, and begins one.
    pub(super) fn begin(&self, client: ClientId, most: Duration) {
        let until = Instant::now() + most;
        let mut taken = self.taken.lock().unwrap();
        while taken.contains_key(&client) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            taken = self.ended.wait_timeout(taken, left).unwrap().0;
        }
        *taken.entry(client).or_default() += 1;
    }

    /// A client's pull is over.
    pub(super) fn end(&self, client: ClientId) {
        let mut taken = self.taken.lock().unwrap();
        if let Some(count) = taken.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&client);
            }
        }
        self.ended.notify_all();
    }
}
