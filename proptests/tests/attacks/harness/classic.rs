//! Classic clients: the program's own, and requests in whatever name.

use std::net::SocketAddr;
use std::time::Duration;

use messageu_client::{Address, Client, Content, Options, Profile, Pulled, Session};
use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::fields::{ClientId, Name, PublicKey};
use messageu_wire::message::MessageType;

use super::World;

/// A way to ask, in whatever name.
pub(crate) struct Classic(pub(crate) Client);

/// Somebody with a classic client, as the program has it.
pub(crate) struct ClassicUser {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) session: Session,
}

impl World {
    pub(crate) fn classic(&self) -> Classic {
        Classic::at(self.place, Dialect::classic(Family::E))
    }

    pub(crate) async fn classic_user(&self, name: &str) -> ClassicUser {
        ClassicUser::join(self.place, name).await
    }

    /// Two who share a key.
    pub(crate) async fn classic_pair(&self) -> (ClassicUser, ClassicUser) {
        let (mut alice, mut bob) = (self.classic_user("alice").await, self.classic_user("bob").await);
        alice.share_key(&mut bob).await;
        (alice, bob)
    }
}

impl Classic {
    pub(crate) fn at(place: SocketAddr, dialect: Dialect) -> Self {
        let timeout = Duration::from_secs(60);
        Self(Client { address: plain(place), dialect, version: 1, timeout })
    }

    pub(crate) async fn register(&self, name: &str) -> ClientId {
        self.0.register(&Name::new(name).unwrap(), PublicKey([7; 160])).await.unwrap()
    }

    pub(crate) async fn send(
        &self,
        me: ClientId,
        to: ClientId,
        kind: MessageType,
        content: &[u8],
    ) -> messageu_client::Result<()> {
        let pieces = [Ok(content.to_vec())];
        self.0.send(me, (to, kind, content.len() as u64), pieces, &mut |_, _| ()).await.map(drop)
    }

    /// What waits for somebody, as pairs of sender and content; the server forgets it if that is `confirmed`.
    pub(crate) async fn pull(
        &self,
        me: ClientId,
        confirmed: bool,
    ) -> messageu_client::Result<Vec<(ClientId, Vec<u8>)>> {
        let mut pull = self.0.pull(me).await?;
        let mut messages: Vec<(ClientId, Vec<u8>)> = Vec::new();
        loop {
            match pull.next().await? {
                Pulled::Head(head) => messages.push((head.from, Vec::new())),
                Pulled::Content(piece) => messages.last_mut().unwrap().1.extend(piece),
                Pulled::EndOfContent => {}
                Pulled::End => break,
            }
        }
        if confirmed {
            pull.confirm().await;
        }
        Ok(messages)
    }
}

impl ClassicUser {
    pub(crate) async fn join(place: SocketAddr, name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            server: Some(plain(place)),
            dialect: Some(Dialect::classic(Family::E)),
            downloads: Some(dir.path().join("downloads")),
            ..Options::default()
        };
        let (profile, name) = (Profile::at(dir.path()), Name::new(name).unwrap());
        Self { session: Session::register(&profile, options, name).await.unwrap(), dir }
    }

    pub(crate) fn id(&self) -> ClientId {
        self.session.id()
    }

    pub(crate) fn name(&self) -> String {
        self.session.name().to_string()
    }

    /// We ask, they answer.
    pub(crate) async fn share_key(&mut self, other: &mut Self) {
        self.session.request_key(&other.name(), false).await.unwrap();
        other.receives().await;
        other.session.send_key(&self.name(), false).await.unwrap();
        assert_eq!(self.receives().await, [format!("{}: Key(Accepted)", other.name())]);
    }

    /// Takes what waits, and says what the user is shown.
    pub(crate) async fn receives(&mut self) -> Vec<String> {
        let mut shown = Vec::new();
        let mut show = |arrival: messageu_client::Arrival| {
            let what = match &arrival.content {
                Content::Text(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
                Content::File(_) => "file".to_owned(),
                other => format!("{other:?}"),
            };
            shown.push(format!("{}: {what}", arrival.from.name));
            Ok(())
        };
        self.session.receive(None, &mut |_, _| (), &mut show).await.unwrap();
        shown
    }

    /// The contents of the files that have come.
    pub(crate) fn downloads(&self) -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(self.dir.path().join("downloads")).unwrap();
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

fn plain(place: SocketAddr) -> Address {
    place.to_string().parse().unwrap()
}
