//! In a classic dialect: receivers that pull again and again.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::{Line, Options, PATIENCE, Pacer, STAMP, Schedule, collect};
use crate::account::{Account, DIALECT, connect, pulled, register};
use crate::load::{Fixed, Replies, Reply};
use crate::server::Server;
use crate::statistics::Times;

/// How long the one who sends by the schedule rests while a connection takes no more.
const REST: Duration = Duration::from_micros(50);

/// Measures; gives the times to the answers and to the receipts.
pub(super) async fn run(server: &Server, options: &Options) -> Result<(Times, Times)> {
    let accounts = register(server.address, DIALECT, 2 * options.pairs).await?;
    let (senders, receivers) = accounts.split_at(options.pairs);
    let schedule = Schedule::of_options(options)?;
    let mut lines = Vec::new();
    let (mut answering, mut receiving) = (JoinSet::new(), JoinSet::new());
    for ((sender, receiver), pair) in senders.iter().zip(receivers).zip(0..) {
        let (line, replies) = Socket::open(server, sender, receiver, options.size)?;
        lines.push(line);
        answering.spawn(answers(replies, sender.receipts(receiver.id)?, schedule, pair));
        receiving.spawn(polls(server.address, *receiver, schedule, pair, options.pause));
    }
    let pacer = Pacer::start(lines, schedule)?;
    let answered = collect(answering).await?;
    let received = collect(receiving).await?;
    drop(pacer);
    Ok((answered, received))
}

/// A sender's connection, and what it sends.
struct Socket {
    stream: TcpStream,
    request: Vec<u8>,
    stamp_at: usize,
}

impl Socket {
    fn open(
        server: &Server,
        sender: &Account,
        receiver: &Account,
        size: usize,
    ) -> Result<(Self, tokio::net::TcpStream)> {
        let stream = TcpStream::connect(server.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let replies = tokio::net::TcpStream::from_std(stream.try_clone()?)?;
        let request = sender.send(receiver.id, size)?;
        let stamp_at = request.len() - size;
        Ok((Self { stream, request, stamp_at }, replies))
    }
}

impl Line for Socket {
    fn send(&mut self, number: u64) -> bool {
        self.request[self.stamp_at..self.stamp_at + STAMP].copy_from_slice(&number.to_le_bytes());
        let mut left = &self.request[..];
        while !left.is_empty() {
            match self.stream.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(REST),
                Err(_) => return false,
            }
        }
        true
    }
}

/// Reads the receipts of a pair's messages, which come in their order.
async fn answers(
    mut stream: tokio::net::TcpStream,
    replies: Fixed,
    schedule: Schedule,
    pair: u64,
) -> Result<Times> {
    let mut times = Times::default();
    let mut buffer = BytesMut::with_capacity(4_096);
    for number in schedule.of(pair) {
        loop {
            match replies.first(&buffer) {
                Reply::Accepted(size) => {
                    buffer.advance(size);
                    break;
                }
                Reply::Refused(_) => bail!("a message was refused"),
                Reply::Nonsense => bail!("a reply that is none: {buffer:?}"),
                Reply::More => {}
            }
            let patience = schedule.due(number) + PATIENCE;
            let read = tokio::time::timeout_at(patience.into(), stream.read_buf(&mut buffer)).await;
            if read.context("a receipt did not come")?? == 0 {
                bail!("the connection was closed while receipts were outstanding");
            }
        }
        schedule.note(number, &mut times);
    }
    Ok(times)
}

/// Pulls until all of a pair's messages are there.
async fn polls(
    address: std::net::SocketAddr,
    receiver: Account,
    schedule: Schedule,
    pair: u64,
    pause: u64,
) -> Result<Times> {
    let mut times = Times::default();
    let mut stream = connect(address).await?;
    let (pull, mut bytes) = (receiver.pull()?, vec![0; 16 * 1024]);
    let mut expected = schedule.of(pair);
    let mut next = expected.next();
    while let Some(due) = next {
        stream.write_all(&pull).await?;
        let mut wrong = None;
        let pulling = pulled(&mut stream, receiver.dialect, &mut bytes, |message| {
            let number = message.content.first_chunk().map(|stamp| u64::from_le_bytes(*stamp));
            if number == next
                && let Some(number) = number
            {
                schedule.note(number, &mut times);
                next = expected.next();
            } else {
                wrong = Some((number, next));
            }
        });
        tokio::time::timeout_at((schedule.due(due) + PATIENCE).into(), pulling)
            .await
            .context("no mail")??;
        if let Some((came, next)) = wrong {
            bail!("message {came:?} came where {next:?} was next");
        }
        if next == Some(due) && schedule.due(due).elapsed() > PATIENCE {
            bail!("message {due} did not come");
        }
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
    Ok(times)
}
