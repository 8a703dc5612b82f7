//! The server's own code over a simulated network, clock and store: slow links, partitions, cuts, crashes and stops, as
//! a seed has it. A seed that fails fails again: MESSAGEU_TEST_SEED=<seed> runs it alone, and prints what happened.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]
#![allow(dead_code, reason = "not every test file uses all of the support")]

mod clients;
mod network;
mod storage;
#[path = "../support/mod.rs"]
mod support;
mod verdicts;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use clients::Pulled;
use messageu_server::store::{Client, Store};
use messageu_wire::fields::{ClientId, Name, PublicKey};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage::Storage;
use support::ledger::{Balance, InDoubt};
use support::{Peer, setting};
use tokio::time::sleep;
use world::World;

const SENDERS: usize = 3;
const RECIPIENTS: usize = 2;

/// Dialects of every family, and of the habits that make a difference here.
const DIALECTS: [&str; 8] = ["a", "b", "c", "d", "e", "b/read-to-end", "d/big-endian", "c/type-shift"];

#[test]
fn whatever_happens_nothing_acknowledged_is_lost_repeated_without_cause_or_out_of_order() {
    if let Ok(seed) = std::env::var("MESSAGEU_TEST_SEED") {
        let (balance, events) = run_or_tell(seed.parse().expect("MESSAGEU_TEST_SEED is a whole number"));
        tell(&events);
        println!("{balance}");
        return;
    }
    let began = Instant::now();
    let (seeds, next) = (setting("MESSAGEU_TEST_SEEDS", 2_000), AtomicU64::new(0));
    let some = || {
        let mut total = Balance::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return total;
            }
            let (balance, _) = run_or_tell(seed);
            total.add(&balance);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    let total = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        let mut total = Balance::default();
        for thread in threads {
            total.add(&thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        total
    });
    println!("figure: {seeds} simulated runs: {total}; {} s", began.elapsed().as_secs());
    // One seed may be quiet; many that are would prove nothing.
    assert!(seeds < 100 || total.repeated_after_fault > 0, "nothing happened");
}

#[test]
fn a_seed_runs_the_same_way_each_time() {
    for seed in 0..20 {
        let ((_, first), (_, second)) = (run(seed), run(seed));
        assert!(!first.is_empty());
        assert_eq!(first, second, "seed {seed}");
    }
}

/// What happened, and when, in milliseconds.
type Events = Vec<(u128, String)>;

/// Runs a seed, and says how to run it again if it fails.
fn run_or_tell(seed: u64) -> (Balance, Events) {
    let (balance, events) = catch_unwind(AssertUnwindSafe(|| run(seed))).unwrap_or_else(|panic| {
        println!("seed {seed} fails; again with MESSAGEU_TEST_SEED={seed}");
        resume_unwind(panic)
    });
    if !balance.is_even() {
        tell(&events);
        panic!("seed {seed} fails; again with MESSAGEU_TEST_SEED={seed}: {balance:?}");
    }
    (balance, events)
}

fn tell(events: &Events) {
    for (time, event) in events {
        println!("{time:>8} ms {event}");
    }
}

fn run(seed: u64) -> (Balance, Events) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(scenario(StdRng::seed_from_u64(seed)))
}

async fn scenario(mut dice: StdRng) -> (Balance, Events) {
    let failing = if dice.random_ratio(1, 2) { 0 } else { dice.random_range(1..30) };
    let slowness = dice.random_range(0..=30);
    let world = Arc::new(World::new(Storage::new(clients::dice(&mut dice), slowness, failing)));
    let senders = register(&world, "sender", SENDERS, &mut dice).await;
    let recipients = register(&world, "recipient", RECIPIENTS, &mut dice).await;
    world.start();

    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for (sender, peer) in senders.iter().cloned().enumerate() {
        let (world, recipients, count) = (Arc::clone(&world), recipients.clone(), dice.random_range(1..=12));
        let dice = clients::dice(&mut dice);
        tasks.push(tokio::spawn(async move {
            clients::send_all(&world, sender as u32, &peer, &recipients, count, dice).await;
        }));
    }
    let strangers = (Arc::clone(&world), senders[0].clone(), clients::dice(&mut dice));
    tasks.push(tokio::spawn(
        async move { clients::be_strange(&strangers.0, &strangers.1, strangers.2).await },
    ));
    let fate = (Arc::clone(&world), clients::dice(&mut dice));
    tasks.push(tokio::spawn(async move { strike(&fate.0, fate.1).await }));
    let mut pulling = Vec::new();
    for (recipient, peer) in recipients.iter().cloned().enumerate() {
        let (world, over, dice) = (Arc::clone(&world), Arc::clone(&over), clients::dice(&mut dice));
        pulling.push(tokio::spawn(async move {
            clients::pull_all(&world, recipient as u32, &peer, &over, dice).await;
        }));
    }
    for task in tasks {
        join(task).await;
    }
    over.store(true, Ordering::Relaxed);
    for task in pulling {
        join(task).await;
    }

    for (recipient, peer) in recipients.iter().enumerate() {
        while clients::pull_in_peace(&world, recipient as u32, peer, &mut dice).await != Pulled::Mail(0) {}
    }
    world.outlast_connections().await;
    let balance = world.ledger().balance(InDoubt::MayBeOvertaken);
    (balance, world.events())
}

async fn join(task: tokio::task::JoinHandle<()>) {
    if let Err(error) = task.await {
        resume_unwind(error.into_panic());
    }
}

async fn register(world: &World, role: &str, count: usize, dice: &mut StdRng) -> Vec<Peer> {
    let mut peers = Vec::new();
    for number in 0..count {
        let dialect: messageu_wire::dialect::Dialect =
            DIALECTS[dice.random_range(0..DIALECTS.len())].parse().unwrap();
        // In the store itself, as the server's own ids would differ from run to run.
        let id = ClientId(std::array::from_fn(|_| dice.random_range(1..=255)));
        let client = Client {
            id,
            name: Name::new(&format!("{role} {number}")).unwrap(),
            public_key: PublicKey([7; 160]),
            profile: dialect.profile.name.to_owned(),
        };
        world.storage.sound().register(client, UNIX_EPOCH).await.unwrap();
        peers.push(Peer { address: ([127, 0, 0, 1], 1).into(), dialect, id });
    }
    peers
}

/// Kills or stops the server a few times, and starts it again.
async fn strike(world: &World, mut dice: StdRng) {
    for _ in 0..dice.random_range(0..=3) {
        sleep(Duration::from_millis(dice.random_range(0..6_000))).await;
        if dice.random_ratio(2, 3) {
            world.kill().await;
        } else {
            world.stop().await;
        }
        sleep(Duration::from_millis(dice.random_range(0..3_000))).await;
        world.start();
    }
}
