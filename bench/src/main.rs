//! The program `messageu-bench`: measures a server, the machine, and what else there is.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use messageu_bench::bench::Bench;
use messageu_bench::place::Place;
use messageu_bench::record::{Run, machine, say};
use messageu_bench::reference::echo;
use messageu_bench::report;
use messageu_bench::scenario::{compare, file, idle, latency, limits, mix, overload, pull, send};
use messageu_bench::server::{self, Origin};
use tokio::signal::unix::{SignalKind, signal};

/// What MessageU's server does in a second, beside what the machine and other systems do in the same run.
#[derive(Parser, Debug)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The server's program. [default: messageu-server beside this one]
    #[arg(long, value_name = "PATH", global = true)]
    server_binary: Option<PathBuf>,
    /// A server that is listening already.
    #[arg(long, value_name = "ADDR:PORT", global = true, conflicts_with = "server_binary")]
    server: Option<SocketAddr>,
    /// Where data goes while something is measured: a directory on a real disk. [default: bench-data in the build's target
    /// directory]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// Saves what was measured in this file, too.
    #[arg(long, value_name = "FILE", global = true)]
    json: Option<PathBuf>,
    /// Threads of the load generator.
    #[arg(long, value_name = "N", global = true, default_value_t = 1)]
    threads: usize,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Sends: connections, pipelining, message size, durable or not.
    Send(send::Options),
    /// A long queue: filling it, and taking everything from it.
    Pull(pull::Options),
    /// Idle connections: the server's memory for each.
    Idle(idle::Options),
    /// One large content both ways, with the server's memory.
    File(file::Options),
    /// From a send to its receipt, at a rate that does not wait for the server.
    Latency(latency::Options),
    /// A mixture of operations.
    Mix(mix::Options),
    /// More than the server can do, for a long time; in the end, what was acknowledged must be there.
    Overload(overload::Options),
    /// The references of this machine: disk, raw SQLite, bare servers, loopback.
    Limits(limits::Options),
    /// The same job, given to this server and to other systems that are installed.
    Compare(compare::Options),
    /// Everything in one run, beside the targets: a Markdown table and plots.
    Report(report::Options),
    /// The bare server that `limits` measures.
    #[command(name = echo::COMMAND, hide = true)]
    EchoServer(echo::Exchange),
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("messageu-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    // The bare server gets the runtime that the server has; the generator no more threads than it is told.
    let mut builder = match (&cli.command, cli.threads) {
        (Command::EchoServer(_), _) => tokio::runtime::Builder::new_multi_thread(),
        (_, 0 | 1) => tokio::runtime::Builder::new_current_thread(),
        (_, threads) => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    let runtime = builder.enable_all().build().context("the threads cannot be started")?;
    let done = runtime.block_on(async {
        // Heard from before anything is started: what is, is stopped, and directories removed, as they are dropped here.
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            done = perform(cli) => done,
            _ = interrupt.recv() => bail!("interrupted"),
            // That is how the bare server ends.
            _ = terminate.recv() => match cli.command {
                Command::EchoServer(_) => Ok(()),
                _ => bail!("told to stop"),
            },
        }
    });
    runtime.shutdown_background();
    done
}

async fn perform(cli: &Cli) -> Result<()> {
    if let Command::EchoServer(exchange) = &cli.command {
        return echo::serve(*exchange).await;
    }
    if cfg!(debug_assertions) {
        eprintln!("\n!!! THIS IS A DEBUG BUILD: its figures mean nothing. Build with --release.\n");
    }
    let origin = match cli.server {
        Some(address) => Origin::Listening(address),
        None => Origin::Program(cli.server_binary.clone().map_or_else(server::beside_this_program, Ok)?),
    };
    let bench = Bench { origin, place: Place::new(cli.data.as_deref())? };
    let mut run = Run { machine: machine(), ..Run::default() };
    let records = match &cli.command {
        Command::Send(options) => vec![send::run(&bench, options).await?],
        Command::Pull(options) => vec![pull::run(&bench, options).await?],
        Command::Idle(options) => vec![idle::run(&bench, options).await?],
        Command::File(options) => vec![file::run(&bench, options).await?],
        Command::Latency(options) => vec![latency::run(&bench, options).await?],
        Command::Mix(options) => vec![mix::run(&bench, options).await?],
        Command::Overload(options) => vec![overload::run(&bench, options).await?],
        Command::Limits(options) => limits::run(&bench, options).await?,
        Command::Compare(options) => {
            compare::run(&bench, options, &mut run).await?;
            Vec::new()
        }
        Command::Report(options) => {
            report::run(&bench, options, cli.json.as_deref(), &mut run).await?;
            Vec::new()
        }
        Command::EchoServer(_) => Vec::new(),
    };
    for record in &records {
        say(record)?;
    }
    run.records.extend(records);
    cli.json.as_deref().map_or(Ok(()), |path| run.save(path))
}
