//! What the system says of this process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// This process.
pub(super) struct Process {
    started: Duration,
}

/// What of it can be measured; `None` where the system does not say.
pub(super) struct Measures {
    /// When it began to be measured, since 1970.
    pub(super) started: Duration,
    /// Bytes of memory that it has.
    pub(super) memory: Option<u64>,
    /// File descriptors that it has open.
    pub(super) descriptors: Option<u64>,
    /// File descriptors that it may have open.
    pub(super) most_descriptors: Option<u64>,
    /// Time of processors that it has used.
    pub(super) processor: Duration,
}

impl Process {
    pub(super) fn new() -> Self {
        Self { started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    pub(super) fn measure(&self) -> Measures {
        let processor = clock_gettime(ClockId::ProcessCPUTime);
        Measures {
            started: self.started,
            memory: resident_memory(),
            // One of them is the directory itself, while it is read.
            descriptors: std::fs::read_dir("/proc/self/fd")
                .ok()
                .and_then(|open| u64::try_from(open.count()).ok()?.checked_sub(1)),
            most_descriptors: getrlimit(Resource::Nofile).current,
            processor: Duration::try_from(processor).unwrap_or_default(),
        }
    }
}

fn resident_memory() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}
