//! Connections of version 3 over TCP, where there is no server of version 3.
#![allow(clippy::unwrap_used, reason = "a failed test should stop")]

use std::time::Duration;

use messageu_client::modern::{Connection, Patience};
use messageu_client::{Address, Client, ErrorKind};
use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::fields::ClientId;

fn pinned(place: impl std::fmt::Display) -> Address {
    format!("{place}#sha256={}", "00".repeat(32)).parse().unwrap()
}

#[tokio::test]
async fn where_nobody_listens_nobody_is_reached() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = pinned(listener.local_addr().unwrap());
    drop(listener);
    let error = Connection::connect(&address, Patience::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(!error.to_string().contains('#'), "{error}");
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_not_waited_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = pinned(listener.local_addr().unwrap());
    let patience = Patience { connect: Duration::from_secs(600), ..Patience::default() };
    let error = Connection::connect(&address, patience).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("no connection within 600s"), "{error}");
}

#[tokio::test]
async fn an_older_dialect_is_not_spoken_to_a_server_that_is_to_be_known_by_its_key() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let client = Client {
        address: pinned(listener.local_addr().unwrap()),
        dialect: Dialect::classic(Family::E),
        version: 2,
        timeout: Duration::from_secs(10),
    };
    let error = client.list_clients(ClientId([9; 16])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody was called");
}
