//! The command line.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use messageu_wire::dialect::{Dialect, Family, RecognisedBy};

use crate::codec;
use crate::pcap::Capture;
use crate::report::{human, json, junit};
use crate::server::{self, Case, Report, Target, cases};

/// Tests servers and codecs of MessageU from outside, by what crosses the wire.
///
/// Exit codes: 0 it conforms; 1 it does not; 2 the kit could not do its work.
#[derive(Parser, Debug)]
#[command(name = "messageu-conformance", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Test a server: the kit is its clients.
    Server(ServerOptions),
    /// Test a codec: a program that turns bytes into fields and back, a JSON object a line.
    Codec(CodecOptions),
}

#[derive(Args, Debug)]
struct CodecOptions {
    /// The program to ask.
    #[arg(long, value_name = "PROGRAM")]
    driver: PathBuf,

    /// What to start it with; again for several.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    argument: Vec<String>,

    /// The dialect it is asked in; again for several, or `every` for all that there are.
    #[arg(long, value_name = "DIALECT", default_value = "e")]
    dialect: Vec<String>,

    /// Values that are made up for each operation.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    rounds: u16,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    /// Seconds that an answer may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    patience: u64,
}

#[derive(Args, Debug)]
struct ServerOptions {
    /// Where the server is.
    #[arg(long, value_name = "HOST:PORT", required_unless_present_any = ["list", "explain"])]
    connect: Option<String>,

    /// The dialect that the server speaks, like e or d/big-endian; again for each of several on one port, or `all` for
    /// all that bytes tell apart.
    #[arg(long, value_name = "DIALECT", default_value = "e")]
    dialect: Vec<String>,

    /// List the cases.
    #[arg(long)]
    list: bool,

    /// Run this case alone; again for several.
    #[arg(long, value_name = "ID")]
    only: Vec<String>,

    /// Show the requirements behind a case, and, with --connect, what becomes of it, byte by byte.
    #[arg(long, value_name = "ID", conflicts_with = "only")]
    explain: Option<String>,

    /// What SHOULD be has to be.
    #[arg(long)]
    strict: bool,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    /// Write JUnit's XML to a file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Write what crossed to a file that Wireshark reads, at most 1 MiB of each case.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,

    /// Seconds that an answer may take, or the end of a connection.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    patience: u64,

    /// Cases that run at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
}

/// Runs the program: what it was asked, and what it exits with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| error.exit());
    let done = match cli.command {
        Command::Server(options) => test_server(&options),
        Command::Codec(options) => test_codec(&options),
    };
    match done {
        Ok(conforms) => ExitCode::from(u8::from(!conforms)),
        Err(error) => {
            eprintln!("messageu-conformance: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether the codec conforms, or why that cannot be said.
fn test_codec(options: &CodecOptions) -> Result<bool, String> {
    let report = codec::run(&codec::Target {
        program: options.driver.clone(),
        arguments: options.argument.clone(),
        dialects: dialects(&options.dialect)?,
        patience: Duration::from_secs(options.patience),
        rounds: options.rounds,
    })?;
    print(&if options.json { format!("{}\n", report.to_json()) } else { report.summary() })?;
    if report.total().passed == 0 && report.total().failed == 0 {
        return Err("the driver supports nothing of what it was asked".to_owned());
    }
    Ok(report.total().failed == 0)
}

/// Whether the server conforms, or why that cannot be said.
fn test_server(options: &ServerOptions) -> Result<bool, String> {
    let chosen = chosen(options)?;
    if options.list {
        print(&human::table(chosen.iter().copied()))?;
        return Ok(true);
    }
    if options.explain.is_some() {
        for case in &chosen {
            print(&human::explanation(case))?;
        }
    }
    let Some(place) = &options.connect else { return Ok(true) };
    let target = Target {
        address: resolve(place)?,
        dialects: dialects(&options.dialect)?,
        patience: Duration::from_secs(options.patience),
        jobs: options.jobs.into(),
        strict: options.strict,
        recorded: options.pcap.is_some(),
    };
    let report = server::run(&target, &chosen)?;
    if report.findings.is_empty() {
        let dialects = options.dialect.join(", ");
        return Err(format!("in {dialects} there is nothing to try in what was chosen"));
    }
    if let Some(path) = &options.junit {
        std::fs::write(path, junit::report(&report)).map_err(|error| unwritable(path, &error))?;
    }
    if let Some(path) = &options.pcap {
        capture(&report, path).map_err(|error| unwritable(path, &error))?;
    }
    if options.explain.is_some() {
        for finding in &report.findings {
            print(&format!("\n{}", human::details(finding)))?;
        }
    } else if options.json {
        print(&format!("{}\n", json::report(&report)))?;
    } else {
        print(&human::summary(&report))?;
    }
    if report.faults() > 0 {
        return Err(format!("{} cases could not be run to their end", report.faults()));
    }
    Ok(report.failed() == 0)
}

fn chosen(options: &ServerOptions) -> Result<Vec<&'static Case>, String> {
    let named: Vec<&String> = options.only.iter().chain(&options.explain).collect();
    if named.is_empty() {
        return Ok(cases::all().collect());
    }
    let find = |id: &&String| {
        cases::named(id).ok_or_else(|| format!("there is no case {id:?}; --list shows those that there are"))
    };
    named.iter().map(find).collect()
}

fn dialects(names: &[String]) -> Result<Vec<Dialect>, String> {
    let mut dialects = Vec::new();
    for name in names {
        if name == "all" {
            dialects
                .extend(Dialect::all().filter(|dialect| dialect.profile.recognised_by != RecognisedBy::Pin));
        } else if name == "every" {
            dialects.extend(Dialect::all());
        } else {
            let known = || Dialect::all().map(|dialect| dialect.to_string()).collect::<Vec<_>>().join(", ");
            let dialect =
                name.parse().map_err(|_| format!("there is no dialect {name:?}; there are: {}", known()))?;
            dialects.push(dialect);
        }
    }
    let mut seen = Vec::new();
    dialects.retain(|dialect| {
        let is_new = !seen.contains(dialect);
        seen.push(*dialect);
        is_new
    });
    if dialects.is_empty() {
        dialects.push(Dialect::classic(Family::E));
    }
    Ok(dialects)
}

fn resolve(place: &str) -> Result<SocketAddr, String> {
    let unknown = |why: String| format!("{place:?} is no place to connect to: {why}; write HOST:PORT");
    let mut found = place.to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
    found.next().ok_or_else(|| unknown("it has no address".to_owned()))
}

fn capture(report: &Report, path: &Path) -> std::io::Result<()> {
    let mut capture = Capture::new(BufWriter::new(File::create(path)?), report.address.port())?;
    report.findings.iter().try_for_each(|finding| capture.add(&finding.conversation))
}

fn unwritable(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be written: {error}", path.display())
}

/// Prints, unless whoever reads has gone.
fn print(text: &str) -> Result<(), String> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(format!("cannot print: {error}")),
        _ => Ok(()),
    }
}
