//! All measures as text, in the format that Prometheus reads.

use std::fmt::{self, Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use messageu_wire::dialect::Deviation;
use messageu_wire::fields::ClientId;
use messageu_wire::modern::{self, ErrorCode};
use messageu_wire::operations::Operation;

use super::process::{Measures, Process};
use crate::Relay;
use crate::metrics::Reason;
use crate::store::{Histogram, StoreMetrics};

/// The format, and its version.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes down everything that is measured.
pub(super) async fn render(relay: &Relay, process: &Process) -> String {
    let mut page = Page::default();
    page.metric("messageu_build_info", Kind::Gauge, "The version that is running.");
    page.labelled(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    connections(&mut page, relay);
    handshakes(&mut page, relay);
    requests(&mut page, relay);
    // A store that fails to say is one that /readyz tells of.
    if let Ok(roster) = relay.store.roster(ClientId::NOBODY).await {
        page.gauge("messageu_clients", "Registered clients.", roster.count);
    }
    page.counter(
        "messageu_clients_expired_total",
        "Clients that did not come back for so long that they were dropped.",
        of(&relay.metrics.clients_expired),
    );
    messages(&mut page, relay.store.metrics());
    modern(&mut page, relay.store.metrics());
    commits(&mut page, relay.store.metrics());
    disk(&mut page, relay);
    of_process(&mut page, &process.measure());
    page.text
}

fn connections(page: &mut Page, relay: &Relay) {
    let metrics = &relay.metrics;
    page.gauge("messageu_listeners", "Listeners that accept connections.", of(&metrics.listening));
    page.gauge("messageu_connections_open", "Connections there are now.", of(&metrics.open));
    page.gauge("messageu_connections_max", "Connections there may be at once.", relay.limits().clients);
    page.counter("messageu_connections_accepted_total", "Connections accepted.", of(&metrics.connections));
    page.counter(
        "messageu_connections_turned_away_total",
        "Connections turned away because there were too many.",
        of(&metrics.turned_away),
    );
}

fn handshakes(page: &mut Page, relay: &Relay) {
    let metrics = &relay.metrics;
    page.metric("messageu_tls_handshakes_total", Kind::Counter, "TLS handshakes, by how they ended.");
    for (outcome, count) in [("succeeded", &metrics.handshakes), ("failed", &metrics.handshakes_failed)] {
        page.labelled(&[("outcome", outcome)], of(count));
    }
}

fn requests(page: &mut Page, relay: &Relay) {
    let metrics = &relay.metrics;
    page.metric("messageu_requests_total", Kind::Counter, "Requests, by operation and by how they ended.");
    for operation in Operation::ALL {
        let (answered, refused) = metrics.requests(*operation);
        for (outcome, count) in [("answered", answered), ("refused", refused)] {
            page.labelled(&[("operation", operation.name()), ("outcome", outcome)], count);
        }
    }
    page.metric("messageu_refusals_total", Kind::Counter, "Requests that were refused, by the reason.");
    for reason in Reason::ALL {
        page.labelled(&[("reason", reason.name())], metrics.refusals(reason));
    }
    page.metric(
        "messageu_modern_requests_total",
        Kind::Counter,
        "Requests of version 3, by operation and by how they ended.",
    );
    for operation in modern::Operation::ALL {
        let (answered, refused) = metrics.modern_requests(*operation);
        for (outcome, count) in [("answered", answered), ("refused", refused)] {
            page.labelled(&[("operation", operation.name()), ("outcome", outcome)], count);
        }
    }
    page.metric(
        "messageu_modern_refusals_total",
        Kind::Counter,
        "Requests of version 3 that were refused, by the error.",
    );
    for error in ErrorCode::ALL {
        page.labelled(&[("error", error.name().unwrap_or_default())], metrics.errors(*error));
    }
    page.counter("messageu_rejected_total", "Bytes that came and were no request.", of(&metrics.rejected));
    page.metric("messageu_deviations_total", Kind::Counter, "Wrong sizes that were let pass, by their kind.");
    for deviation in Deviation::ALL {
        page.labelled(&[("deviation", deviation.name())], metrics.deviations(deviation));
    }
    page.counter(
        "messageu_pulls_not_arrived_total",
        "Pulls that were not known to have arrived, so that their messages stayed.",
        of(&metrics.not_arrived),
    );
}

fn messages(page: &mut Page, store: &StoreMetrics) {
    let waiting = store.messages.waiting.read();
    page.gauge("messageu_waiting_messages", "Messages that wait for their recipients.", waiting.messages);
    page.gauge("messageu_waiting_bytes", "Bytes of content that wait.", waiting.bytes);
    let fates = [
        ("accepted", store.messages.accepted.read()),
        ("acknowledged", store.messages.acknowledged.read()),
        ("dropped", store.messages.dropped.read()),
        ("expired", store.messages.expired.read()),
    ];
    page.metric(
        "messageu_messages_total",
        Kind::Counter,
        "Messages that came, and went, by what became of them.",
    );
    for (fate, amount) in fates {
        page.labelled(&[("fate", fate)], amount.messages);
    }
    page.metric("messageu_message_bytes_total", Kind::Counter, "Bytes of their contents.");
    for (fate, amount) in fates {
        page.labelled(&[("fate", fate)], amount.bytes);
    }
}

fn modern(page: &mut Page, store: &StoreMetrics) {
    page.gauge(
        "messageu_modern_accounts",
        "Accounts of version 3, with those that gave way to another lately.",
        of(&store.accounts),
    );
    let waiting = [("envelope", store.envelopes.waiting.read()), ("chunk", store.chunks.waiting.read())];
    page.metric("messageu_modern_waiting", Kind::Gauge, "What of version 3 waits for its recipients.");
    for (what, amount) in waiting {
        page.labelled(&[("what", what)], amount.messages);
    }
    page.metric(
        "messageu_modern_waiting_bytes",
        Kind::Gauge,
        "Bytes of it, a small chunk of a file counted as 4096.",
    );
    for (what, amount) in waiting {
        page.labelled(&[("what", what)], amount.bytes);
    }
    page.metric("messageu_modern_total", Kind::Counter, "What of version 3 came, and went, and how.");
    for (what, flow) in [("envelope", &store.envelopes), ("chunk", &store.chunks)] {
        for (fate, tally) in [
            ("accepted", &flow.accepted),
            ("acknowledged", &flow.acknowledged),
            ("dropped", &flow.dropped),
            ("expired", &flow.expired),
        ] {
            page.labelled(&[("what", what), ("fate", fate)], tally.read().messages);
        }
    }
}

fn commits(page: &mut Page, store: &StoreMetrics) {
    page.histogram("messageu_commit_requests", "Requests that shared a commit.", &store.group_sizes, 0);
    page.histogram("messageu_commit_seconds", "Time that commits took.", &store.commit_times, 6);
    page.counter("messageu_commits_failed_total", "Transactions that failed.", of(&store.failed_commits));
}

fn disk(page: &mut Page, relay: &Relay) {
    let used = relay.store.disk_use();
    page.gauge("messageu_database_bytes", "Bytes of the database.", used.database);
    page.gauge(
        "messageu_database_reusable_bytes",
        "Bytes of the database that are free for what comes next.",
        relay.store.reusable_bytes(),
    );
    page.gauge("messageu_database_log_bytes", "Bytes of the database's write-ahead log.", used.log);
    if let Some(disk) = relay.disk() {
        page.gauge("messageu_disk_bytes", "Bytes of the disk that the database is on.", disk.size);
        page.gauge("messageu_disk_free_bytes", "Bytes of it that are free.", disk.free);
        page.gauge("messageu_disk_reserve_bytes", "Bytes of it that have to stay free.", disk.reserve);
    }
}

fn of_process(page: &mut Page, process: &Measures) {
    let seconds = |time: Duration| format!("{}.{:06}", time.as_secs(), time.subsec_micros());
    page.gauge(
        "process_start_time_seconds",
        "When the server started, since 1970.",
        seconds(process.started),
    );
    page.counter("process_cpu_seconds_total", "Time of processors used.", seconds(process.processor));
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory that the process has.", process.memory),
        ("process_open_fds", "File descriptors that are open.", process.descriptors),
        ("process_max_fds", "File descriptors that may be open.", process.most_descriptors),
    ] {
        if let Some(value) = value {
            page.gauge(name, help, value);
        }
    }
}

fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text, as far as it is written.
#[derive(Default)]
struct Page {
    text: String,
    /// The metric that is being written.
    name: &'static str,
}

impl Page {
    /// Begins a metric: what follows are its values.
    fn metric(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.name = name;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// A value of the metric that was begun. Labels are words of this program, which need no escaping.
    fn labelled(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> = labels.iter().map(|(name, label)| format!("{name}=\"{label}\"")).collect();
        let name = self.name;
        self.line(format_args!("{name}{{{}}} {value}", labels.join(",")));
    }

    fn counter(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.metric(name, Kind::Counter, help);
        self.line(format_args!("{name} {value}"));
    }

    fn gauge(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.metric(name, Kind::Gauge, help);
        self.line(format_args!("{name} {value}"));
    }

    /// A histogram of whole numbers, to be shown with so many digits behind the point.
    fn histogram<const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        histogram: &Histogram<N>,
        digits: usize,
    ) {
        let (buckets, count, sum) = histogram.read();
        self.metric(name, Kind::Histogram, help);
        for (bound, count) in buckets {
            self.line(format_args!("{name}_bucket{{le=\"{}\"}} {count}", decimal(bound, digits)));
        }
        self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
        self.line(format_args!("{name}_sum {}", decimal(sum, digits)));
        self.line(format_args!("{name}_count {count}"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = writeln!(self.text, "{line}");
    }
}

/// A whole number with its last digits behind a point.
fn decimal(value: u64, digits: usize) -> String {
    let padded = format!("{value:0width$}", width = digits + 1);
    let (whole, fraction) = padded.split_at(padded.len() - digits);
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn a_number_of_microseconds_reads_as_seconds() {
        for (micros, seconds) in
            [(0, "0"), (1, "0.000001"), (250_000, "0.25"), (1_000_000, "1"), (12_345_678, "12.345678")]
        {
            assert_eq!(decimal(micros, 6), seconds);
        }
        assert_eq!(decimal(20, 0), "20");
    }
}
